"""`.safetensors` files: an 8-byte little-endian length, a JSON header of that length, and the numbers after it.

The header maps names to {dtype, shape, data_offsets}; the offsets count from the end of the header and cover all that
follows, without holes or overlaps (the format's own rules: https://github.com/huggingface/safetensors).  Nothing in a
file is trusted before it was compared with the file's size.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kgraph.errors import FileError, InvalidArgumentError
from kgraph.saving.safety import atomic_file

__all__ = ["StoredTensor", "read_header", "read_tensor", "write_tensors"]

Array = np.ndarray[Any, Any]

# Bytes: the longest header that the format allows.
MAX_HEADER = 100_000_000
METADATA = "__metadata__"
# Name of the type in a file, and how NumPy reads it.  NumPy has no bfloat16: its bits are the upper half of a float32.
DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "|i1",
    "U8": "|u1", "BOOL": "|b1", "U16": "<u2", "U32": "<u4", "U64": "<u8",
}  # fmt: skip
_NAMES = {np.dtype(code): name for name, code in DTYPES.items() if name != "BF16"}


@dataclass(frozen=True)
class StoredTensor:
    """One entry of a header: where its numbers are, in bytes from the start of the file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    nbytes: int

    @property
    def kind(self) -> str:
        """`f`, `i`, `u` or `b`, as NumPy names kinds of types."""
        return "f" if self.dtype == "BF16" else np.dtype(DTYPES[self.dtype]).kind


# -- writing ----------------------------------------------------------------------------------------------------------
def write_tensors(
    path: Path, tensors: Mapping[str, Array], metadata: Mapping[str, str], overwrite: bool, what: str
) -> None:
    """Write arrays in the order given; the file appears whole or not at all.

    Raises:
        InvalidArgumentError: an array has a type that the format lacks, or the file exists and `overwrite` is False.
        FileError: it cannot be written.
    """
    header: dict[str, Any] = {METADATA: dict(metadata)}
    offset = 0
    arrays = [(name, *_stored(name, array)) for name, array in tensors.items()]
    for name, dtype, array in arrays:
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [offset, offset + array.nbytes]}
        offset += array.nbytes
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    text += b" " * (-len(text) % 8)  # so that the numbers are aligned
    if len(text) > MAX_HEADER:
        raise FileError(f"{what} cannot be saved as .safetensors: the names and shapes are too long together")
    with atomic_file(path, overwrite, what) as temporary, open(temporary, "wb") as file:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        for _, _, array in arrays:
            file.write(array.tobytes())


def _stored(name: str, array: Array) -> tuple[str, Array]:
    if array.dtype.name == "bfloat16":
        return "BF16", array.view(np.uint16)
    code = array.dtype.newbyteorder("<")
    if code not in _NAMES:
        raise InvalidArgumentError(
            f"a .safetensors file cannot hold {name!r}", got=str(array.dtype), needed=", ".join(DTYPES)
        )
    return _NAMES[code], array.astype(code, copy=False)


# -- reading ----------------------------------------------------------------------------------------------------------
def read_header(path: Path) -> tuple[dict[str, StoredTensor], dict[str, str]]:
    """The checked entries of a file in the order of its header, and its metadata.

    Raises:
        FileError: the file breaks a rule of the format; nothing but the header was read.
    """
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        first = file.read(8)
        length = int.from_bytes(first, "little")
        if len(first) < 8 or length > size - 8:
            raise _damaged(path, "the header is longer than the file", f"{length} bytes of {size}")
        if length > MAX_HEADER:
            raise _damaged(path, "the header is too long", f"{length} bytes", f"at most {MAX_HEADER}")
        text = file.read(length)
    header = _parsed(path, text)
    metadata = header.pop(METADATA, {})
    if not isinstance(metadata, dict) or any(not isinstance(value, str) for value in metadata.values()):
        raise _damaged(path, f"{METADATA} is no table of texts", repr(metadata)[:200])
    tensors = {name: _entry(path, name, entry, 8 + length) for name, entry in header.items()}
    _check_places(path, tensors.values(), 8 + length, size)
    return tensors, metadata


def _damaged(path: Path, why: str, got: str = "", needed: str = "", where: str = "") -> FileError:
    return FileError(f"the file {path.name} is no .safetensors file: {why}", where=where, got=got, needed=needed)


def _parsed(path: Path, text: bytes) -> dict[str, Any]:
    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        table = dict(items)
        if len(table) != len(items):
            names = [name for name, _ in items]
            twice = next(name for name in names if names.count(name) > 1)
            raise _damaged(path, "the header has a name twice", repr(twice))
        return table

    def constant(name: str) -> Any:
        raise ValueError(f"{name} is no number of JSON")

    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=pairs, parse_constant=constant)
    except (ValueError, RecursionError) as error:
        raise _damaged(path, "the header is no JSON in UTF-8", str(error)[:200]) from None
    if not isinstance(header, dict):
        raise _damaged(path, "the header is no table", repr(header)[:200])
    return header


def _entry(path: Path, name: str, entry: Any, base: int) -> StoredTensor:
    where = f"tensor {name!r}"
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise _damaged(path, "an entry has other keys than dtype, shape, data_offsets", repr(entry)[:200], where=where)
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if dtype not in DTYPES:
        raise _damaged(path, "an entry has an unknown dtype", repr(dtype), ", ".join(DTYPES), where)
    if not _sizes(shape) or len(shape) > 64:
        raise _damaged(path, "an entry has no shape", repr(shape)[:200], where=where)
    if not _sizes(offsets) or len(offsets) != 2 or offsets[1] < offsets[0]:
        raise _damaged(path, "an entry has no data_offsets", repr(offsets)[:200], where=where)
    count = math.prod(shape) * np.dtype(DTYPES[dtype]).itemsize
    if count != offsets[1] - offsets[0]:
        raise _damaged(
            path,
            "the shape of an entry is not that of its numbers",
            f"{offsets[1] - offsets[0]} bytes",
            f"{count} for {dtype}{shape}",
            where,
        )
    return StoredTensor(name, dtype, tuple(shape), base + offsets[0], count)


def _sizes(value: Any) -> bool:
    return isinstance(value, list) and all(type(size) is int and 0 <= size < 2**63 for size in value)


def _check_places(path: Path, tensors: Iterable[StoredTensor], base: int, size: int) -> None:
    end = base
    for tensor in sorted(tensors, key=lambda one: (one.start, one.nbytes)):
        if tensor.start != end:
            word = "overlap" if tensor.start < end else "leave a hole"
            raise _damaged(path, f"the entries {word}", f"byte {tensor.start - base}", where=f"tensor {tensor.name!r}")
        end = tensor.start + tensor.nbytes
    if end != size:
        raise _damaged(path, "it is cut off, or longer than its entries", f"{size} bytes", f"{end}")


def read_tensor(path: Path, tensor: StoredTensor) -> Array:
    """The numbers of an entry; bfloat16 comes as float32.

    Raises:
        FileError: the file has changed since its header was read.
    """
    with open(path, "rb") as file:
        file.seek(tensor.start)
        data = file.read(tensor.nbytes)
    if len(data) != tensor.nbytes:
        raise _damaged(path, "it is cut off", where=f"tensor {tensor.name!r}")
    array = np.frombuffer(data, DTYPES[tensor.dtype]).reshape(tensor.shape)
    if tensor.dtype == "BOOL":
        return np.not_equal(np.frombuffer(data, np.uint8).reshape(tensor.shape), 0)
    if tensor.dtype == "BF16":
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array

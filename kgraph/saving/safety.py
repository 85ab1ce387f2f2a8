"""Files that appear whole or not at all, and archives that are looked at before they are read.

Nothing is ever extracted to disk; members are read into memory after their declared sizes were checked.
"""

from __future__ import annotations

import os
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from kgraph.errors import FileError, FileMissingError, InvalidArgumentError

__all__ = [
    "atomic_file",
    "backed_bytes",
    "child_group",
    "existing",
    "member",
    "open_archive",
    "open_hdf5",
    "read_array",
    "stored_array",
]

# Bytes: a text larger than this is no configuration.
MAX_TEXT = 256 << 20
# Bytes from which a member that was packed too well is taken for a bomb, and how well is too well.
BOMB_FLOOR = 16 << 20
BOMB_RATIO = 100
# No method of compression of HDF5 packs numbers better.
BEST_RATIO = 1100


@contextmanager
def atomic_file(path: Path, overwrite: bool, what: str) -> Iterator[str]:
    """A temporary name beside `path`, moved to it at the end; after an error the old file is as it was.

    Raises:
        InvalidArgumentError: the file exists, and `overwrite` is False.
        FileMissingError: there is no such directory.
    """
    if path.is_dir():
        raise FileError(f"{what} cannot be saved: {path} is a directory", needed="the name of a file")
    if path.exists() and not overwrite:
        raise InvalidArgumentError(f"the file {path.name} exists", got=f"filepath={path}", fix="pass overwrite=True")
    if not path.parent.is_dir():
        raise FileMissingError(
            f"{what} cannot be saved: there is no directory {path.parent}",
            got=f"filepath={path}",
            fix="make the directory first, e.g. Path(...).mkdir(parents=True)",
        )
    handle, temporary = tempfile.mkstemp(suffix=".tmp", prefix=path.name, dir=path.parent)
    os.close(handle)
    try:
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~mask)
        os.replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise


def existing(filepath: Any) -> Path:
    """The path of a file that is there.

    Raises:
        FileMissingError: it is not.
        FileError: it is a directory, or empty.
    """
    path = Path(filepath)
    if not path.exists():
        raise FileMissingError(f"there is no file {path}", fix="check the path; model.save() writes such files")
    if path.is_dir():
        raise FileError(f"{path} is a directory", needed="a .keras or .h5 file")
    if path.stat().st_size == 0:
        raise FileError(f"the file {path.name} is empty", got=f"filepath={path}")
    return path


def open_archive(path: Path) -> zipfile.ZipFile:
    """A `.keras` archive whose members were looked at.

    Raises:
        FileError: it is no archive, cut off, or has members that no model file has.
    """
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, ValueError, EOFError, NotImplementedError) as error:
        raise FileError(
            f"the file {path.name} is no .keras archive, or is cut off", got=str(error), needed="a file of model.save()"
        ) from None
    try:
        _check_members(archive, path)
    except BaseException:
        archive.close()
        raise
    return archive


def _check_members(archive: zipfile.ZipFile, path: Path) -> None:
    names: set[str] = set()
    for info in archive.infolist():
        name = info.filename
        where = f"member {name!r}"
        if name in names:
            raise FileError(f"the file {path.name} holds a member twice", where=where)
        names.add(name)
        parts = name.replace("\\", "/").split("/")
        if name.startswith(("/", "\\")) or ".." in parts or ":" in parts[0] or "\x00" in name:
            raise FileError(f"the file {path.name} has a member with a path outside of it", where=where)
        if info.external_attr >> 16 & 0o170000 == 0o120000:
            raise FileError(f"the file {path.name} has a member that is a link to elsewhere", where=where)
        if info.flag_bits & 0x1:
            raise FileError(f"the file {path.name} is encrypted", where=where)
        if info.file_size > BOMB_FLOOR and info.file_size > BOMB_RATIO * max(info.compress_size, 1):
            raise FileError(
                f"the file {path.name} has a member that unpacks to far more than it holds",
                where=where,
                got=f"{info.file_size} bytes from {info.compress_size}",
            )
        if name.endswith(".json") and info.file_size > MAX_TEXT:
            raise FileError(f"the file {path.name} has too long a text", where=where, got=f"{info.file_size} bytes")


def member(archive: zipfile.ZipFile, name: str, path: Path) -> bytes:
    """The bytes of a member.

    Raises:
        FileError: it is missing or damaged.
    """
    if name not in archive.namelist():
        raise FileError(
            f"the file {path.name} is no Keras model: it has no {name}",
            got=", ".join(archive.namelist()[:8]) or "an empty archive",
        )
    try:
        with archive.open(name) as file:
            return file.read()
    except Exception as error:  # zlib, CRC, cut off, an unknown method of compression
        raise FileError(f"the file {path.name} is damaged", where=f"member {name!r}", got=str(error)) from None


def open_hdf5(source: Any, name: str) -> Any:
    """An HDF5 file for reading.

    Raises:
        FileError: it is none, or is cut off.
    """
    import h5py

    try:
        return h5py.File(source, "r")
    except (OSError, ValueError, RuntimeError) as error:
        raise FileError(f"the file {name} is no HDF5 file, or is cut off", got=str(error)) from None


def child_group(group: Any, name: str, file: str) -> Any:
    """A group below `group`, reached by plain links only; None when there is none.

    Raises:
        FileError: it is a link to elsewhere, or no group.
    """
    import h5py

    for part in name.split("/"):
        if not isinstance(group, h5py.Group):
            raise FileError(f"the file {file} is damaged: {part!r} is below no group")
        link = group.get(part, getlink=True) if part in group else None
        if link is None:
            return None
        if not isinstance(link, h5py.HardLink):
            raise FileError(f"the file {file} has a link to elsewhere", where=f"{group.name}/{part}")
        group = group[part]
    return group


def stored_array(group: Any, name: str, file: str) -> Any:
    """The dataset `name` of `group`, its values still unread; see `read_array`.

    Raises:
        FileError: it is missing, no dataset, or its values are in another file.
    """
    import h5py

    found = child_group(group, name, file)
    if found is None:
        raise FileError(f"the file {file} lacks an array", where=f"{group.name}/{name}")
    if not isinstance(found, h5py.Dataset) or found.external is not None or found.is_virtual:
        raise FileError(f"the file {file} has something else than an array", where=str(found.name))
    if found.dtype.kind not in "fiub" and not str(found.dtype) == "bfloat16":
        raise FileError(f"the file {file} has an array of no numbers", where=str(found.name), got=str(found.dtype))
    if found.nbytes > backed_bytes(found) + 4096:
        raise FileError(
            f"the file {file} has an array that claims more than it holds",
            where=str(found.name),
            got=f"shape {found.shape}",
        )
    return found


def backed_bytes(dataset: Any) -> int:
    """The most bytes that what is stored of a dataset can unpack to."""
    packed = dataset.compression is not None or dataset.id.get_create_plist().get_nfilters() > 0
    return int(dataset.id.get_storage_size()) * (BEST_RATIO if packed else 1)


def read_array(dataset: Any, file: str) -> np.ndarray[Any, Any]:
    """The values of a dataset whose shape was checked.

    Raises:
        FileError: they cannot be read.
    """
    try:
        return np.asarray(dataset[()])
    except (OSError, ValueError, RuntimeError) as error:
        raise FileError(f"the file {file} is damaged", where=str(dataset.name), got=str(error)) from None

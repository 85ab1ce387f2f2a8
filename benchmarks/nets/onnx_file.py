"""Writes ONNX models as protobuf, by hand: so much of the format that the package `onnx` is not needed.

Numbers of fields and types are those of onnx.proto3 (github.com/onnx/onnx, onnx/onnx.proto).
"""

from __future__ import annotations

import struct

import numpy as np

FLOAT, INT32, INT64 = 1, 6, 7
TYPES = {np.dtype("float32"): FLOAT, np.dtype("int32"): INT32, np.dtype("int64"): INT64}
IR_VERSION, OPSET = 8, 17
Attribute = int | float | str | list[int]


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1  # negative numbers take ten bytes
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def _field(number: int, value: int | float | str | bytes) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    if isinstance(value, float):
        return _varint(number << 3 | 5) + struct.pack("<f", value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _attribute(name: str, value: Attribute) -> bytes:
    if isinstance(value, list):
        content = b"".join(_field(8, number) for number in value) + _field(20, 7)
    else:
        number, kind = {float: (2, 1), int: (3, 2), str: (4, 3)}[type(value)]
        content = _field(number, value) + _field(20, kind)
    return _field(5, _field(1, name) + content)


def node(op: str, inputs: list[str], outputs: list[str], attributes: dict[str, Attribute]) -> bytes:
    names = b"".join(_field(1, name) for name in inputs) + b"".join(_field(2, name) for name in outputs)
    return _field(1, names + _field(4, op) + b"".join(_attribute(*entry) for entry in attributes.items()))


def tensor(name: str, array: np.ndarray) -> bytes:
    """A constant of the graph."""
    dims = b"".join(_field(1, size) for size in array.shape)
    data = np.ascontiguousarray(array).tobytes()
    return _field(5, dims + _field(2, TYPES[array.dtype]) + _field(8, name) + _field(9, data))


def value(number: int, name: str, dtype: np.dtype, shape: tuple[int | str, ...]) -> bytes:
    """An input (number 11) or output (12) of the graph; a string in the shape is a size that varies."""
    dims = b"".join(_field(1, _field(2 if isinstance(size, str) else 1, size)) for size in shape)
    return _field(number, _field(1, name) + _field(2, _field(1, _field(1, TYPES[dtype]) + _field(2, dims))))


def model(graph: bytes) -> bytes:
    return _field(1, IR_VERSION) + _field(7, graph + _field(2, "network")) + _field(8, _field(1, "") + _field(2, OPSET))

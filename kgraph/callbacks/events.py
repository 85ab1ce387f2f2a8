"""`EventWriter`: files that TensorBoard reads, written without TensorFlow.

A file is a row of TFRecords (length, masked CRC-32C of the length, bytes, masked CRC-32C of the bytes), each an `Event`
message in Protocol Buffers' wire format, of which this module knows what scalars and histograms need.
"""

from __future__ import annotations

import os
import platform
import struct
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["EventWriter", "masked_crc32c"]


@lru_cache(maxsize=1)
def _table() -> tuple[int, ...]:
    """CRC-32C (Castagnoli) of each byte, reflected polynomial 0x82F63B78."""
    rows = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        rows.append(value)
    return tuple(rows)


def masked_crc32c(data: bytes) -> int:
    """The checksum of TFRecords: CRC-32C, rotated right by 15 bits, plus a constant."""
    table = _table()
    crc = 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _varint(number: int) -> bytes:
    number &= (1 << 64) - 1
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _double(field: int, value: float) -> bytes:
    return _varint(field << 3 | 1) + struct.pack("<d", value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


class EventWriter:
    """One event file in a directory, made when the first value comes.

    Args:
        directory: of the file; made when missing.
    """

    def __init__(self, directory: str | os.PathLike[str]) -> None:
        self.directory = Path(directory)
        self.path: Path | None = None
        self._file: Any = None

    def scalar(self, tag: str, value: float, step: int) -> None:
        """Write a number."""
        summary = _bytes(1, tag.encode()) + _varint(2 << 3 | 5) + struct.pack("<f", value)
        self._event(_number(2, step) + _bytes(5, _bytes(1, summary)))

    def histogram(self, tag: str, values: Any, step: int, buckets: int = 30) -> None:
        """Write how values are spread; those that are not finite are left out."""
        flat = np.asarray(values, np.float64).ravel()
        flat = flat[np.isfinite(flat)]
        if not flat.size:
            return
        counts, edges = np.histogram(flat, bins=buckets)
        shape = _double(1, flat.min()) + _double(2, flat.max()) + _double(3, flat.size) + _double(4, flat.sum())
        shape += _double(5, float(flat @ flat))
        shape += _bytes(6, edges[1:].astype("<f8").tobytes()) + _bytes(7, counts.astype("<f8").tobytes())
        self._event(_number(2, step) + _bytes(5, _bytes(1, _bytes(1, tag.encode()) + _bytes(5, shape))))

    def flush(self) -> None:
        """Hand what was written to the operating system."""
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
        self._file = None

    def _event(self, rest: bytes) -> None:
        if self._file is None:
            self.directory.mkdir(parents=True, exist_ok=True)
            name = f"events.out.tfevents.{time.time():.6f}.{platform.node()}.{os.getpid()}.kgraph"
            self.path = self.directory / name
            self._file = self.path.open("ab")
            self._record(_double(1, time.time()) + _bytes(3, b"brain.Event:2"))
        self._record(_double(1, time.time()) + rest)

    def _record(self, data: bytes) -> None:
        length = struct.pack("<Q", len(data))
        checks = (struct.pack("<I", masked_crc32c(part)) for part in (length, data))
        self._file.write(length + next(checks) + data + next(checks))

"""Memory with red zones: buffers kept apart by bytes that nobody may touch, for `KGRAPH_GUARD`.

All buffers lie in one allocation.  What is between them holds a pattern that says where it is; `RedZones.damage` finds
what a stray write changed.  The pattern, and what buffers are poisoned with, is NaN as f32 and f64 and negative as i32
and i64, so that a stray read shows in the results.  In the form `pages` a page that may not be accessed lies before and
behind each buffer, which ends where that page begins: a stray read ends the process too.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kgraph.config import Guard
from kgraph.errors import TargetError

__all__ = ["Damage", "RedZones"]

Array = np.ndarray[Any, np.dtype[Any]]

ZONE = 1024
"""Bytes of a red zone: a vector, or a row of a small matrix, past the end does not reach the next buffer."""
_ALIGN = 64


@dataclass(frozen=True)
class Damage:
    """A stray write.

    Attributes:
        buffer: name of the nearest buffer.
        offset: bytes from the start of the buffer to the first changed byte; negative in front of it.
        size: bytes of the buffer.
        changed: changed bytes in the zone.
    """

    buffer: str
    offset: int
    size: int
    changed: int

    def __str__(self) -> str:
        behind = self.offset - self.size
        where = f"{behind} bytes behind its end" if behind >= 0 else f"{-self.offset} bytes in front of it"
        return (
            f"{self.changed} bytes changed near {self.buffer} of {self.size} bytes, the first at {self.offset}: {where}"
        )


class RedZones:
    """Buffers of the given (name, bytes), each between red zones.

    They start on boundaries of 64 bytes in the form `zones`.  In the form `pages` they start wherever their ends make
    them, or on the boundary of `align` bytes before that: then the few bytes between an end and the page are zone.
    """

    def __init__(self, buffers: Sequence[tuple[str, int]], form: Guard, align: int = 1) -> None:
        self._buffers = list(buffers)
        step = mmap.PAGESIZE if form == "pages" else _ALIGN
        gap = mmap.PAGESIZE if form == "pages" else ZONE
        self.offsets: list[int] = []
        closed: list[int] = []  # where pages lie that are not to be accessed
        end = 0
        for _, size in self._buffers:
            closed.append(end)
            after = end + gap + _rounded(size, step)  # where the room for this buffer ends
            self.offsets.append((after - size) // align * align if form == "pages" else end + gap)
            end = after
        closed.append(end)
        total = end + gap
        self.memory, start = _pages(total) if form == "pages" else _aligned(total)
        self._zone = self._zone_words(closed if form == "pages" else [], total, gap)
        self._pattern = _pattern(total)
        self.memory.view(np.uint32)[...] = self._pattern
        if form == "pages":
            for page in closed:
                _close(start + page, gap)

    def _zone_words(self, closed: Sequence[int], total: int, gap: int) -> Array:
        """Numbers of the words that have a byte of a zone; `_kept` has ones for those bytes of theirs that do."""
        free = np.ones(total, bool)
        for offset, (_, size) in zip(self.offsets, self._buffers, strict=True):
            free[offset : offset + size] = False
        for page in closed:
            free[page : page + gap] = False
        words = free.reshape(-1, 4)
        found = np.nonzero(words.any(axis=1))[0]
        self._kept = (words[found] * np.uint8(0xFF)).view(np.uint32)[:, 0]
        return found

    def array(self, number: int) -> Array:
        """The bytes of a buffer."""
        start = self.offsets[number]
        return self.memory[start : start + self._buffers[number][1]]

    def address(self, number: int) -> int:
        """Address of a buffer."""
        return int(self.memory.ctypes.data) + self.offsets[number]

    def poison(self, number: int) -> None:
        """Fill a buffer with NaN (in the places of another part of the pattern, so that a copied zone is seen)."""
        area = self.array(number)
        words = _pattern(_rounded(len(area), 4), seed=1)
        area[...] = words.view(np.uint8)[: len(area)]

    def damage(self) -> Damage | None:
        """The first stray write since the last call; the zones are mended, so that it is reported once."""
        words = self.memory.view(np.uint32)
        wrong = ((words[self._zone] ^ self._pattern[self._zone]) & self._kept) != 0
        if not wrong.any():
            return None
        bad = self._zone[wrong]
        got, meant = (w[bad] & self._kept[wrong] for w in (words, self._pattern))
        places = (bad[:, None] * 4 + np.arange(4))[
            got.view(np.uint8).reshape(-1, 4) != meant.view(np.uint8).reshape(-1, 4)
        ]
        words[bad] = (self._pattern[bad] & self._kept[wrong]) | (words[bad] & ~self._kept[wrong])
        return self._near(int(places[0]), len(places))

    def _near(self, place: int, changed: int) -> Damage:
        """Name the buffer whose edge is nearest to a byte."""
        spans = [(start, start + size) for start, (_, size) in zip(self.offsets, self._buffers, strict=True)]
        number = min(range(len(spans)), key=lambda k: min(abs(place - spans[k][0]), abs(place - spans[k][1])))
        name, size = self._buffers[number]
        return Damage(name, place - spans[number][0], size, changed)


def _rounded(size: int, step: int) -> int:
    return -(-size // step) * step


def _pattern(size: int, seed: int = 0) -> Array:
    """Words 0xFFF....., each another one: NaN in f32 and f64."""
    count = np.arange(_rounded(size, 4) // 4, dtype=np.uint32)
    mixed: Array = (count + np.uint32(seed * 77_777)) * np.uint32(2_654_435_761)
    return np.asarray(mixed >> np.uint32(12) | np.uint32(0xFFF00001))


def _aligned(size: int) -> tuple[Array, int]:
    raw = np.zeros(size + _ALIGN, np.uint8)
    skip = -raw.ctypes.data % _ALIGN
    found = raw[skip : skip + size]
    return found, int(found.ctypes.data)


def _pages(size: int) -> tuple[Array, int]:
    if os.name != "posix":
        raise TargetError("KGRAPH_GUARD=pages needs a POSIX system", fix="use KGRAPH_GUARD=zones")
    found = np.frombuffer(mmap.mmap(-1, size), np.uint8)  # keeps the mapping alive
    return found, int(found.ctypes.data)


def _close(start: int, size: int) -> None:
    """Forbid all access to pages."""
    mprotect = ctypes.CDLL(None, use_errno=True).mprotect
    mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    if mprotect(start, size, 0) != 0:
        raise OSError(ctypes.get_errno(), "mprotect failed")

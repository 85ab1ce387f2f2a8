"""Philox 4x32-10, the counter-based random numbers of ``random_uniform``, in NumPy.

Every target draws the same bits: the number of an element depends on the seed, the stream, the step and the
element's index, and on nothing else (not on threads, tiles or order). Source: Salmon, Moraes, Dror and Shaw,
"Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["philox4x32", "philox_reference"]

_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (0x9E3779B9, 0xBB67AE85)
_LOW = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)

Words = npt.NDArray[np.uint64]


def philox4x32(counter: tuple[Words, Words, Words, Words], key: tuple[int, int]) -> tuple[Words, Words, Words, Words]:
    """Ten rounds over arrays of counters; all words are 32-bit numbers held in uint64.

    >>> [f"{int(word[0]):08x}" for word in philox4x32((np.zeros(1, np.uint64),) * 4, (0, 0))]
    ['6627e8d5', 'e169c58d', 'bc57ac4c', '9b00dbd8']
    """
    x0, x1, x2, x3 = counter
    for number in range(10):
        key0, key1 = (np.uint64((key[k] + number * _WEYL[k]) & 0xFFFFFFFF) for k in (0, 1))
        product0, product1 = x0 * _MULTIPLIERS[0], x2 * _MULTIPLIERS[1]
        x0, x1 = (product1 >> _SHIFT) ^ x1 ^ key0, product1 & _LOW
        x2, x3 = (product0 >> _SHIFT) ^ x3 ^ key1, product0 & _LOW
    return x0, x1, x2, x3


def philox_reference(seed: int, stream: int, step: int, count: int, first: int = 0) -> npt.NDArray[np.float32]:
    """Uniform numbers in [0, 1), multiples of 2**-24, of the elements ``first .. first + count - 1``: f32[count].

    Element ``i`` is word ``i % 4`` of the block with counter ``(low32(i // 4), high32(i // 4), low32(step),
    high32(step))`` and key ``(low32(seed) ^ high32(seed), low32(stream))``; its number is the word's upper 24 bits
    over 2**24. Negative integers count as their 64-bit two's complement.

    >>> philox_reference(0, 0, 0, 2).tolist()
    [0.3990464210510254, 0.8805201649665833]
    """
    seed, stream, step = (value & 0xFFFFFFFFFFFFFFFF for value in (seed, stream, step))
    first_block, last_block = first // 4, -(-(first + count) // 4)
    block = np.arange(first_block, last_block, dtype=np.uint64)
    steps = np.full(block.shape, step & 0xFFFFFFFF, np.uint64), np.full(block.shape, step >> 32, np.uint64)
    key = ((seed & 0xFFFFFFFF) ^ (seed >> 32), stream & 0xFFFFFFFF)
    words = np.stack(philox4x32((block & _LOW, block >> _SHIFT, *steps), key), axis=1).reshape(-1)
    start = first - 4 * first_block
    numbers: npt.NDArray[np.float32] = (words[start : start + count] >> np.uint64(8)).astype(np.float32)
    numbers *= np.float32(2.0**-24)
    return numbers

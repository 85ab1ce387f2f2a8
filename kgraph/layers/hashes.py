"""The hashes by which Keras chooses bins: FarmHash64, SipHash-2-4 and the crossing of two hashes; exact, in Python.

They have 64 bits and wrap around, so all arithmetic is masked.  Sources: G. Pike, FarmHash (variant "na", the stable
fingerprint); J.-P. Aumasson and D. Bernstein, "SipHash: a fast short-input PRF", 2012; and `FingerprintCat64`, which is
a step of MurmurHash64A.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["CROSS_KEY", "bucket", "cross", "farm_hash", "sip_hash"]

_MASK = 0xFFFFFFFFFFFFFFFF
_K0, _K1, _K2 = 0xC3A5C85C97CB3127, 0xB492B66FBE98F273, 0x9AE16A3B2F90404F
_CAT = 0xC6A4A7935BD1E995
# With what a crossing starts.
CROSS_KEY = 0xDECAFCAFFE


def bucket(data: bytes, bins: int, salt: Sequence[int] | None = None) -> int:
    """The bin of some bytes: by SipHash with a salt, by FarmHash64 without."""
    return (farm_hash(data) if salt is None else sip_hash(data, salt[0], salt[1])) % bins


def cross(first: int, second: int) -> int:
    """One hash for two."""
    result = first ^ _CAT
    result ^= _shift(second * _CAT & _MASK) * _CAT & _MASK
    result = result * _CAT & _MASK
    return _shift(_shift(result) * _CAT & _MASK)


def farm_hash(data: bytes) -> int:
    """FarmHash64 of some bytes, as a number of 64 bits."""
    size = len(data)
    if size <= 16:
        return _up_to_16(data, size)
    if size <= 32:
        return _up_to_32(data, size)
    if size <= 64:
        return _up_to_64(data, size)
    return _long(data, size)


def _word(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 8], "little")


def _half(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "little")


def _rotate(value: int, by: int) -> int:
    """Rotate to the right."""
    value &= _MASK
    return (value >> by | value << (64 - by)) & _MASK


def _shift(value: int) -> int:
    return value ^ value >> 47


def _mix(u: int, v: int, times: int) -> int:
    a = _shift(((u ^ v) & _MASK) * times & _MASK)
    return _shift(((v ^ a) & _MASK) * times & _MASK) * times & _MASK


def _up_to_16(data: bytes, size: int) -> int:
    times = _K2 + size * 2
    if size >= 8:
        a, b = _word(data, 0) + _K2 & _MASK, _word(data, size - 8)
        c = _rotate(b, 37) * times + a & _MASK
        return _mix(c, (_rotate(a, 25) + b) * times & _MASK, times)
    if size >= 4:
        return _mix(size + (_half(data, 0) << 3) & _MASK, _half(data, size - 4), times)
    if size:
        y = data[0] + (data[size >> 1] << 8)
        z = size + (data[-1] << 2)
        return _shift((y * _K2 ^ z * _K0) & _MASK) * _K2 & _MASK
    return _K2


def _up_to_32(data: bytes, size: int) -> int:
    times = _K2 + size * 2
    a, b = _word(data, 0) * _K1 & _MASK, _word(data, 8)
    c, d = _word(data, size - 8) * times & _MASK, _word(data, size - 16) * _K2 & _MASK
    first = _rotate(a + b, 43) + _rotate(c, 30) + d & _MASK
    return _mix(first, a + _rotate(b + _K2, 18) + c & _MASK, times)


def _up_to_64(data: bytes, size: int) -> int:
    times = _K2 + size * 2
    a, b = _word(data, 0) * _K2 & _MASK, _word(data, 8)
    c, d = _word(data, size - 8) * times & _MASK, _word(data, size - 16) * _K2 & _MASK
    y = _rotate(a + b, 43) + _rotate(c, 30) + d & _MASK
    z = _mix(y, a + _rotate(b + _K2, 18) + c & _MASK, times)
    e, f = _word(data, 16) * times & _MASK, _word(data, 24)
    g, h = (y + _word(data, size - 32)) * times & _MASK, (z + _word(data, size - 24)) * times & _MASK
    first = _rotate(e + f, 43) + _rotate(g, 30) + h & _MASK
    return _mix(first, e + _rotate(f + a, 18) + g & _MASK, times)


def _weak(data: bytes, at: int, a: int, b: int) -> tuple[int, int]:
    """A quick mix of 32 bytes into two seeds."""
    w, x, y, z = (_word(data, at + 8 * i) for i in range(4))
    a = a + w & _MASK
    b = _rotate(b + a + z, 21)
    kept = a
    a = a + x + y & _MASK
    return a + z & _MASK, b + _rotate(a, 44) + kept & _MASK


def _long(data: bytes, size: int) -> int:
    """More than 64 bytes: 56 bytes of state, 64 bytes a round, the last 64 once more."""
    x, y = 81, 81 * _K1 + 113 & _MASK
    z = _shift(y * _K2 + 113 & _MASK) * _K2 & _MASK
    v = w = (0, 0)
    x = x * _K2 + _word(data, 0) & _MASK

    def step(at: int, times: int, nine: int) -> None:
        nonlocal x, y, z, v, w
        x = _rotate(x + y + v[0] + _word(data, at + 8), 37) * times & _MASK
        y = _rotate(y + v[1] + _word(data, at + 48), 42) * times & _MASK
        x ^= w[1] * nine & _MASK
        y = y + v[0] * nine + _word(data, at + 40) & _MASK
        z = _rotate(z + w[0], 33) * times & _MASK
        v = _weak(data, at, v[1] * times & _MASK, x + w[0] & _MASK)
        w = _weak(data, at + 32, z + w[1] & _MASK, y + _word(data, at + 16) & _MASK)
        x, z = z, x

    end = (size - 1) // 64 * 64
    for at in range(0, end, 64):
        step(at, _K1, 1)
    rest = (size - 1) & 63
    times = _K1 + ((z & 0xFF) << 1)
    w = (w[0] + rest & _MASK, w[1])
    v = (v[0] + w[0] & _MASK, v[1])
    w = (w[0] + v[0] & _MASK, w[1])
    step(size - 64, times, 9)
    first = _mix(v[0], w[0], times) + _shift(y) * _K0 + z & _MASK
    return _mix(first, _mix(v[1], w[1], times) + x & _MASK, times)


def sip_hash(data: bytes, first: int, second: int) -> int:
    """SipHash-2-4 of some bytes with a key of two numbers, as a number of 64 bits."""
    k0, k1 = first & _MASK, second & _MASK
    v0, v1 = k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D
    v2, v3 = k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573

    def rounds(count: int) -> None:
        nonlocal v0, v1, v2, v3
        for _ in range(count):
            v0, v2 = v0 + v1 & _MASK, v2 + v3 & _MASK
            v1, v3 = _rotate(v1, 51) ^ v0, _rotate(v3, 48) ^ v2
            v0 = _rotate(v0, 32)
            v2, v0 = v2 + v1 & _MASK, v0 + v3 & _MASK
            v1, v3 = _rotate(v1, 47) ^ v2, _rotate(v3, 43) ^ v0
            v2 = _rotate(v2, 32)

    tail = len(data) % 8
    padded = data + bytes(7 - tail) + bytes([len(data) & 0xFF])
    for at in range(0, len(padded), 8):
        word = _word(padded, at)
        v3 ^= word
        rounds(2)
        v0 ^= word
    v2 ^= 0xFF
    rounds(4)
    return v0 ^ v1 ^ v2 ^ v3

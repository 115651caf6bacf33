"""XXH3, 64 bits, seed 0, with numpy for the long stretches. Streaming; the digest is the canonical big-endian hex.

Within a block of 1 KiB the accumulators only add, so the sums of many blocks are made at once; only the scramble
between blocks goes one by one.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

U64 = npt.NDArray[np.uint64]

_SECRET = bytes.fromhex(
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671fcb79e64eccc0e578825ad07dccff7221"
    "b8084674f743248ee03590e6813a264c3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8"
    "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364eac5ac8334d3ebc3c581a0fffa1363eb"
    "170ddd51b7f0da49d316552629d4689e2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e"
)
_MASK = (1 << 64) - 1
_P32_1, _P32_2, _P32_3 = 0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D
_P64_1, _P64_2, _P64_3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
_P64_4, _P64_5 = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5
_STRIPE, _BLOCK, _LANES = 64, 1024, 8
_STRIPES = _BLOCK // _STRIPE
_LONG = 240  # longer inputs go through the accumulators


def _words(data: bytes) -> U64:
    return np.frombuffer(data, dtype="<u8")


_KEYS = np.stack([_words(_SECRET[8 * n : 8 * n + _STRIPE]) for n in range(_STRIPES)])
_SCRAMBLE = _words(_SECRET[128:192])
_START = np.array([_P32_3, _P64_1, _P64_2, _P64_3, _P64_4, _P32_2, _P64_5, _P32_1], dtype=np.uint64)
_SWAP = np.arange(_LANES) ^ 1
_LOW = np.uint64(0xFFFFFFFF)
_32, _47, _PRIME = np.uint64(32), np.uint64(47), np.uint64(_P32_1)


class Xxh3:
    def __init__(self) -> None:
        self._acc = _START.copy()
        self._rest = b""  # not yet accumulated: at least one byte once there is any, at most a block
        self._last = b""  # the last stripe's worth of what was accumulated
        self._length = 0

    def update(self, data: bytes) -> None:
        self._length += len(data)
        self._rest += data
        blocks = (len(self._rest) - 1) // _BLOCK
        if blocks > 0:
            whole = self._rest[: blocks * _BLOCK]
            self._rest = self._rest[blocks * _BLOCK :]
            self._last = whole[-_STRIPE:]
            self._accumulate(whole, blocks)

    def hexdigest(self) -> str:
        value = _short(self._rest) if self._length <= _LONG else self._long()
        return f"{value:016x}"

    def _accumulate(self, whole: bytes, blocks: int) -> None:
        data = _words(whole).reshape(blocks, _STRIPES, _LANES)
        for row in _sums(data, _KEYS):
            self._acc = self._acc + row
            self._acc = (self._acc ^ (self._acc >> _47) ^ _SCRAMBLE) * _PRIME

    def _long(self) -> int:
        acc = self._acc
        stripes = (len(self._rest) - 1) // _STRIPE
        if stripes:
            data = _words(self._rest[: stripes * _STRIPE]).reshape(1, stripes, _LANES)
            acc = acc + _sums(data, _KEYS[:stripes])[0]
        last = _words((self._last + self._rest)[-_STRIPE:]).reshape(1, 1, _LANES)
        acc = acc + _sums(last, _words(_SECRET[121:185])[np.newaxis])[0]
        return _merge([int(lane) for lane in acc], 11, self._length * _P64_1 & _MASK)


def _sums(data: U64, keys: U64) -> U64:
    """Per block, what its stripes add to the accumulators."""
    mixed = data ^ keys
    products: U64 = ((mixed & _LOW) * (mixed >> _32)).sum(axis=1, dtype=np.uint64)
    plain: U64 = data.sum(axis=1, dtype=np.uint64)
    return products + plain[:, _SWAP]


def _u64(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 8], "little")


def _u32(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "little")


def _fold(a: int, b: int) -> int:
    product = a * b
    return (product & _MASK) ^ (product >> 64)


def _merge(acc: list[int], secret_at: int, start: int) -> int:
    total = start
    for lane in range(0, _LANES, 2):
        at = secret_at + 8 * lane
        total += _fold(acc[lane] ^ _u64(_SECRET, at), acc[lane + 1] ^ _u64(_SECRET, at + 8))
    return _avalanche(total & _MASK)


def _avalanche(value: int) -> int:
    value ^= value >> 37
    value = value * 0x165667919E3779F9 & _MASK
    return value ^ value >> 32


def _avalanche_xxh64(value: int) -> int:
    value ^= value >> 33
    value = value * _P64_2 & _MASK
    value ^= value >> 29
    value = value * _P64_3 & _MASK
    return value ^ value >> 32


def _short(data: bytes) -> int:
    length = len(data)
    if length > 128:
        return _to_240(data)
    if length > 16:
        return _to_128(data)
    if length > 8:
        return _to_16(data)
    if length >= 4:
        return _to_8(data)
    if length:
        return _to_3(data)
    return _avalanche_xxh64(_u64(_SECRET, 56) ^ _u64(_SECRET, 64))


def _to_3(data: bytes) -> int:
    length = len(data)
    combined = data[0] << 16 | data[length >> 1] << 24 | data[-1] | length << 8
    return _avalanche_xxh64(combined ^ _u32(_SECRET, 0) ^ _u32(_SECRET, 4))


def _to_8(data: bytes) -> int:
    length = len(data)
    combined = _u32(data, length - 4) + (_u32(data, 0) << 32)
    value = (combined ^ _u64(_SECRET, 8) ^ _u64(_SECRET, 16)) & _MASK
    value ^= _rotate(value, 49) ^ _rotate(value, 24)
    value = value * 0x9FB21C651E98DF25 & _MASK
    value ^= (value >> 35) + length
    value = value * 0x9FB21C651E98DF25 & _MASK
    return value ^ value >> 28


def _to_16(data: bytes) -> int:
    length = len(data)
    low = _u64(data, 0) ^ _u64(_SECRET, 24) ^ _u64(_SECRET, 32)
    high = _u64(data, length - 8) ^ _u64(_SECRET, 40) ^ _u64(_SECRET, 48)
    swapped = int.from_bytes(low.to_bytes(8, "little"), "big")
    return _avalanche((length + swapped + high + _fold(low, high)) & _MASK)


def _mix(data: bytes, at: int, secret_at: int) -> int:
    return _fold(_u64(data, at) ^ _u64(_SECRET, secret_at), _u64(data, at + 8) ^ _u64(_SECRET, secret_at + 8))


def _to_128(data: bytes) -> int:
    length = len(data)
    total = length * _P64_1
    for step in range((length - 1) // 32 + 1):
        total += _mix(data, 16 * step, 32 * step) + _mix(data, length - 16 * (step + 1), 32 * step + 16)
    return _avalanche(total & _MASK)


def _to_240(data: bytes) -> int:
    length = len(data)
    total = length * _P64_1 + sum(_mix(data, 16 * n, 16 * n) for n in range(8))
    total = _avalanche(total & _MASK)
    total += sum(_mix(data, 16 * n, 16 * (n - 8) + 3) for n in range(8, length // 16))
    total += _mix(data, length - 16, 136 - 17)
    return _avalanche(total & _MASK)


def _rotate(value: int, by: int) -> int:
    return (value << by | value >> (64 - by)) & _MASK

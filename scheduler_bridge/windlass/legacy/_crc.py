"""Reflected CRCs of 32 and 64 bits, made with numpy.

A stretch is cut into lanes that are worked through side by side, a byte of each at a time; as a CRC is linear, the
lanes are then joined pairwise by moving the left one on over the right one's length.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt

Table = npt.NDArray[Any]

_LANE_BYTES = 256
_LANES = 4096
_STRETCH = _LANE_BYTES * _LANES


class Crc:
    """`polynomial` is the reflected one; begins with all ones and ends inverted, as both CRCs here do."""

    def __init__(self, bits: int, polynomial: int) -> None:
        self._math = _math(bits, polynomial)
        self._bits = bits
        self._ones = (1 << bits) - 1
        self._state = self._ones
        self._rest = b""

    def update(self, data: bytes) -> None:
        self._rest += data
        at = 0
        while len(self._rest) - at >= _STRETCH:
            self._state = self._math.stretch(self._state, self._rest[at : at + _STRETCH])
            at += _STRETCH
        self._rest = self._rest[at:]

    def hexdigest(self) -> str:
        state = self._math.tail(self._state, self._rest)
        return f"{state ^ self._ones:0{self._bits // 4}x}"


def crc32c() -> Crc:
    return Crc(32, 0x82F63B78)


def crc64nvme() -> Crc:
    return Crc(64, 0x9A6C9329AC4BC9B5)


@functools.lru_cache(maxsize=4)
def _math(bits: int, polynomial: int) -> _Math:
    return _Math(bits, polynomial)


class _Math:
    def __init__(self, bits: int, polynomial: int) -> None:
        self._bytes = bits // 8
        self._type: Any = np.uint32 if bits == 32 else np.uint64
        self.table = [_byte(value, polynomial) for value in range(256)]
        self._table = np.array(self.table, dtype=self._type)
        self._joins = self._join_tables(bits)

    def tail(self, state: int, data: bytes) -> int:
        """A stretch of any length."""
        lanes = len(data) // _LANE_BYTES
        lanes = 1 << (lanes.bit_length() - 1) if lanes else 0
        if lanes > 1:
            state = self.stretch(state, data[: lanes * _LANE_BYTES])
            return self.tail(state, data[lanes * _LANE_BYTES :])
        table = self.table
        for byte in data:
            state = table[(state ^ byte) & 0xFF] ^ state >> 8
        return state

    def stretch(self, state: int, data: bytes) -> int:
        """A power of two of lanes, at most `_LANES`."""
        columns = np.ascontiguousarray(np.frombuffer(data, dtype=np.uint8).reshape(-1, _LANE_BYTES).T)
        lanes = np.zeros(columns.shape[1], dtype=self._type)
        lanes[0] = state
        eight, low = self._type(8), self._type(0xFF)
        for column in columns:
            lanes = self._table[(lanes ^ column) & low] ^ lanes >> eight
        for tables in self._joins:
            if len(lanes) == 1:
                break
            lanes = self._moved(lanes[0::2], tables) ^ lanes[1::2]
        return int(lanes[0])

    def _moved(self, values: Table, tables: Table) -> Table:
        moved = np.zeros_like(values)
        for byte in range(self._bytes):
            moved ^= tables[byte][(values >> self._type(8 * byte)) & self._type(0xFF)]
        return moved

    def _join_tables(self, bits: int) -> list[Table]:
        """Per level of joining, for each byte of a value, what it becomes when moved over a lane's length."""
        basis = np.array([1 << bit for bit in range(bits)], dtype=self._type)
        eight, low = self._type(8), self._type(0xFF)
        for _ in range(_LANE_BYTES):
            basis = self._table[basis & low] ^ basis >> eight
        levels = []
        for _ in range(_LANES.bit_length() - 1):
            levels.append(self._byte_tables(basis))
            basis = self._moved(basis, levels[-1])
        return levels

    def _byte_tables(self, basis: Table) -> Table:
        tables = np.zeros((self._bytes, 256), dtype=self._type)
        for byte in range(self._bytes):
            for value in range(1, 256):
                low = value & -value
                tables[byte][value] = tables[byte][value ^ low] ^ basis[8 * byte + low.bit_length() - 1]
        return tables


def _byte(value: int, polynomial: int) -> int:
    for _ in range(8):
        value = value >> 1 ^ (polynomial if value & 1 else 0)
    return value

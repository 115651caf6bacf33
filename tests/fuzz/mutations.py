"""The golden messages of the wire, and ways to spoil them; all chance comes from the caller."""

from __future__ import annotations

import random
import struct
from pathlib import Path
from typing import Any

TOP = Path(__file__).parents[2]
ODD = [0x00, 0x7F, 0x80, 0x8F, 0x90, 0xA0, 0xC0, 0xC1, 0xC2, 0xC4, 0xC7, 0xCA, 0xCB, 0xCF, 0xD3, 0xD4, 0xDB, 0xDD, 0xDF]
VALUES = [
    *(
        None,
        True,
        False,
        0,
        -1,
        1,
        127,
        128,
        255,
        65536,
        2**31,
        2**32 - 1,
        2**32,
        2**63 - 1,
        2**63,
        2**64 - 1,
        -(2**63),
    ),
    *(0.0, -0.5, 1e300, float("inf"), "", "node", "é", "x" * 300, b"", b"\xff" * 16, b"/path"),
    *([], [1], [None, 2], {}, {"a": 1}, {1: 2}, {"in": ["a"]}, [["i8", 3]]),
]


def golden() -> dict[str, list[bytes]]:
    """{name: frames}"""
    messages = {}
    for path in sorted((TOP / "proto/golden").glob("*.bin")):
        data, frames, at = path.read_bytes(), [], 0
        while at < len(data):
            (size,) = struct.unpack_from("<I", data, at)
            frames.append(data[at + 4 : at + 4 + size])
            at += 4 + size
        messages[path.stem.partition("_")[2]] = frames
    return messages


def mutated_bytes(chance: random.Random, data: bytes) -> bytes:
    """The bytes with up to three of them replaced, taken out or doubled."""
    made = bytearray(data)
    for _ in range(chance.randint(0, 3)):
        at = chance.randrange(len(made) + 1)
        what = chance.randrange(4)
        if what == 0:
            made[at : at + 1] = bytes([chance.choice(ODD)])
        elif what == 1:
            made[at : at + 1] = bytes([chance.randrange(256)])
        elif what == 2:
            del made[at : at + chance.randint(1, 8)]
        else:
            made[at:at] = made[chance.randrange(len(made) or 1) :][: chance.randint(1, 16)]
    return bytes(made)


def mutated_value(chance: random.Random, value: Any) -> Any:
    """The value with something in it changed."""
    if isinstance(value, dict) and value and chance.random() < 0.85:
        key = chance.choice(list(value))
        what = chance.random()
        if what < 0.1:
            return {name: inner for name, inner in value.items() if name != key}
        if what < 0.2:
            return {**value, chance.choice(["other", "size", "range", "labels", "columns", key]): chance.choice(VALUES)}
        return {**value, key: mutated_value(chance, value[key])}
    if isinstance(value, list) and value and chance.random() < 0.7:
        at = chance.randrange(len(value))
        return [*value[:at], mutated_value(chance, value[at]), *value[at + 1 :]]
    return chance.choice(VALUES)

"""The Python codec of proto/protocol.md, its bounds, and the golden bytes that the C++ tests read too."""

from __future__ import annotations

import os
import random
import tracemalloc

import msgpack
import numpy as np
import pytest
from windlass import _wire
from windlass._wire import Header, Message, Type, WireError

ID = bytes(range(16))


def frames_of(message: Message) -> list[bytes]:
    return [bytes(frame) for frame in _wire.encode(message)]


def test_a_message_comes_back_as_it_went():
    columns = (np.arange(5, dtype="<i8"), np.arange(3, dtype="<i4"), np.array([2**64 - 1], dtype="<u8"))
    body = {"columns": _wire.declare(columns), "nothing": None, "nested": {"list": [1, -2, 2.5, b"x" * 300, "é", True]}}
    message = Message(Header(Type.MATCH, ID, 1500, "00-aa-bb-01"), body, columns)
    back = _wire.decode(frames_of(message))
    assert back.header == message.header
    assert back.body == body
    assert all(np.array_equal(mine, theirs) for mine, theirs in zip(columns, back.columns, strict=True))


def test_columns_are_views_into_the_frames_that_came():
    column = np.arange(1000, dtype="<i8")
    frames = _wire.encode(Message(Header(Type.MATCH, ID), {"columns": _wire.declare([column])}, (column,)))
    assert np.shares_memory(np.frombuffer(frames[2], dtype="<i8"), column)
    wire = [bytes(frame) for frame in frames]
    back = _wire.decode(wire).columns[0]
    assert np.shares_memory(back, np.frombuffer(wire[2], dtype="u1"))


def test_unknown_keys_and_types_are_read():
    header = msgpack.packb({"v": 1, "t": 999, "id": ID, "new": [1, {"a": 2}]})
    message = _wire.decode([header, msgpack.packb({"later": 1})])
    assert message.header.type == 999
    assert message.body == {"later": 1}


def deep(levels: int) -> bytes:
    return b"\x81\xa1a" * levels + b"\x00"


HOSTILE_BODIES = {
    "an array of four billion in five bytes": b"\xdd\xff\xff\xff\xff",
    "a map of four billion in five bytes": b"\xdf\xff\xff\xff\xff",
    "the same within a map": b"\x81\xa1a\xdd\xff\xff\xff\xff",
    "a str of four billion": b"\x81\xa1a\xdb\xff\xff\xff\xff",
    "a bin of four billion": b"\x81\xa1a\xc6\xff\xff\xff\xff",
    "a count one beyond the bytes": b"\x81\xa1a\x93\x01\x02",
    "counts that together are beyond the bytes": b"\x81\xa1a\x92\x92\x01\x01",
    "one level too deep": deep(_wire.DEPTH_MAX + 1),
    "an ext type": b"\x81\xa1a\xc7\x01\x00\x00",
    "a fixext": b"\x81\xa1a\xd4\x00\x00",
    "the byte that nobody uses": b"\x81\xa1a\xc1",
    "cut in the middle of a count": b"\x81\xa1a\xdd\x00",
    "cut in the middle of a number": b"\x81\xa1a\xcf\x00",
    "bytes left over": b"\x80\x00",
    "nothing": b"",
    "no map": b"\x91\x01",
    "a key that is no str": b"\x81\x01\x01",
    "a str that is not UTF-8": b"\x81\xa1a\xa1\xff",
}


@pytest.mark.parametrize("body", HOSTILE_BODIES.values(), ids=HOSTILE_BODIES.keys())
def test_hostile_bodies_are_refused_at_no_cost_and_keep_their_id(body: bytes):
    header = _wire.encode(Message(Header(Type.LOAD, ID)))[0]
    tracemalloc.start()
    try:
        with pytest.raises(WireError) as refused:
            _wire.decode([header, body])
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    assert refused.value.id == ID


def test_as_deep_as_allowed_is_read():
    header = _wire.encode(Message(Header(Type.LOAD, ID)))[0]
    assert _wire.decode([header, deep(_wire.DEPTH_MAX)]).body


@pytest.mark.parametrize(
    "header",
    [
        {},
        {"v": 1, "t": 1},
        {"v": 1, "t": 1, "id": ID[:15]},
        {"v": 1, "t": 1, "id": "0123456789abcdef"},
        {"v": 1, "t": -1, "id": ID},
        {"v": 1, "t": True, "id": ID},
        {"v": "1", "t": 1, "id": ID},
        {"v": 1, "t": 1, "id": ID, "dl": -1},
        {"v": 1, "t": 1, "id": ID, "tp": 7},
        {"v": 1, "t": 1, "id": ID, "x": "y" * _wire.HEADER_BYTES_MAX},
    ],
)
def test_odd_headers_are_refused(header: dict[str, object]):
    with pytest.raises(WireError):
        _wire.decode([msgpack.packb(header), b"\x80"])


@pytest.mark.parametrize(
    ("columns", "frames"),
    [
        ([["i8", 2]], [b"\0" * 8]),
        ([["i8", 2]], [b"\0" * 17]),
        ([["i8", 1]], []),
        ([], [b""]),
        ([["f8", 1]], [b"\0" * 8]),
        ([["i8", -1]], [b""]),
        ([["i8"]], [b""]),
        ("i8", [b"\0" * 8]),
        ([["i8", 2**61]], [b""]),
        ([["i4", 0]] * (_wire.COLUMNS_MAX + 1), [b""] * (_wire.COLUMNS_MAX + 1)),
    ],
)
def test_columns_that_do_not_fit_their_declaration_are_refused(columns: object, frames: list[bytes]):
    header = _wire.encode(Message(Header(Type.MATCH, ID)))[0]
    with pytest.raises(WireError):
        _wire.decode([header, msgpack.packb({"columns": columns}), *frames])


def test_a_message_that_is_too_large_is_not_sent():
    with pytest.raises(WireError):
        _wire.encode(Message(Header(Type.STAGE, ID), {"x": b"0" * (_wire.BODY_BYTES_MAX + 1)}))


def test_random_bytes_are_read_or_refused():
    seed = int(os.environ.get("WINDLASS_SEED", random.randrange(2**32)))
    chance = random.Random(seed)
    good = frames_of(
        Message(Header(Type.LOAD, ID, 5), {"load": {"sequence": 1, "roots": {"/": {"free_bytes": 2**40}}}})
    )
    for turn in range(20_000):
        frames = [bytearray(frame) for frame in good]
        for _ in range(chance.randrange(1, 4)):
            frame = chance.choice(frames)
            if not frame or chance.random() < 0.2:
                frame.append(chance.randrange(256))
            elif chance.random() < 0.2:
                del frame[chance.randrange(len(frame)) :]
            else:
                frame[chance.randrange(len(frame))] = chance.randrange(256)
        try:
            _wire.decode([bytes(frame) for frame in frames])
        except WireError:
            continue
        except Exception as error:
            pytest.fail(f"{error!r} in turn {turn}; WINDLASS_SEED={seed} runs it again")

"""The C++ and the Python codec on the same bytes: both take them or neither does, and what they write is alike.

Golden messages, mutated as bytes and as values. `WINDLASS_CODEC_SEED` draws other ones, `WINDLASS_CODEC_CASES` more.
"""

from __future__ import annotations

import os
import random
import struct
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import msgpack
import pytest
from windlass import _wire

from tests.fuzz.mutations import TOP, golden, mutated_bytes, mutated_value

PROGRAM = TOP / "build/release/bin/codec_echo"
HEADER, ANY = 0, 1
BODIES = {  # of codec_echo's kinds, by the golden messages that are such bodies
    2: ("hello",),
    3: ("welcome",),
    4: ("load_report",),
    5: ("result_load_seen",),
    6: ("result_load",),
    7: ("match",),
    8: ("result_match", "result_session_match"),
    9: ("session",),
    10: ("result_session_open", "result_session_change"),
    11: ("result_session_offers",),
    12: ("stage",),
    13: ("result_stage",),
    14: ("progress",),
    15: ("cancel",),
    16: ("result_cancel",),
    17: ("error",),
}
SEED = int(os.environ.get("WINDLASS_CODEC_SEED", "1"))
SOAK = "WINDLASS_SOAK" in os.environ
CASES = int(os.environ.get("WINDLASS_CODEC_CASES", "200000" if SOAK else "3000"))
LABELLED = 2
HELLO_BODY = {"role": "node", "versions": [1, 1], "name": "n", "incarnation": "0" * 16}
Case = tuple[int, bytes]
Answer = tuple[int, bytes]


def ask(cases: list[Case]) -> list[Answer]:
    sent = b"".join(struct.pack("<IB", len(data) + 1, kind) + data for kind, data in cases)
    done = subprocess.run([PROGRAM], input=sent, capture_output=True, check=True).stdout
    answers, at = [], 0
    for _ in cases:
        verdict, size = struct.unpack_from("<BI", done, at)
        answers.append((verdict, done[at + 5 : at + 5 + size]))
        at += 5 + size
    assert at == len(done)
    return answers


def cases_of(chance: random.Random, count: int) -> Iterator[Case]:
    messages = golden()
    bodies = [
        (kind, frames[1])
        for kind, names in BODIES.items()
        for name, frames in messages.items()
        if name.startswith(names)
    ]
    headers = [(HEADER, frames[0]) for frames in messages.values()]
    full = {
        "v": 1,
        "t": 4,
        "id": bytes(16),
        "dl": 1500,
        "tp": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    }
    headers.append((HEADER, msgpack.packb(full)))
    for _ in range(count):
        kind, data = chance.choice(headers if chance.random() < 0.25 else bodies)
        if chance.random() < 0.5:
            value = msgpack.unpackb(data, strict_map_key=False)
            for _ in range(chance.randint(0, 2)):
                value = mutated_value(chance, value)
            data = msgpack.packb(value)
        else:
            data = mutated_bytes(chance, data)
        yield kind, data
        if kind != HEADER:
            yield ANY, data


def python_any(data: bytes) -> bytes | None:
    """The body written anew; None where the codec refuses it."""
    try:
        return msgpack.packb(_wire._unpack_map(data, None))
    except _wire.WireError:
        return None


def python_header(data: bytes) -> bytes | None:
    try:
        header = _wire.decode_header(data)
    except _wire.WireError:
        return None
    return bytes(_wire.encode(_wire.Message(header))[0])


def told(kind: int, data: bytes) -> str:
    return f"kind {kind}, {data.hex()}; again with WINDLASS_CODEC_SEED={SEED} WINDLASS_CODEC_CASES={CASES}"


def check_header(data: bytes, verdict: int, written: bytes) -> None:
    assert python_header(data) == (written if verdict else None), told(HEADER, data)


def check_any(data: bytes, verdict: int, written: bytes) -> None:
    if verdict != 2:  # else: which keys are equal is the language's affair
        assert python_any(data) == (written if verdict else None), told(ANY, data)


def check_typed(kind: int, data: bytes, verdict: int, written: bytes) -> None:
    """What the C++ codec takes as this message the Python one takes, and finds in it what it says."""
    if not verdict:
        return
    ours = python_any(data)
    assert ours is not None, told(kind, data)
    assert python_any(written) == written, told(kind, data)
    before, after = (msgpack.unpackb(part, strict_map_key=False) for part in (ours, written))
    for key in before.keys() & after.keys():
        assert same(before[key], after[key]), f"{key}: {told(kind, data)}"


def same(before: Any, after: Any) -> bool:
    """As far as a codec may change what it reads: keys it does not know go, defaults come."""
    if isinstance(before, dict) and isinstance(after, dict):
        return all(same(before[key], after[key]) for key in before.keys() & after.keys())
    if isinstance(before, list) and isinstance(after, list):
        return len(before) == len(after) and all(map(same, before, after))
    if before is None or after is None:
        return True
    if isinstance(after, float):
        return float(before) == after or after != after
    return type(before) is type(after) and before == after


def check(kind: int, data: bytes, verdict: int, written: bytes) -> None:
    if kind == HEADER:
        check_header(data, verdict, written)
    elif kind == ANY:
        check_any(data, verdict, written)
    else:
        check_typed(kind, data, verdict, written)


def test_both_codecs_take_the_same_bytes_and_write_the_same() -> None:
    cases = list(cases_of(random.Random(SEED), CASES))
    answers = ask(cases)
    taken = 0
    for (kind, data), (verdict, written) in zip(cases, answers, strict=True):
        taken += verdict != 0
        check(kind, data, verdict, written)
    assert len(cases) / 10 < taken < len(cases) * 9 / 10, "both verdicts are to be tried"
    again = [(kind, written) for (kind, _), (verdict, written) in zip(cases, answers, strict=True) if verdict]
    for (kind, data), (verdict, written) in zip(again, ask(again), strict=True):
        assert verdict and written == data, told(kind, data)


def test_both_codecs_take_as_many_keys() -> None:
    """Mutations hardly make so many."""
    header = {"v": 1, "t": 4, "id": bytes(16)}
    letters = [chr(code) for code in range(128)]
    names = letters + [
        first + second for first in letters[:8] for second in letters
    ]  # so short that a header holds them
    cases = []
    for count in (1024, 1025):
        unknown = dict.fromkeys(names[:count])
        named = {
            **header,
            **{name: None for name in names[: count - 1] if name not in header},
        }  # v and t are among them
        cases += [(HEADER, msgpack.packb(named)), (ANY, msgpack.packb(unknown))]
        cases += [(ANY, msgpack.packb({"unknown": unknown}))]  # passed over
        cases += [(LABELLED, msgpack.packb({**HELLO_BODY, "labels": dict.fromkeys(unknown, "")}))]
    assert all(len(data) <= _wire.HEADER_BYTES_MAX for kind, data in cases if kind == HEADER)
    taken = []
    for (kind, data), (verdict, written) in zip(cases, ask(cases), strict=True):
        taken.append(bool(verdict))
        check(kind, data, verdict, written)
    assert taken == [True] * 4 + [False, False, True, False]


@pytest.mark.parametrize(
    ("what", "frame"),
    [
        ("a doubled key", b"\x82\xa1a\x01\xa1a\x02"),
        ("a doubled key within", b"\x81\xa1m\x82\xa1a\x01\xa1a\x02"),
        ("a key that is no str", b"\x81\x01\x01"),
    ],
)
def test_python_refuses(what: str, frame: bytes) -> None:
    refused: Callable[[bytes], bytes | None] = python_any
    assert refused(frame) is None, what


def test_short_messages_are_read_as_if_walked_first(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(SEED)
    data = [case for _, case in cases_of(chance, CASES)]
    data += [
        part[:-1] + tail for part in data[:200] for tail in (b"\xd6\xff\0\0\0\1", b"\xd4\1\0", b"\xc1", b"\x91" * 20)
    ]
    at_once = [python_any(each) for each in data]
    assert sum(_wire._is_harmless(each) for each in data) > len(data) // 2
    monkeypatch.setattr(_wire, "_HARMLESS_BYTES_MAX", -1)
    for each, read in zip(data, at_once, strict=True):
        assert python_any(each) == read, told(ANY, each)

"""Ids of STAGE over the death of a real windlassd: what has begun does not begin a second time."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import windlass
from support import Raw
from windlass import _wire
from windlass._wire import Message, Type

MIB = 1 << 20
NOT_FOUND = 5


def asked(raw: Raw, body: dict[str, Any], request_id: bytes) -> Message:
    """Its first answer."""
    raw.send(*_wire.encode(Message(_wire.Header(Type.STAGE, request_id), body)))
    return answer_to(raw, request_id)


def answer_to(raw: Raw, request_id: bytes, but: tuple[Type, ...] = ()) -> Message:
    while True:
        answer = raw.answer(60)
        assert answer is not None, "no answer"
        if answer.header.id == request_id and answer.header.type not in but:
            return answer


def test_what_runs_long_is_not_begun_again_whatever_ended_beside_it(
    nodes: Callable[..., windlass.LocalNode], tmp_path: Path
):
    """The file of ends goes on in a new one after 16 MiB, and a third makes the first go."""
    state, root = tmp_path / "state", tmp_path / "root"
    root.mkdir()
    (root / "source").write_bytes(os.urandom(64 * MIB))
    name = "x" * 200
    wish = {"transfers": [{"source": os.fsencode(root / "source"), "target": os.fsencode(root / "target")}]}
    absent = {
        "transfers": [
            {"source": os.fsencode(root / f"{name}{number}"), "target": os.fsencode(root / "none")}
            for number in range(4000)
        ]
    }
    node = nodes({"stage.roots": [str(root)], "state.path": str(state), "stage.bandwidth_max": "1MiB"})
    long, others = _wire.new_id(), []
    with Raw(node.address) as raw:
        raw.hello()
        assert asked(raw, wish, long).header.type == Type.PROGRESS
        files: set[int] = set()
        while len(files) < 4:
            others.append(_wire.new_id())
            assert asked(raw, absent, others[-1]).header.type == Type.PROGRESS
            ended = answer_to(raw, others[-1], but=(Type.PROGRESS,))
            assert ended.header.type == Type.RESULT
            assert MIB < len(_wire.encode(ended)[1]) < 4 * MIB, "large, and still kept"
            files |= {path.stat().st_ino for path in state.glob("ends-*") if path.suffix not in (".lock", ".old")}
            assert len(others) < 60, "the file of ends is never turned"
    node.kill()
    node.start()
    with Raw(node.address) as raw:
        raw.hello()
        raw.send(*_wire.encode(Message(_wire.Header(Type.PROGRESS, long), {})))
        for first in (answer_to(raw, long), asked(raw, wish, long)):
            assert (first.header.type, first.body.get("code")) == (Type.ERROR, NOT_FOUND), first.body
        for other in others:
            first = asked(raw, absent, other)
            assert first.header.type == Type.RESULT or first.body.get("code") == NOT_FOUND, "it begins again"
    assert not (root / "target").exists()

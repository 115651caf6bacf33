"""A bridge keeps to the credits of its nodes: bulk waits in it by node, control goes ahead, and nothing is dropped."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import windlass
from core_world import Ends, World
from support import Raw, eventually
from windlass import Transfer, _flow
from windlass._credits import LOST_S
from windlass._stage import StageRequest
from windlass._stage_remote import RemoteStage
from windlass._wire import Header, Message, Type, encode

Make = Callable[..., windlass.LocalNode]
A, AGAIN = b"a/" + b"1" * 16, b"a/" + b"2" * 16
CREDITS = {"features": ["credits"], "credit_requests": 2, "credit_bytes": 2**20}
EXHAUSTED = windlass.Code.RESOURCE_EXHAUSTED


def key(number: int) -> bytes:
    return number.to_bytes(16, "big")


@pytest.fixture
def world() -> World:
    """A node `a` with two credits."""
    made = World()
    made.hello("a", **CREDITS)
    return made


def stage(world: World, count: int, first: int = 0) -> list[Ends]:
    return [world.stage(A, key(first + number)) for number in range(count)]


def gone(world: World) -> list[int]:
    """Which have left until now."""
    world.left += world.leave()
    return [int.from_bytes(request_id, "big") for _, request_id in world.left]


@pytest.mark.parametrize(
    ("kind", "body"),
    [(Type.PROGRESS, {}), (Type.RESULT, {"transfers": []}), (Type.ERROR, {"code": 8, "message": "full"})],
)
def test_the_first_word_on_a_call_lets_the_next_one_go(world: World, kind: Type, body: dict):
    stage(world, 5)
    assert gone(world) == [0, 1]
    for number, expected in ((1, [0, 1, 2]), (0, [0, 1, 2, 3]), (1, [0, 1, 2, 3])):
        world.send(A, kind, body, key(number))
        assert gone(world) == expected
    assert world.core.flow.held("a") == 2


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({**CREDITS, "credit_requests": 100, "credit_bytes": 1}, [0]),
        ({**CREDITS, "credit_requests": 0, "credit_bytes": "odd"}, [0, 1, 2]),
        ({**CREDITS, "features": []}, [0, 1, 2]),
        ({}, [0, 1, 2]),
    ],
)
def test_what_a_node_tells_is_what_it_gets(fields: dict, expected: list[int]):
    world = World()
    world.hello("a", **fields)
    stage(world, 3)
    assert gone(world) == expected


def test_a_line_that_is_full_refuses(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("windlass._flow.WAITING_MAX", 3)
    ends = stage(world, 6)
    (refused,) = ends[5].errors
    assert (refused.code, refused.retryable) == (EXHAUSTED, True) and "wait" in str(refused)
    assert not any(end.errors for end in ends[:5])
    world.send(A, Type.PROGRESS, {}, key(0))
    assert gone(world) == [0, 1, 2]
    assert stage(world, 1, first=6)[0].errors == []


@pytest.mark.parametrize(
    ("how", "code"),
    [
        (lambda world: world.send(A, Type.BYE), windlass.Code.UNAVAILABLE),
        (lambda world: world.send(A, Type.DRAIN), windlass.Code.UNAVAILABLE),
        (lambda world: world.load("a", load={"draining": True}), windlass.Code.UNAVAILABLE),
        (lambda world: world.pass_time(11), windlass.Code.UNAVAILABLE),
    ],
)
def test_what_waits_for_a_node_that_takes_no_more_ends(world: World, how: Callable[[World], object], code: int):
    ends = stage(world, 4)
    how(world)
    world.tell()
    assert gone(world) == [0, 1]
    assert [[error.code for error in end.errors] for end in ends[2:]] == [[code], [code]]


@pytest.mark.parametrize("process", ["", "p"])
def test_what_waits_goes_over_the_next_connection_which_owes_nothing(process: str):
    world = World()
    world.hello("a", **CREDITS, process=process)
    stage(world, 5)
    world.hello("a", "2" * 16, **CREDITS, process=process)
    world.left += world.leave()
    assert world.left == [(A, key(0)), (A, key(1)), (AGAIN, key(2)), (AGAIN, key(3))]
    world.send(A, Type.PROGRESS, {}, key(0))
    assert gone(world) == [0, 1, 2, 3], "the older connection frees nothing"


def test_what_was_given_up_holds_its_credit_until_a_word_comes_or_none_can(world: World):
    stage(world, 4)
    world.core.end(key(0), windlass.Cancelled("given up"))
    world.core.end(key(1), windlass.Cancelled("given up"))
    assert gone(world) == [0, 1]
    world.send(A, Type.ERROR, {"code": 1, "message": "cancelled"}, key(0))
    assert gone(world) == [0, 1, 2]
    for _ in range(int(LOST_S) + 2):
        world.pass_time(1)
        world.load("a")
    assert gone(world) == [0, 1, 2, 3]


def test_who_waits_too_long_ends_and_never_leaves(world: World):
    ends = stage(world, 3)
    waiting = world.core.requests.get(key(2))
    assert waiting is not None
    waiting.timeout = 30.0
    error = world.core.overdue(waiting)
    assert (error.code, error.retryable) == (EXHAUSTED, True)
    world.core.end(key(2), error)
    world.tell()
    world.send(A, Type.PROGRESS, {}, key(0))
    assert gone(world) == [0, 1] and ends[2].errors == [error]


def test_a_full_queue_is_tried_again_in_order(world: World):
    stage(world, 1)
    world.send(A, Type.PROGRESS, {}, key(0))
    request = windlass._requests.Request(key(1), Type.STAGE, {}, (), Ends(), None, lasting=True)
    assert world.core.submit("a", request, world.now) is None
    bulk = world.core.flow.next()
    assert bulk is not None and bulk.request is request
    world.core.flow.pause(request)
    stage(world, 1, first=2)
    assert gone(world) == [0], "none overtakes it"
    world.pass_time(0.25)
    assert gone(world) == [0, 1, 2]


# ---- Real nodes ------------------------------------------------------------------------------------------------------


@pytest.fixture
def patient() -> Iterator[windlass.Bridge]:
    """A bridge that bears with a stopped node."""
    with windlass.Bridge("tcp://127.0.0.1:0", beat=0.1, suspect_after=5.0, dead_after=60.0) as made:
        yield made


def held(bridge: windlass.Bridge, node: str = "n") -> int:
    return bridge._thread.core.flow.held(node)


def begin(bridge: windlass.Bridge, folder: Path, count: int) -> list[RemoteStage]:
    (folder / "source").write_bytes(b"x" * 100)
    requests = [
        StageRequest([Transfer(folder / "source", folder / f"t{number}", durability="none")], relative=False)
        for number in range(count)
    ]
    return [bridge.begin_stage("n", request) for request in requests]


def test_a_stopped_node_gets_what_it_has_credit_for_and_the_rest_later(
    nodes: Make, patient: windlass.Bridge, tmp_path: Path
):
    node = nodes({"node.name": "n", "bridge.address": patient.address, "stage.roots": [str(tmp_path)]})
    eventually(lambda: patient.offers())
    assert node.pid is not None
    os.kill(node.pid, signal.SIGSTOP)
    try:
        calls = begin(patient, tmp_path, 600)
        eventually(lambda: held(patient) == 256, what="as many as it takes are under way")
        calls[-1].future.cancel()
        with pytest.raises(windlass.StageError) as cancelled:
            calls[-1].accepted.result(10)
        assert cancelled.value.code == windlass.Code.CANCELLED
        assert held(patient) == 256
    finally:
        os.kill(node.pid, signal.SIGCONT)
    for call in calls[:-1]:
        assert call.accepted.result(60).result(60).ok
    assert held(patient) == 0 and not (tmp_path / "t599").exists()


def test_control_goes_ahead_of_bulk(patient: windlass.Bridge, tmp_path: Path):
    hello = {"role": "node", "versions": [1, 1], "name": "n", "incarnation": "1" * 16, "labels": {}}
    with Raw(patient.address, b"n/" + b"1" * 16) as raw:
        welcome = raw.ask(Type.HELLO, {**hello, **CREDITS, "features": ["credits", "grant"]})
        assert welcome is not None and "credits" in welcome.body["features"]
        offers = [{"name": "n", "resources": {"cpu": 4.0}}]
        raw.ask(Type.LOAD, {"load": {"sequence": 1}, "offers_version": 1, "offers": offers, "grants": []})
        calls = begin(patient, tmp_path, 5)
        came = [raw.answer() for _ in range(2)]
        assert [message.header.type for message in came if message] == [Type.STAGE, Type.STAGE]
        grant = patient._thread.core.grants
        asked = windlass._grants.Grant(key(7), "n", "n", 1, {"cpu": 10_000}, {})
        patient._thread.ask_grants([asked], {"n": "1" * 16}, lambda: None)
        control = raw.answer()
        assert control is not None and control.header.type == Type.GRANT, "past three that wait"
        raw.send(*encode(Message(Header(Type.RESULT, control.header.id), {"version": 1, "refused": [], "unknown": []})))
        assert came[0] is not None
        raw.send(*encode(Message(Header(Type.PROGRESS, came[0].header.id), {"bytes": 0, "files": 0})))
        third = raw.answer()
        assert third is not None and third.header.type == Type.STAGE
        assert calls[0].accepted.result(10) is not None
        eventually(lambda: len(grant) == 1)
        raw.send(*encode(Message(Header(Type.BYE, key(9)), {})))
        for call in calls[1:]:
            with pytest.raises(windlass.StageError):
                call.accepted.result(10)


def test_the_line_is_bounded(patient: windlass.Bridge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_flow, "WAITING_MAX", 2)
    hello = {"role": "node", "versions": [1, 1], "name": "n", "incarnation": "1" * 16, "labels": {}}
    with Raw(patient.address, b"n/" + b"1" * 16) as raw:
        raw.ask(Type.HELLO, {**hello, **CREDITS})
        calls = begin(patient, tmp_path, 5)
        with pytest.raises(windlass.StageError) as refused:
            calls[-1].accepted.result(10)
        assert refused.value.code == EXHAUSTED and refused.value.retryable
        raw.send(*encode(Message(Header(Type.BYE, key(9)), {})))
        for call in calls[:-1]:
            with pytest.raises(windlass.StageError):
                call.accepted.result(10)

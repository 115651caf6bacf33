"""What comes and goes leaves nothing behind: after tens of thousands of rounds a client, a session and a bridge hold as
many entries as after a few."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Any

from core_world import World
from fake import FakeDaemon, silent
from support import eventually
from windlass._channel import Channel
from windlass._errors import WindlassError
from windlass._grant import Grant
from windlass._nodes import DEAD_KEPT_MAX
from windlass._reply import Reply
from windlass._requests import SPARE, Request, Requests
from windlass._seldom import REASONS_MAX, Seldom
from windlass._wire import Message, Type, new_id


def request(timeout: float | None, lasting: bool = False) -> Request:
    return Request(new_id(), Type.MATCH, {}, (), Reply(), timeout, lasting)


# ---- A client's requests ---------------------------------------------------------------------------------------------


def test_requests_that_were_answered_leave_no_deadline():
    requests = Requests()
    waiting = [request(3600.0) for _ in range(100)]
    for each in waiting:
        requests.add(each, 0.0)
    for turn in range(30_000):
        each = request(3600.0, lasting=turn % 3 == 0)
        requests.add(each, turn * 1e-3)
        if turn % 6 == 0:
            requests.advance(each.id, {}, turn * 1e-3)
        requests.end(each.id, WindlassError("no"))
        assert len(requests._deadlines) <= 2 * len(requests) + SPARE + 2
    assert len(requests) == 100
    assert requests.next_moment() == 3600.0
    assert requests.silent(3599.0) == []
    late = requests.silent(3600.0)
    assert {each.id for each in late} == {each.id for each in waiting} and len(late) == 100, "each once"


def test_requests_given_up_before_they_were_sent_leave_no_place_in_line(tmp_path: Path):
    def welcome(daemon: FakeDaemon, routing: bytes, message: Message) -> None:
        body = {"version": 1, "name": "fake", "incarnation": "0" * 16}
        credits = {"features": ["credits"], "credit_requests": 1, "credit_bytes": 1000}
        daemon.reply(routing, message, Type.WELCOME, body | credits)

    with FakeDaemon(f"ipc://{tmp_path}/daemon", {Type.HELLO: welcome, Type.MATCH: silent}) as daemon:
        channel = Channel(daemon.endpoint)
        try:
            channel.submit(Type.MATCH, {}, Reply(), timeout=3600)
            eventually(lambda: Type.MATCH in daemon.kinds())
            channel.submit(Type.MATCH, {}, Reply(), timeout=3600)  # waits for the first, and others behind it
            for turn in range(5_000):
                reply = Reply()
                channel.abandon(channel.submit(Type.MATCH, {}, reply, timeout=3600))
                if turn % 100 == 99:
                    assert isinstance(reply.exception(30), WindlassError)
            assert len(channel._requests) == 2
            assert len(channel._waiting) <= 2 * 3 + SPARE
        finally:
            channel.close()


def test_reasons_that_were_told_long_ago_are_forgotten():
    seldom = Seldom()
    for turn in range(10_000):
        assert seldom.due(f"node-{turn}", now=turn * 0.1) == 0
        assert seldom.due(f"node-{turn}", now=turn * 0.1 + 0.01) is None
    assert len(seldom._said) <= REASONS_MAX
    assert seldom.due("node-9999", now=10_000.0) == 1, "how often it was left out"


# ---- A bridge's nodes ------------------------------------------------------------------------------------------------


def entries(thing: Any, name: str) -> dict[str, int]:
    """How many things each table of an object of the bridge's holds, by its path."""
    found: dict[str, int] = {}
    for part, value in vars(thing).items():
        if isinstance(value, dict | set | list | deque):
            found[f"{name}.{part}"] = len(value)
        elif type(value).__module__.startswith("windlass._"):
            found |= entries(value, f"{name}.{part}") if part != "nodes" or name == "core" else {}
    return found


def test_nodes_that_come_and_go_under_new_names_leave_nothing():
    world = World()
    world.hello("staying", features=["grant"])
    rounds, owners = 2_500, []
    for turn in range(rounds):
        name = f"node-{turn}"
        routing = f"{name}/{'1' * 16}".encode()
        world.hello(name, features=["grant"] if turn % 2 else [], labels={"zone": f"z{turn}"})
        if turn % 3:  # the others end before their first report
            world.load(name, offers=[{"name": name, "resources": {"cpu": 4}}], grants=[], grants_version=1)
            owner = object()
            grant = Grant(new_id(), name, name, 1, {"cpu": 10_000}, {}, owner=owner)
            asking = world.core.grants.ask([grant], {name: "1" * 16}, lambda: None)
            for _, message in asking.sends if turn % 5 else ():
                world.send(routing, Type.RESULT, {"version": 2}, message.header.id)
            if turn % 2:
                world.core.grants.forget(owner)
            else:
                owners.append(owner)
        world.stage(routing, new_id())
        if turn % 2:
            world.send(routing, Type.BYE)
        elif turn % 100 == 98:
            world.pass_time(12.0, step=0.5)
            world.hello("staying", features=["grant"])
            while owners:
                world.core.grants.forget(owners.pop())
        world.core.untold.clear()
        world.left.clear()
    world.pass_time(12.0, step=0.5)
    for owner in owners:
        world.core.grants.forget(owner)
    world.pass_time(400.0, step=5.0)  # what was held is over, and what was released is forgotten
    counts = entries(world.core, "core")
    kept = counts.pop("core.nodes._by_name")
    assert kept <= DEAD_KEPT_MAX + 1
    assert {path: count for path, count in counts.items() if count > SPARE} == {}, f"of {rounds} nodes"

"""Odd offers of one node, and offers that contradict each other, cost a bridge's sessions those offers and no more."""

from __future__ import annotations

import logging
import os
import random
from typing import Any

import pytest
import windlass
from grant_world import Node, World
from session_world import session_of
from windlass._bridge_session import BridgeSession
from windlass._native_session import NativeSession
from windlass._wire import Header, Message, Type, new_id

ODD: list[Any] = [{"name": "odd", "resources": {"cpu": 64}, "lables": {"zone": "a"}}]


def task(name: str, cpu: float = 1, **fields: Any) -> list[dict[str, Any]]:
    return [{"name": name, "resources": {"cpu": cpu}, **fields}]


def names(session: BridgeSession) -> list[str]:
    return [offer["name"] for offer in session.offers()]


def world_of(**records: list[Any] | None) -> World:
    """Nodes by name, with what they tell; None: four cores."""
    return World(*(Node(name, {name: 4}, own) for name, own in records.items()))


def test_an_odd_offer_hides_no_other(caplog: pytest.LogCaptureFixture):
    world = world_of(a=None)
    with caplog.at_level(logging.WARNING, "windlass"), session_of(world, mode="packing") as session:
        assert session.match(task("t")).warnings == []
        world.nodes |= {"odd": Node("odd", {"odd": 64}, ODD), "b": Node("b", {"b": 64})}
        for name in ("odd", "b"):  # all in one step of the session
            world.nodes[name].start()
        world.settle()
        result = session.match(task("big", 60))
        assert result.assignments == {"big": "b"}
        assert len(result.warnings) == 1 and "did you mean 'labels'" in result.warnings[0]
        assert names(session) == ["a", "b"] and "lables" in session.left_out()["odd"]
        told = world.core.nodes.snapshot()
        assert told["odd"].left_out == session.left_out() and told["odd"].left_out_count == 1
        assert (told["a"].left_out, told["a"].left_out_count) == ({}, 0)
        for _ in range(5):
            world.nodes["odd"].dial()
            world.settle()
            session.match([])
        said = [line for line in caplog.messages if "lables" in line]
        assert said == [f"node odd: 1 of its 1 offers left out: 'odd': {session.left_out()['odd']}"], "once"
        world.nodes["odd"].change(None)
        world.settle()
        assert session.match(task("u", 50)).assignments == {"u": "odd"} and session.left_out() == {}
        with session_of(world) as other:
            assert set(names(other)) == {"a", "odd", "b"}


def test_what_else_changed_beside_an_odd_offer_is_not_lost():
    """A node that goes, one that shrinks and one that grows, in the same step as an odd one."""
    world = world_of(a=None, b=None, c=None, d=None)
    with session_of(world, mode="packing") as session:
        assert session.match(task("t", 4)).assignments == {"t": "a"}
        world.nodes["b"].change([{"name": "b", "resources": {"cpu": 1}}])
        world.nodes["c"].change([{"name": "c", "resources": {"cpu": 9}}])
        world.nodes["d"].change([{"name": "d", "cpu": "4"}])
        gone = world.nodes.pop("a")
        world.settle()
        world.send(world.core.handle(gone.routing, a_bye(), world.now))
        free = {offer["name"]: offer["resources"]["cpu"] for offer in session.offers() if "only" not in offer}
        assert free == {"b": 1, "c": 9}
        assert session.grants() == {}


def a_bye() -> Message:
    return Message(Header(Type.BYE, new_id()))


def test_an_offer_that_turns_odd_keeps_its_tasks_and_gets_no_more():
    world = world_of(a=[{"name": "a", "resources": {"cpu": 4}}], b=[])
    with session_of(world, mode="packing") as session:
        assert session.match(task("t")).assignments == {"t": "a"}
        grants = session.grants()
        world.nodes["a"].change([{"name": "a", "resources": {"cpu": -4}}])
        world.settle()
        result = session.match(task("u"))
        assert result.unmatched == ["u"] and list(result.explain("u").reasons) == ["only.node.offer"]
        assert session.grants() == grants and session.offers()[0].tasks == ["t"]
        world.nodes["a"].dial()  # a new connection tells nothing new
        session.match([])
        assert session.grants() == grants
        world.settle()
        assert session.match(task("v")).unmatched == ["v"] and session.grants() == grants
        world.nodes["a"].change([{"name": "a", "resources": {"cpu": 2}}])
        world.settle()
        assert session.match(task("u") + task("v")).assignments == {"u": "a"}
        assert set(session.grants()) == {"t", "u"}


def test_amount_here_and_devices_there():
    amount, devices = {"name": "a", "resources": {"cpu": 4, "gpu": 4}}, {"name": "b", "cpu": 4, "devices": {"gpu": [1]}}
    world = world_of(a=[amount], b=[devices], c=None)
    with session_of(world, mode="packing") as session:
        assert names(session) == ["a", "c"]
        assert session.left_out() == {"b": "devices.gpu: 'gpu' is an amount of node a"}
        assert session.match([{"name": "t", "gpu": 1}]).assignments == {"t": "a"}
        assert world.core.nodes.offers() == [amount, {"name": "c", "resources": {"cpu": 4}}]
        world.nodes["a"].change([{"name": "a", "cpu": 4, "devices": {"gpu": [1, 1]}}])
        world.settle()
        assert session.match(task("u", 3)).assignments == {"u": "c"}, "a and b: an amount it is for this session's life"
        assert "in one session" in session.left_out()["a"] and "in one session" in session.left_out()["b"]
        back = session.grants()
    with session_of(world, mode="packing") as again:
        assert again.left_out() == {} and sorted(names(again)) == ["a", "b", "c"]
        assert again.match([{"name": "v", "devices": {"gpu": 2}}]).assignments == {"v": "a"}
    assert back


def test_a_price_is_wanted_under_cost():
    world = world_of(a=[{"name": "a", "cpu": 4, "price": 2}], b=None, c=[{"name": "c", "cpu": 4, "price": 1}])
    with session_of(world, mode="packing", policy="cost") as session:
        result = session.match(task("t"))
        assert result.assignments == {"t": "c"} and "policy='cost' needs" in result.warnings[0]
        assert list(session.left_out()) == ["b"] and world.core.nodes.snapshot()["b"].left_out == {}
        world.nodes["c"].change([{"name": "c", "cpu": 4}])  # its price is gone
        world.nodes["b"].change([{"name": "b", "cpu": 4, "price": 0.5}])
        world.settle()
        assert session.match(task("u")).assignments == {"u": "b"}
        assert set(session.grants()) == {"t", "u"} and list(session.left_out()) == ["c"]


def test_options_that_no_offer_goes_with_are_told_at_once():
    world = world_of(a=None, b=None)
    with pytest.raises(windlass.InvalidArgument, match="policy='cost' needs"):
        session_of(world, policy="cost")
    with pytest.raises(windlass.InvalidArgument, match="what `dimensions` names"):
        session_of(world, dimensions=["gpu"])
    with session_of(world_of(), policy="cost") as session:  # where nobody is there yet
        assert session.match(task("t")).unmatched == ["t"]


def test_what_does_not_go_with_scale_and_dimensions_is_left_out():
    world = world_of(a=None, b=[{"name": "b", "resources": {"cpu": 4, "disk": 1}}], c=[{"name": "c", "cpu": 1e9}])
    with session_of(world, dimensions=["cpu"], scale={"cpu": 4}) as session:
        assert names(session) == ["a"] and set(session.left_out()) == {"b", "c"}
        assert session.match(task("t")).assignments == {"t": "a"}


def test_a_failure_in_the_midst_of_it_is_made_good_by_the_next_call(monkeypatch: pytest.MonkeyPatch):
    """Whatever ends a step, as Ctrl-C or a library that fails, nothing that was seen is forgotten by that."""
    world = world_of(a=None, b=None)
    with session_of(world, mode="packing") as session:
        assert session.match(task("t", 4) + task("u", 4)).unmatched == []
        world.nodes["c"] = Node("c", {"c": 4})
        world.nodes["c"].start()
        world.nodes["a"].change([{"name": "a", "resources": {"cpu": 7}}])
        gone = world.nodes.pop("b")
        world.settle()
        world.send(world.core.handle(gone.routing, a_bye(), world.now))
        apply, left = NativeSession.apply, 3

        def failing(self: NativeSession, change: Any) -> None:
            nonlocal left
            left -= 1
            if left >= 0:
                raise KeyboardInterrupt
            apply(self, change)

        monkeypatch.setattr(NativeSession, "apply", failing)
        for _ in range(3):
            with pytest.raises(KeyboardInterrupt):
                session.offers()
        free = {offer["name"]: offer["resources"]["cpu"] for offer in session.offers()}
        assert free == {"a": 3, "c": 4} and set(session.grants()) == {"t"}


def test_sessions_follow_nodes_that_at_times_tell_odd_offers():
    """Random nodes: what a session shows is what the nodes' good records say, whatever else was told between."""
    seed = int(os.environ.get("WINDLASS_SEED", random.randrange(2**32)))
    print(f"WINDLASS_SEED={seed}")
    chance = random.Random(seed)
    world = world_of(**dict.fromkeys("abcde"))
    sessions = [session_of(world, mode="packing"), session_of(world)]
    good: dict[str, int] = dict.fromkeys("abcde", 4)
    for step in range(150):
        for name in chance.sample("abcde", chance.randrange(3)):
            node, cpu = world.nodes[name], chance.randrange(1, 9)
            if chance.random() < 0.4:
                node.change([a_wrong(chance, name)])
                good.pop(name, None)
            else:
                node.change([{"name": name, "resources": {"cpu": cpu}}])
                node.offers, good[name] = {name: cpu}, cpu
        if chance.random() < 0.1:
            world.nodes[chance.choice("abcde")].dial()
        world.settle()
        for session in sessions:
            result = session.match(task(f"t{step}", chance.randrange(1, 4)))
            assert set(result.assignments.values()) <= set(good)
            held = session.grants()
            assert set(held) >= set(result.assignments)
            if len(held) > 5:
                session.release(chance.sample(sorted(held), 4))
            world.settle()
        shown = {o["name"] for o in sessions[0].offers() if not set(o.get("only") or {}) - {"node.grant"}}
        assert shown == set(good)
        assert set(sessions[0].left_out()) == set("abcde") - set(good)
    for session in sessions:
        session.close()


def a_wrong(chance: random.Random, name: str) -> Any:
    wrong: list[dict[str, Any]] = [{"lables": {}}, {"resources": {"cpu": "4"}}, {"price": -1}]
    wrong.append({"devices": {"cpu": [1]}})
    return {"name": name, "resources": {"cpu": 4}, **chance.choice(wrong)}

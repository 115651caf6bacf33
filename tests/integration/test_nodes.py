"""The bridge's table of nodes and its protocol, without socket or clock: the test tells the time."""

from __future__ import annotations

import pytest
from core_world import ID, OTHER, World
from windlass._wire import Header, Type


@pytest.fixture
def world() -> World:
    return World()


A = b"a/" + b"1" * 16


def test_a_node_registers_and_reports(world: World):
    welcome = world.hello("a")
    assert welcome.header.type == Type.WELCOME
    assert welcome.body["version"] == 1
    assert (welcome.body["beat_ms"], welcome.body["suspect_ms"], welcome.body["dead_ms"]) == (1000, 3000, 10000)
    assert world.core.nodes.snapshot()["a"].load is None
    answer = world.load("a", offers=[{"name": "a", "resources": {"cpu": 2.0}}])
    assert (answer.header.type, answer.body) == (Type.RESULT, {"sequence": 3})
    node = world.core.nodes.snapshot()["a"]
    assert (node.state, node.incarnation, node.version, node.labels) == ("alive", "1" * 16, "w 1", {"zone": "a"})
    assert node.load.cores == 2.0 and node["load"]["age_seconds"] == 0.0
    assert world.core.nodes.offers() == [{"name": "a", "resources": {"cpu": 2.0}}]


def test_silence_makes_suspect_then_dead_and_a_word_makes_alive(world: World):
    world.hello("a")
    world.load("a", offers=[{"name": "a"}])
    world.pass_time(2.5)
    assert world.state("a") == "alive"
    world.pass_time(1.0)
    assert world.state("a") == "suspect"
    assert world.core.nodes.offers() == []
    world.load("a")
    assert world.state("a") == "alive"
    assert world.core.nodes.offers() == [{"name": "a"}]
    world.pass_time(9.5)
    assert world.state("a") == "suspect"
    world.pass_time(1.0)
    assert world.state("a") == "dead"


def test_a_dead_node_has_to_say_hello_and_its_requests_end(world: World):
    world.hello("a")
    ends = world.stage(A)
    world.pass_time(11)
    world.tell()
    assert [error.code.name for error in ends.errors] == ["UNAVAILABLE"] and ends.errors[0].retryable
    refusal = world.load("a")
    assert (refusal.header.type, refusal.body["code"], refusal.body["message"]) == (Type.ERROR, 9, "say HELLO first")
    world.send(A, Type.RESULT, {"transfers": []})
    world.tell()
    assert len(ends.errors) == 1 and not ends.results
    world.hello("a", "2" * 16)
    assert world.state("a") == "alive"


def test_time_in_which_the_thread_did_not_run_counts_against_nobody(world: World):
    world.hello("a")
    world.stall(60)
    assert world.state("a") == "alive"
    for _ in range(4):
        world.stall(60)
    assert world.state("a") == "alive"
    world.pass_time(11)
    assert world.state("a") == "dead"


def test_nobody_is_judged_while_messages_wait_to_be_read(world: World):
    world.hello("a")
    world.pass_time(30, drained=False)
    assert world.state("a") == "alive"
    world.load("a")
    world.pass_time(0.25)
    assert world.state("a") == "alive"


def test_any_traffic_is_a_sign_of_life(world: World):
    world.hello("a")
    ends = world.stage(A)
    for _ in range(20):
        world.pass_time(1)
        world.send(A, Type.PROGRESS, {"bytes": 1})
    world.tell()
    assert world.state("a") == "alive"
    assert len(ends.progress) == 20


def test_a_new_incarnation_replaces_the_older_and_ends_its_requests(world: World):
    world.hello("a")
    world.load("a", offers=[{"name": "a/old"}])
    ends = world.stage(A)
    world.hello("a", "2" * 16)
    world.tell()
    assert [error.code.name for error in ends.errors] == ["UNAVAILABLE"]
    assert world.core.nodes.snapshot()["a"].incarnation == "2" * 16
    assert world.core.nodes.offers() == []
    assert world.load("a").header.type == Type.ERROR, "the older one is a stranger now"


def test_the_same_hello_again_changes_nothing_that_runs(world: World):
    world.hello("a")
    ends = world.stage(A)
    world.hello("a")
    world.send(A, Type.RESULT, {"transfers": []})
    world.tell()
    assert len(ends.results) == 1 and not ends.errors


def test_only_the_node_that_was_asked_can_answer(world: World):
    world.hello("a")
    world.hello("b")
    ends = world.stage(A)
    world.send(b"b/" + b"1" * 16, Type.RESULT, {"transfers": []})
    world.send(b"stranger", Type.RESULT, {"transfers": []})
    world.tell()
    assert not ends.results
    world.send(A, Type.RESULT, {"transfers": []})
    world.send(A, Type.RESULT, {"transfers": []})
    world.tell()
    assert len(ends.results) == 1


def test_draining_and_bye(world: World):
    world.hello("a")
    world.load("a", offers=[{"name": "a"}])
    ends = world.stage(A)
    world.send(A, Type.DRAIN)
    assert world.state("a") == "draining"
    assert world.core.nodes.offers() == []
    world.load("a")
    assert world.state("a") == "draining"
    world.send(A, Type.BYE)
    world.tell()
    assert world.state("a") == "dead"
    assert len(ends.errors) == 1


def test_offers_of_others_are_left_out(world: World):
    world.hello("a")
    world.load("a", offers=[{"name": "a"}, {"name": "a/1"}, {"name": "b"}, {"name": "ab"}, {"name": 7}, "a", {}])
    assert [offer["name"] for offer in world.core.nodes.offers()] == ["a", "a/1"]


@pytest.mark.parametrize(
    "fields",
    [
        {"versions": [2, 3]},
        {"versions": None},
        {"versions": [1]},
        {"name": "b"},
        {"name": ""},
        {"name": 7},
        {"incarnation": "x"},
        {"labels": {"a": 1}},
        {"labels": [1]},
        {"role": "client"},
        {"role": "king"},
    ],
)
def test_odd_hellos_are_refused(world: World, fields: dict):
    body = {"role": "node", "versions": [1, 1], "name": "a", "incarnation": "1" * 16, "labels": {}, **fields}
    (answer,) = world.send(A, Type.HELLO, body)
    assert answer.header.type == Type.ERROR
    assert world.core.nodes.snapshot() == {}


def test_versions_that_do_not_meet_are_both_named(world: World):
    (answer,) = world.send(A, Type.HELLO, {"role": "node", "versions": [2, 3], "name": "a", "incarnation": "1" * 16})
    assert answer.body["code"] == 9
    assert "2 to 3" in answer.body["message"] and "1 to 1" in answer.body["message"]


@pytest.mark.parametrize("body", [{}, {"load": 1}, {"load": {}, "offers": {"a": 1}}])
def test_odd_reports_are_refused(world: World, body: dict):
    world.hello("a")
    (answer,) = world.send(A, Type.LOAD, body)
    assert (answer.header.type, answer.body["code"]) == (Type.ERROR, 3)


def test_observers_see_the_nodes(world: World):
    (refusal,) = world.send(b"watcher", Type.NODES)
    assert refusal.body["message"] == "say HELLO first"
    world.send(b"watcher", Type.HELLO, {"role": "observer", "versions": [1, 1]})
    world.hello("a")
    (answer,) = world.send(b"watcher", Type.NODES, request_id=OTHER)
    assert answer.header == Header(Type.RESULT, OTHER)
    assert answer.body["nodes"]["a"]["state"] == "alive"


@pytest.mark.parametrize("kind", [4, 5, 13, 14, 15, 99])
def test_what_a_bridge_does_not_take_is_unimplemented(world: World, kind: int):
    (answer,) = world.send(b"x", kind)
    assert (answer.header.type, answer.body["code"]) == (Type.ERROR, 12)


def test_the_dead_are_not_kept_without_end(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("windlass._nodes.DEAD_KEPT_MAX", 5)
    for number in range(20):
        world.hello(f"n{number}")
        world.send(f"n{number}/{'1' * 16}".encode(), Type.BYE)
    assert list(world.core.nodes.snapshot()) == [f"n{number}" for number in range(15, 20)]


def test_a_stage_that_was_lost_on_its_way_is_sent_anew(world: World):
    world.hello("a")
    ends = world.stage(A)
    request = world.core.requests.get(ID)
    assert request is not None
    unknown = {"code": 5, "message": "no request of this id is known here"}
    assert world.core.requests.signs_due(world.now) == []
    for _ in range(2):
        assert world.core.requests.signs_due(world.now + 1.5) == [request], "it is asked after"
        assert world.send(A, Type.ERROR, unknown, ID) == []
        assert world.leave() == [(A, ID)]
        world.now += 1.5
    world.send(A, Type.PROGRESS, {"bytes": 0}, ID)
    assert world.core.requests.signs_due(world.now + 1.5) == [], "it is accepted"
    assert world.core.requests.signs_due(world.now + 6) == [request]
    assert world.send(A, Type.ERROR, unknown, ID) == []
    world.tell()
    assert [error.code for error in ends.errors] == [5]


def test_a_stage_that_is_refused_not_found_is_not_sent_anew(world: World):
    world.hello("a")
    ends = world.stage(A)
    assert world.send(A, Type.ERROR, {"code": 5, "message": "no"}, ID) == []
    world.tell()
    assert len(ends.errors) == 1

"""Older and newer peers, both ways: which versions and features they agree on, and what becomes of what one of them
does not know. Real sockets; the other side is made of raw messages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgpack
import pytest
import windlass
from fake import FakeDaemon
from support import Raw, eventually, fallbacks, problem, same
from windlass import legacy
from windlass._channel import Channel
from windlass._reply import Reply
from windlass._wire import Header, Message, Type, encode

Make = Callable[..., windlass.LocalNode]
TASKS, OFFERS = problem(60, 50)
CODES = windlass.Code

# What a peer says it speaks, and whether we find a version in it: ours is 1.
VERSIONS = [((1, 1), True), ((1, 9), True), ((0, 1), True), ((0, 2**32 - 1), True), ((2, 9), False), ((0, 0), False)]
ODD_VERSIONS = [[9, 1], [1], [1, 1, 1], [-1, 1], ["1", "1"], "1", None, [1, 2**32]]


def hello(role: str = "client", **more: Any) -> dict[str, Any]:
    body = {"role": role, "versions": [1, 1], "features": [], "software": "other/9.9", "pid": 7}
    if role == "node":
        body |= {"name": "other", "incarnation": "0123456789abcdef", "labels": {}}
    return body | more


@pytest.fixture(params=["client of windlassd", "node of a bridge", "observer of a bridge"])
def peer(request: pytest.FixtureRequest) -> Iterator[tuple[Raw, str]]:
    """A raw peer, the role it plays, and whom it plays it to."""
    role = request.param.split()[0]
    if role == "client":
        node = request.getfixturevalue("node")
        with Raw(node.address) as raw:
            yield raw, role
        return
    bridge = request.getfixturevalue("bridge")
    with Raw(bridge.address, b"other/0123456789abcdef" if role == "node" else None) as raw:
        yield raw, role


def code_of(answer: Message | None) -> int:
    assert answer is not None and answer.header.type == Type.ERROR, answer
    return answer.body["code"]


@pytest.mark.parametrize(("versions", "meet"), VERSIONS)
def test_the_highest_common_version_is_agreed_on(peer: tuple[Raw, str], versions: tuple[int, int], meet: bool):
    raw, role = peer
    answer = raw.ask(Type.HELLO, hello(role, versions=list(versions)))
    if meet:
        assert answer is not None and answer.header.type == Type.WELCOME and answer.body["version"] == 1
        return
    assert code_of(answer) == CODES.FAILED_PRECONDITION
    for told in (f"{versions[0]} to {versions[1]}", "1 to 1"):
        assert told in answer.body["message"], "both ranges are named"
    assert code_of(raw.ask(Type.NODES if role == "observer" else Type.LOAD, {"load": {}})) == CODES.FAILED_PRECONDITION


@pytest.mark.parametrize("versions", ODD_VERSIONS)
def test_odd_versions_are_refused_and_a_good_hello_may_follow(peer: tuple[Raw, str], versions: Any):
    raw, role = peer
    assert code_of(raw.ask(Type.HELLO, hello(role, versions=versions))) in (
        CODES.INVALID_ARGUMENT,
        CODES.FAILED_PRECONDITION,
    )
    answer = raw.ask(Type.HELLO, hello(role))
    assert answer is not None and answer.header.type == Type.WELCOME


def test_what_a_newer_peer_says_besides_is_ignored(peer: tuple[Raw, str]):
    raw, role = peer
    body = hello(role, features=["credits", "telepathy", "x" * 255], versions=[1, 7], mood={"good": [1, {"a": None}]})
    head = {"v": 7, "t": int(Type.HELLO), "id": b"h" * 16, "dl": 5000, "tp": "odd", "route": [1, 2, {"x": b"y"}]}
    raw.send(msgpack.packb(head), msgpack.packb(body))
    answer = raw.answer()
    assert answer is not None and answer.header.type == Type.WELCOME
    assert "telepathy" not in answer.body["features"]
    kind, wanted = {
        "client": (Type.LOAD, "load"),
        "node": (Type.LOAD, "sequence"),
        "observer": (Type.NODES, "nodes"),
    }[role]
    told = raw.ask(kind, {"load": {"sequence": 3, "aura": 1}, "offers_version": 1, "later": [1]})
    assert told is not None and told.header.type == Type.RESULT and wanted in told.body


@pytest.mark.parametrize("kind", [16, 200, 2**31])
def test_messages_that_are_not_known_are_answered_unimplemented(peer: tuple[Raw, str], kind: int):
    raw, role = peer
    raw.ask(Type.HELLO, hello(role))
    answer = raw.ask(kind, {"something": 1}, b"u" * 16)
    assert code_of(answer) == CODES.UNIMPLEMENTED and answer.header.id == b"u" * 16


@pytest.mark.parametrize("version", [0, 2, 2**32 - 1])
def test_after_the_welcome_only_the_version_agreed_on_is_spoken(peer: tuple[Raw, str], version: int):
    raw, role = peer
    raw.ask(Type.HELLO, hello(role, versions=[0, 2**32 - 1]))
    kind = Type.NODES if role == "observer" else Type.LOAD
    raw.send(*encode(Message(Header(kind, b"v" * 16, version=version), {"load": {}})))
    assert code_of(raw.answer()) == CODES.FAILED_PRECONDITION
    raw.send(*encode(Message(Header(kind, b"w" * 16), {"load": {}})))
    answer = raw.answer()
    assert answer is not None and answer.header.type == Type.RESULT


def test_answers_are_never_answered(peer: tuple[Raw, str]):
    raw, role = peer
    raw.ask(Type.HELLO, hello(role))
    for kind in (Type.RESULT, Type.ERROR, Type.WELCOME):
        for version in (1, 2):
            raw.send(*encode(Message(Header(kind, b"a" * 16, version=version), {"code": 3})))
    assert raw.answer(0.3) is None


def test_a_transfer_of_a_newer_client_is_refused_by_what_is_not_known(node: windlass.LocalNode):
    with Raw(node.address) as raw:
        raw.hello()
        for body in (
            {"transfers": [{"source": b"/a", "target": b"/b", "compress": "zstd"}]},
            {"transfers": [], "x": 1},
        ):
            assert code_of(raw.ask(Type.STAGE, body)) == CODES.INVALID_ARGUMENT, "a wish must not be lost"


# ---- Our Client, and daemons of other versions -----------------------------------------------------------------------


def welcoming(**body: Any) -> dict[int, Any]:
    def answer(daemon: FakeDaemon, routing: bytes, message: Message) -> None:
        daemon._welcomed.add(routing)
        daemon.reply(routing, message, Type.WELCOME, body)

    return {Type.HELLO: answer}


@pytest.mark.parametrize(
    "welcome",
    [
        {"version": 1},
        {"version": 1, "features": ["telepathy"], "mood": {"good": True}, "credit_requests": 1},
        {"version": 1, "features": ["credits"]},
        {"version": 1, "features": ["credits"], "credit_requests": -1, "credit_bytes": "many"},
        {"version": 1, "features": "credits", "credit_requests": 5},
    ],
)
def test_a_client_works_with_daemons_of_one_common_version(socket: str, welcome: dict):
    with FakeDaemon(socket, welcoming(**welcome)), windlass.Client(socket) as client:
        before = fallbacks()
        for _ in range(3):
            assert same(client.match(TASKS, OFFERS), legacy.match(TASKS, OFFERS), TASKS)
        assert fallbacks() == before and client.load().sequence == 7


@pytest.mark.parametrize("version", [0, 2, None, "1", 2**40])
def test_a_daemon_that_chose_a_version_we_do_not_speak_is_not_used(socket: str, version: Any):
    with FakeDaemon(socket, welcoming(version=version)) as daemon, windlass.Client(socket) as client:
        before = fallbacks()
        assert same(client.match(TASKS, OFFERS), legacy.match(TASKS, OFFERS), TASKS)
        assert fallbacks() == before + 1
        with pytest.raises(windlass.Unimplemented, match="version 1"):
            client.load()
        assert Type.MATCH not in daemon.kinds()


def test_an_observer_of_a_newer_bridge(bridge: windlass.Bridge):
    channel = Channel(bridge.address, role="observer")
    try:
        reply = Reply()
        channel.submit(Type(Type.NODES), {"later": 1}, reply, timeout=5)
        assert reply.result(5).body == {"nodes": {}}
    finally:
        channel.close()


# ---- Our windlassd, and bridges of other versions --------------------------------------------------------------------


class OtherBridge(FakeDaemon):
    """A bridge that welcomes as the test says."""

    def __init__(self, endpoint: str, answer: Any) -> None:
        self.routings: list[bytes] = []
        super().__init__(endpoint, {Type.HELLO: answer, Type.LOAD: OtherBridge._seen})

    def _seen(self, routing: bytes, message: Message) -> None:
        self.routings.append(routing)
        self.reply(routing, message, Type.RESULT, {"sequence": 1, "applause": 5})


def welcome_of(**body: Any) -> Any:
    times = {"beat_ms": 50, "suspect_ms": 300, "dead_ms": 1000}
    return welcoming(**{"version": 1, "name": "bridge", "incarnation": "0" * 16, **times, **body})[Type.HELLO]


def refusal(daemon: FakeDaemon, routing: bytes, message: Message) -> None:
    assert message.body["versions"] == [1, 1]
    body = {"code": int(CODES.FAILED_PRECONDITION), "message": "this bridge speaks 2 to 9", "retryable": False}
    daemon.reply(routing, message, Type.ERROR, body)


def dialling(nodes: Make, bridge: OtherBridge) -> windlass.LocalNode:
    times = {"bridge.beat": "50ms", "bridge.suspect_after": "300ms", "bridge.dead_after": "1s"}
    return nodes({"node.name": "n", "bridge.address": bridge.endpoint, **times})


@pytest.mark.parametrize("more", [{}, {"features": ["telepathy"], "mood": 1, "credit_requests": 5}])
def test_a_node_registers_with_a_bridge_of_one_common_version(nodes: Make, more: dict):
    with OtherBridge("tcp://127.0.0.1:*", welcome_of(**more)) as bridge:
        dialling(nodes, bridge)
        eventually(lambda: len(bridge.routings) > 3, what="it reports")
        bridge.send(bridge.routings[-1], Message(Header(200, b"later".ljust(16)), {"x": 1}))
        told = eventually(lambda: [m for m in bridge.seen if m.header.type == Type.ERROR])
        assert told[0].header.id == b"later".ljust(16) and told[0].body["code"] == CODES.UNIMPLEMENTED
        reports = bridge.kinds().count(Type.LOAD)
        eventually(lambda: bridge.kinds().count(Type.LOAD) > reports, what="it goes on reporting")
        assert bridge.kinds().count(Type.HELLO) == 1


@pytest.mark.parametrize("answer", [refusal, welcome_of(version=2), welcome_of(beat_ms=0)])
def test_a_node_comes_again_where_a_bridge_does_not_take_it(nodes: Make, answer: Any):
    with OtherBridge("tcp://127.0.0.1:*", answer) as bridge:
        node = dialling(nodes, bridge)
        eventually(lambda: bridge.kinds().count(Type.HELLO) >= 3, what="it comes again")
        assert Type.LOAD not in bridge.kinds()
        with node.client() as client:
            assert client.load().cores > 0, "and serves its clients meanwhile"
        address = bridge.endpoint
    with OtherBridge(address, welcome_of()) as bridge:
        eventually(lambda: bridge.routings, what="it registers with the one that takes it")

"""Answers to what was asked, with a field of another type than the protocol's: whoever asked is told, and the thread
lives.

Each field of each kind of answer, however deep, is replaced by each wrong value in turn, or left out.
"""

from __future__ import annotations

import copy
import logging
import math
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from typing import Any

import msgpack
import numpy as np
import pytest
import windlass
from fake import FakeDaemon, answer_to_match
from fake_node import FakeNode
from support import eventually
from windlass import _wire
from windlass._wire import Message, Type

pytestmark = pytest.mark.usefixtures("nothing_is_left")
TRANSFER = windlass.Transfer("/a", "/b")
TASK = {"name": "t", "cpu": 1}
ABSENT = object()
WRONG: list[Any] = [
    *(True, False, 0, 1, 3, -1, 2**63, 2**64 - 1, 0.5, math.nan, math.inf, -math.inf, "", "x", "done", b"", b"x" * 16),
    *([], [1], [[]], [None], [{}], {}, {"x": 1}, {1: 2}, {"grant": {}}, None, [[[[[[[[[[]]]]]]]]]], ABSENT),
]
Body = dict[str, Any]

ERROR = {"code": 14, "message": "no", "retryable": True, "retry_after_ms": 5, "side": "tasks", "row": 1, "field": "cpu"}
FAILURE = {"path": b"f", "code": 5, "message": "gone"}
END: Body = {
    "state": "failed",
    "bytes": 1,
    "files": 1,
    "seconds": 0.5,
    "checksum": "xxh3:00",
    "engine": "threads",
    "resumed_bytes": 0,
    "from_cache": False,
    "retries": 0,
    "error": {"code": 5, "message": "no", "retryable": False, "failures": [FAILURE], "failure_count": 1},
    "file_checksums": {b"f": "xxh3:00"},
    "file_checksums_omitted": 0,
}
REPORT: Body = {"seconds": 0.5, "transfers": [END]}
FIGURES: Body = {"bytes": 1, "bytes_total": 10, "files": 0, "files_total": 1}


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to each field."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield (*path, key)
        yield from places(child, (*path, key))


def spoilt(body: Body) -> Iterator[tuple[str, Body]]:
    """What was done, and the body after it."""
    for path in places(body):
        for wrong in WRONG:
            made = copy.deepcopy(body)
            inner: Any = made
            for key in path[:-1]:
                inner = inner[key]
            if wrong is not ABSENT:
                inner[path[-1]] = wrong
            else:
                del inner[path[-1]]
            yield f"{path} = {'absent' if wrong is ABSENT else repr(wrong)}", made


def unreadable(request_id: bytes, kind: Type) -> Iterator[list[bytes]]:
    """Frames under the id of what was asked that hold no body."""
    head = msgpack.packb({"v": 1, "t": int(kind), "id": request_id})
    deep: Any = []
    for _ in range(40):
        deep = [deep]
    for body in (b"", b"\xc1", b"\xdd\xff\xff\xff\xff", msgpack.packb([1]), msgpack.packb(7), msgpack.packb({1: 2})):
        yield [head, body]
    yield [head]
    yield [head, msgpack.packb({"x": deep})]
    yield [head, msgpack.packb({"columns": [["i8", 1]]})]
    yield [head, msgpack.packb({}), b"a column"]
    yield [head, b"\x82\xa1a\x01\xa1a\x02"]  # a key twice


class Ends:
    """Calls that have to end in time, one after the other, in a thread that a hang does not take with it."""

    def __init__(self) -> None:
        self.outcome: Any = None
        self._work: Callable[[], Any] | None = None
        self._wake, self._done = threading.Semaphore(0), threading.Semaphore(0)
        threading.Thread(target=self._run, daemon=True, name="calls").start()

    def __enter__(self) -> Ends:
        return self

    def __exit__(self, *_: object) -> None:
        self._work = None
        self._wake.release()

    def call(self, work: Callable[[], Any], what: str) -> Any:
        """What it answers or raises, which is an error of ours."""
        self._work = work
        self._wake.release()
        assert self._done.acquire(timeout=30), f"a caller hangs: {what}"
        if isinstance(self.outcome, BaseException):
            assert isinstance(self.outcome, (windlass.WindlassError, CancelledError)), (what, repr(self.outcome))
        return self.outcome

    def _run(self) -> None:
        while True:
            self._wake.acquire()
            if self._work is None:
                return
            try:
                self.outcome = self._work()
            except BaseException as error:
                self.outcome = error
            self._done.release()


# ---- A bridge and its nodes ------------------------------------------------------------------------------------------


@pytest.fixture
def bridge() -> Iterator[windlass.Bridge]:
    with windlass.Bridge("tcp://127.0.0.1:0", beat=0.1, suspect_after=20.0, dead_after=40.0) as made:
        yield made


class Sequence:
    """What the next answer of a kind is to be, set by the test and used once."""

    def __init__(self) -> None:
        self.next: Callable[[Any, Message], None] | None = None

    def take(self, node: Any, message: Message) -> bool:
        answer, self.next = self.next, None
        if answer is not None:
            answer(node, message)
        return answer is not None


def granting(sequence: Sequence) -> Callable[[FakeNode, Message], None]:
    def answer(node: FakeNode, message: Message) -> None:
        if not message.body["grants"] or not sequence.take(node, message):
            node.grant(message)

    return answer


GRANT_ANSWERS = {
    "granted": (Type.RESULT, {"version": 1, "refused": [], "unknown": []}),
    "refused": (Type.RESULT, {"version": 1, "refused": [{"grant": 0, "code": 9, "message": "no"}], "unknown": []}),
    "renewed": (Type.RESULT, {"version": 1, "refused": [], "unknown": [bytes(16)]}),
    "error": (Type.ERROR, ERROR),
    "progress": (Type.PROGRESS, FIGURES),
}


@pytest.mark.parametrize("kind", [kind for kind in GRANT_ANSWERS if kind != "progress"])
def test_a_node_that_answers_a_grant_oddly(bridge: windlass.Bridge, kind: str):
    sequence = Sequence()
    answer, body = GRANT_ANSWERS[kind]
    with FakeNode(bridge.address, answers={Type.GRANT: granting(sequence)}), bridge.session(mode="packing") as session:
        eventually(session.offers)
        with Ends() as ends:

            def match() -> Any:
                try:
                    return session.match([TASK]).assignments
                finally:
                    session.release(["t"])

            for what, odd in spoilt(body):
                sequence.next = lambda node, message, odd=odd: node.reply(message, answer, odd)
                placed = ends.call(match, what)
                assert placed in ({"t": "n"}, {}), (what, placed)
            for frames in unreadable(bytes(16), answer):
                sequence.next = lambda node, message, frames=frames: node.send_raw(
                    frames[0][:-16] + message.header.id, *frames[1:]
                )
                ends.call(match, repr(frames))
        lives_on(bridge, session)


def lives_on(bridge: windlass.Bridge, session: windlass.Session | None = None) -> None:
    """Nodes are heard, and grants are given: nothing is held for nobody."""
    entry = bridge._thread.core.nodes.find("n")
    assert entry is not None
    heard = entry.heard
    eventually(lambda: entry.heard > heard, what="the node is heard")
    assert bridge.nodes()["n"].state == "alive"
    if session is not None:
        eventually(lambda: session.offers()[0]["resources"]["cpu"] == 4, what="all of the offer is free again")
        assert session.match([TASK]).assignments == {"t": "n"}


def test_a_node_that_answers_a_release_oddly(bridge: windlass.Bridge):
    sequence = Sequence()

    def release(node: FakeNode, message: Message) -> None:
        if not sequence.take(node, message):
            FakeNode._usual(node, message)

    with FakeNode(bridge.address, answers={Type.RELEASE: release}) as node, bridge.session(mode="packing") as session:
        eventually(session.offers)
        for kind, body in ((Type.RESULT, {"version": 1, "released": 1}), (Type.ERROR, ERROR)):
            for what, odd in spoilt(body):
                assert session.match([TASK]).assignments == {"t": "n"}, what
                sequence.next = lambda node, message, kind=kind, odd=odd: node.reply(message, kind, odd)
                session.release(["t"])
        eventually(lambda: sequence.next is None)
        for frames in unreadable(bytes(16), Type.RESULT):
            assert session.match([TASK]).assignments == {"t": "n"}
            sequence.next = lambda node, message, frames=frames: node.send_raw(
                frames[0][:-16] + message.header.id, *frames[1:]
            )
            session.release(["t"])
        assert node.seen
        lives_on(bridge, session)


STAGE_ANSWERS = {
    "report": (Type.RESULT, REPORT),
    "done": (Type.RESULT, {**REPORT, "transfers": [{**END, "state": "done", "error": None}]}),
    "error": (Type.ERROR, ERROR),
    "progress": (Type.PROGRESS, FIGURES),
}


def stage_answers(peer: Any, reply: Callable[[Type, Body], None], kind: str, odd: Body, accepts: bool) -> None:
    """An odd answer to a STAGE, accepted before or not, and a sound end where it is none."""
    if accepts:
        reply(Type.PROGRESS, FIGURES)
    reply(STAGE_ANSWERS[kind][0], odd)
    if kind == "progress":
        reply(Type.RESULT, REPORT)


@pytest.mark.parametrize("accepts", [True, False])
@pytest.mark.parametrize("kind", list(STAGE_ANSWERS))
def test_a_node_that_answers_a_stage_oddly(bridge: windlass.Bridge, kind: str, accepts: bool):
    sequence = Sequence()
    with FakeNode(bridge.address, answers={Type.STAGE: sequence.take}), Ends() as ends:
        eventually(bridge.offers)
        for what, odd in spoilt(STAGE_ANSWERS[kind][1]):
            sequence.next = lambda node, message, odd=odd: stage_answers(
                node, lambda type, body: node.reply(message, type, body), kind, odd, accepts
            )
            told = ends.call(lambda: bridge.stage("n", [TRANSFER], on_error="report"), what)
            assert isinstance(told, (windlass.StageReport, windlass.StageError)), (what, told)
        for frames in unreadable(bytes(16), STAGE_ANSWERS[kind][0]):

            def answer(node: FakeNode, message: Message, frames: list[bytes] = frames) -> None:
                if accepts:
                    node.reply(message, Type.PROGRESS, FIGURES)
                node.send_raw(frames[0][:-16] + message.header.id, *frames[1:])

            sequence.next = answer
            told = ends.call(lambda: bridge.stage("n", [TRANSFER], on_error="raise"), repr(frames))
            assert isinstance(told, windlass.StageError)
        lives_on(bridge)


def test_what_a_node_says_oddly_is_logged_with_its_name_and_seldom(
    bridge: windlass.Bridge, caplog: pytest.LogCaptureFixture
):
    def answer(node: FakeNode, message: Message) -> None:
        for frames in unreadable(message.header.id, Type.RESULT):
            node.send_raw(*frames)

    with caplog.at_level(logging.WARNING, "windlass.bridge"), FakeNode(bridge.address, answers={Type.STAGE: answer}):
        eventually(bridge.offers)
        for _ in range(3):
            with pytest.raises(windlass.StageError) as told:
                bridge.stage("n", [TRANSFER])
            assert told.value.code == windlass.Code.UNAVAILABLE and "node n" in str(told.value)
        lives_on(bridge)
    assert len([record for record in caplog.records if "does not allow" in record.message]) == 1


def test_a_fault_at_a_message_costs_that_alone(bridge: windlass.Bridge, monkeypatch: pytest.MonkeyPatch):
    def boom(*_: object) -> None:
        raise RecursionError("nobody thought of that")

    def stage(node: FakeNode, message: Message) -> None:
        node.reply(message, Type.RESULT, REPORT)

    with FakeNode(bridge.address, answers={Type.STAGE: stage}):
        eventually(bridge.offers)
        with monkeypatch.context() as patched:
            patched.setitem(bridge._thread.core._handlers, Type.RESULT, boom)
            with pytest.raises(windlass.StageError, match="nobody thought of that"):
                bridge.stage("n", [TRANSFER])
        assert isinstance(bridge.stage("n", [TRANSFER], on_error="report"), windlass.StageReport)
        lives_on(bridge)


# ---- A client and its daemon -----------------------------------------------------------------------------------------


def column(name: str, values: list[int], dtype: Any = np.int64) -> tuple[str, np.ndarray]:
    return name, np.array(values, dtype)


def with_columns(body: Body, *columns: tuple[str, np.ndarray]) -> tuple[Body, list[np.ndarray]]:
    """A body that names its columns."""
    arrays = [array for _, array in columns]
    numbers = {name: number for number, (name, _) in enumerate(columns)}
    return {**body, **numbers, "columns": _wire.declare(arrays)}, arrays


MATCHED = with_columns(
    {"version": 2, "engine": "x"},
    column("offer_index", [0], np.int32),
    column("order", [0], np.int32),
    column("score_high", [0]),
    column("score_low", [0], np.uint64),
    column("offer_number", [0]),
    column("device_begin", [0, 0]),
)
SEEN = with_columns(
    {"offers": 1, "dimensions": 1, "free_amounts": [0], "devices": []},
    column("free", [10_000]),
    column("offer_numbers", [0]),
    column("scale", [40_000]),
)
SESSION_ANSWERS: dict[str, tuple[Body, list[np.ndarray]]] = {
    "open": ({"session": 1, "version": 0}, []),
    "change": ({"version": 1}, []),
    "match": MATCHED,
    "offers": SEEN,
    "close": ({}, []),
}


def use_a_session(client: windlass.Client) -> Any:
    with client.session([{"name": "o", "cpu": 4}], mode="packing") as session:
        placed = session.match([TASK])
        return placed.assignments, session.offers(), session.release(["t"])


@pytest.mark.parametrize("op", list(SESSION_ANSWERS))
def test_a_daemon_that_answers_a_session_oddly(socket: str, op: str):
    odd: list[Any] = [None]

    def session(daemon: FakeDaemon, routing: bytes, message: Message) -> None:
        body, columns = SESSION_ANSWERS[message.body["op"]]
        if message.body["op"] == op and odd[0] is not None:
            body = odd[0]
        daemon.reply(routing, message, Type.RESULT, body, columns)

    with FakeDaemon(socket, {Type.SESSION: session}), windlass.Client(socket) as client, Ends() as ends:
        sound = ends.call(lambda: use_a_session(client), "sound")
        assert not isinstance(sound, Exception), sound
        for what, body in spoilt(SESSION_ANSWERS[op][0]):
            odd[0] = body
            ends.call(lambda: use_a_session(client), what)
        odd[0] = None
        assert ends.call(lambda: use_a_session(client), "sound again") == sound


def test_a_daemon_that_answers_a_match_oddly(socket: str):
    odd: list[Any] = [None]

    def match(daemon: FakeDaemon, routing: bytes, message: Message) -> None:
        body, columns = answer_to_match(message)
        daemon.reply(routing, message, Type.RESULT, odd[0] or body, columns)

    tasks, offers = [TASK, {"name": "u", "cpu": 2}], [{"name": "o", "cpu": 4}, {"name": "p", "cpu": 1}]
    body, _ = {name: number for number, name in enumerate(["offer_index", "order", "score_high", "score_low"])}, None
    body |= {"placed": 2, "engine": "fake", "columns": [["i4", 2], ["i4", 2], ["i8", 2], ["u8", 2]]}
    want = windlass.match(tasks, offers).assignments
    with FakeDaemon(socket, {Type.MATCH: match}), windlass.Client(socket) as client, Ends() as ends:
        for what, spoilt_body in spoilt(body):
            odd[0] = spoilt_body
            placed = ends.call(lambda: client.match(tasks, offers).assignments, what)
            assert placed == want or what.endswith("= 1"), what  # a column that is there, of the same type


@pytest.mark.parametrize("kind", ["load", "error", "welcome", "cancel"])
def test_a_daemon_that_answers_other_things_oddly(socket: str, kind: str):
    odd: list[Any] = [None]
    welcome = {"version": 1, "features": ["credits"], "software": "x", "name": "f", "incarnation": "0" * 16}
    welcome |= {"credit_requests": 10, "credit_bytes": 1000}

    def hello(daemon: FakeDaemon, routing: bytes, message: Message) -> None:
        daemon.reply(routing, message, Type.WELCOME, odd[0] if kind == "welcome" and odd[0] else welcome)

    def load(daemon: FakeDaemon, routing: bytes, message: Message) -> None:
        body = odd[0] if kind in ("load", "error") and odd[0] else {"load": {"sequence": 7}}
        daemon.reply(routing, message, Type.ERROR if kind == "error" else Type.RESULT, body)

    def cancel(daemon: FakeDaemon, routing: bytes, message: Message) -> None:
        daemon.reply(routing, message, Type.RESULT, odd[0] or {"cancelled": True})
        assert daemon.running is not None
        daemon.reply(*daemon.running, Type.RESULT, {**REPORT, "transfers": [{**END, "state": "cancelled"}]})

    def stage(daemon: FakeDaemon, routing: bytes, message: Message) -> None:
        daemon.running = routing, message
        daemon.reply(routing, message, Type.PROGRESS, FIGURES)

    def ask(client: windlass.Client) -> Any:
        if kind == "cancel":
            future = client.submit_stage([TRANSFER])
            future.cancel()
            return future.wait(20) and future.report
        return client.load()

    sound = {"load": {"load": {"sequence": 7}}, "error": ERROR, "welcome": welcome, "cancel": {"cancelled": True}}
    answers = {Type.HELLO: hello, Type.LOAD: load, Type.CANCEL: cancel, Type.STAGE: stage}
    with FakeDaemon(socket, answers) as daemon, Ends() as ends, windlass.Client(socket, timeout=20) as client:
        for what, body in spoilt(sound[kind]):
            odd[0] = body
            if kind == "welcome":
                with windlass.Client(socket) as fresh:
                    ends.call(lambda fresh=fresh: ask(fresh), what)
            else:
                assert ends.call(lambda: ask(client), what) is not None
        odd[0] = None
        if kind != "error":
            assert ends.call(lambda: ask(client), "sound again")
        assert daemon.seen


@pytest.mark.parametrize("kind", list(STAGE_ANSWERS))
def test_a_daemon_that_answers_a_stage_oddly(socket: str, kind: str):
    odd: list[Any] = [None]

    def stage(daemon: FakeDaemon, routing: bytes, message: Message) -> None:
        if isinstance(odd[0], list):
            daemon.send_raw(routing, odd[0][0][:-16] + message.header.id, *odd[0][1:])
            return
        stage_answers(daemon, lambda type, body: daemon.reply(routing, message, type, body), kind, odd[0], True)

    with FakeDaemon(socket, {Type.STAGE: stage}), windlass.Client(socket) as client, Ends() as ends:
        bodies: list[tuple[str, Any]] = list(spoilt(STAGE_ANSWERS[kind][1]))
        bodies += [(repr(frames), frames) for frames in unreadable(bytes(16), STAGE_ANSWERS[kind][0])]
        for what, body in bodies:
            odd[0] = body
            told = ends.call(lambda: client.stage([TRANSFER], on_error="report"), what)
            assert isinstance(told, (windlass.StageReport, windlass.StageError)), (what, told)
        assert client._channel.loop._fault is None


def test_a_fault_at_a_daemons_message_costs_that_alone(socket: str, monkeypatch: pytest.MonkeyPatch):
    def boom(*_: object) -> None:
        raise RecursionError("nobody thought of that")

    with FakeDaemon(socket) as daemon, windlass.Client(socket) as client:
        client.load()
        with monkeypatch.context() as patched:
            patched.setattr(client._channel, "_serve", boom)
            with pytest.raises(windlass.Unavailable, match="nobody thought of that"):
                client.load()
        assert client.load().sequence == 7
        assert daemon.kinds().count(Type.HELLO) == 1

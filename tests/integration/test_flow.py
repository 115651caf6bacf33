"""Credits, fairness, deadlines, cancels and the journal of a real windlassd; and a Client that keeps to its credits."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import windlass
from fake import FakeDaemon, answer_to_match, silent
from support import Raw, eventually, fallbacks, problem, same
from windlass import legacy
from windlass._wire import Header, Message, Type, declare, encode, new_id

CREDITS = 256  # requests under way of one client
EXHAUSTED = int(windlass.Code.RESOURCE_EXHAUSTED)
TASKS, OFFERS = problem(60, 50)
Make = Callable[..., windlass.LocalNode]


def heavy(rows: int = 20_000, seed: int = 1, **fields: object) -> tuple[dict, list[np.ndarray]]:
    """Body and columns of a MATCH that keeps a matcher busy for a while."""
    chance = np.random.default_rng(seed)
    columns = [chance.integers(1, 2**20, rows, dtype="<i8") for _ in range(2)]
    body = {"mode": "exclusive", "policy": "best_fit", "ties": "stable", "normalize": True, "dimensions": 1}
    body |= {"tasks": rows, "offers": rows, "columns": declare(columns), "task_amounts": [0], "offer_amounts": [1]}
    return body | fields, columns


def ask(raw: Raw, body: dict, columns: list[np.ndarray], request_id: bytes, **header: object) -> None:
    frames = encode(Message(Header(Type.MATCH, request_id, **header), body, tuple(columns)))
    raw.send(*(bytes(frame) for frame in frames))


def answers(raw: Raw, count: int, timeout: float = 120.0) -> list[Message]:
    """So many, and after them none."""
    came = []
    for _ in range(count):
        answer = raw.answer(timeout)
        assert answer is not None, f"{len(came)} of {count} answers came"
        came.append(answer)
    assert raw.answer(0.2) is None, "one answer more than there were requests"
    return came


def answers_until(raw: Raw, last: Callable[[Message], bool]) -> list[Message]:
    came: list[Message] = []
    while not came or not last(came[-1]):
        answer = raw.answer(15)
        assert answer is not None, f"{len(came)} came, and not the last"
        came.append(answer)
    return came


def code_of(answer: Message | None) -> int:
    assert answer is not None and answer.header.type == Type.ERROR, answer
    return answer.body["code"]


# ---- A client keeps to its credits -----------------------------------------------------------------------------------


class Slow(FakeDaemon):
    """Grants credits, and answers a MATCH when the test says so."""

    def __init__(self, endpoint: str, features: tuple[str, ...] = ("credits",), **credits: int) -> None:
        self.held: list[tuple[bytes, Message]] = []
        self.most = 0
        self.total = 0
        self._given = {"features": ["later", *features], **credits}
        super().__init__(endpoint, {Type.HELLO: Slow._hello, Type.MATCH: Slow._hold})

    def _hello(self, routing: bytes, message: Message) -> None:
        assert message.body["features"] == ["credits"]
        self._welcomed.add(routing)
        self.reply(routing, message, Type.WELCOME, {"version": 1, "name": "slow", **self._given})

    def _hold(self, routing: bytes, message: Message) -> None:
        self.held.append((routing, message))
        self.total += 1
        self.most = max(self.most, len(self.held))

    def answer_one(self) -> None:
        routing, message = self.held.pop(0)
        body, columns = answer_to_match(message)
        self.reply(routing, message, Type.RESULT, body, columns)


class Matching:
    """So many threads that match at the same time; leaving waits for all of them and tells of what failed."""

    def __init__(self, client: windlass.Client, count: int) -> None:
        want = legacy.match(TASKS, OFFERS)
        self._pool = ThreadPoolExecutor(count)
        self._ends = [self._pool.submit(lambda: same(client.match(TASKS, OFFERS), want, TASKS)) for _ in range(count)]

    def __enter__(self) -> Matching:
        return self

    def __exit__(self, *_: object) -> None:
        with self._pool:
            assert all(end.result() for end in self._ends)

    def done(self) -> bool:
        return all(end.done() for end in self._ends)


@pytest.mark.usefixtures("nothing_is_left")
@pytest.mark.parametrize(
    ("credits", "most"),
    [
        ({"credit_requests": 3, "credit_bytes": 2**30}, 3),
        ({"credit_requests": 100, "credit_bytes": 1}, 1),
        ({"credit_requests": 100, "credit_bytes": 2**30, "features": ()}, 20),
        ({"credit_requests": 0, "credit_bytes": "odd"}, 20),
    ],
)
def test_a_client_has_no_more_under_way_than_the_daemon_takes(socket: str, credits: dict, most: int):
    with Slow(socket, **credits) as daemon, windlass.Client(socket) as client:
        with Matching(client, 20) as matching:
            eventually(lambda: len(daemon.held) == most, what="as many as may")
            assert client.load().sequence == 7, "control goes ahead of what waits"
            while not matching.done():
                if daemon.held:
                    daemon.answer_one()
        assert daemon.most == most and daemon.total == 20


@pytest.mark.usefixtures("nothing_is_left")
def test_what_was_given_up_holds_its_credit_until_the_daemon_answers(socket: str):
    with Slow(socket, credit_requests=1, credit_bytes=2**30) as daemon, windlass.Client(socket) as client:
        given_up = client._channel.submit(Type.MATCH, {}, _Nobody())
        eventually(lambda: len(daemon.held) == 1)
        client._channel.abandon(given_up)
        with Matching(client, 2):
            client.load()
            assert daemon.total == 1, "the daemon may be at work on it still"
            routing, message = daemon.held.pop()
            daemon.reply(routing, message, Type.ERROR, {"code": 1, "message": "cancelled"})
            for _ in range(2):
                eventually(lambda: daemon.held, what="the next one")
                daemon.answer_one()


class _Nobody:
    """A sink whose request nobody waits for."""

    def going_out(self) -> None: ...
    def advance(self, body: dict) -> None: ...
    def closing(self) -> None: ...
    def finish(self, message: Message) -> None: ...
    def fail(self, error: Exception) -> None: ...


@pytest.mark.usefixtures("nothing_is_left")
def test_a_new_connection_owes_nothing(socket: str):
    with windlass.Client(socket) as client:
        with Slow(socket, credit_requests=1, credit_bytes=1) as daemon:
            client._channel.submit(Type.MATCH, {}, _Nobody())
            eventually(lambda: len(daemon.held) == 1)
        with Slow(socket, credit_requests=1, credit_bytes=1) as daemon, Matching(client, 1):
            eventually(lambda: daemon.held)
            daemon.answer_one()


@pytest.mark.usefixtures("nothing_is_left")
def test_what_waits_for_credit_beyond_its_time_is_never_sent(socket: str):
    with Slow(socket, credit_requests=1, credit_bytes=2**30) as daemon, windlass.Client(socket, timeout=0.3) as client:
        client._channel.submit(Type.MATCH, {}, _Nobody())
        eventually(lambda: len(daemon.held) == 1)
        with pytest.raises(windlass.DeadlineExceeded):
            client.call(Type.MATCH, {})
        client.load()
        assert daemon.total == 1


@pytest.mark.usefixtures("nothing_is_left")
def test_a_client_asks_no_more_than_it_may(socket: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("windlass._channel.REQUESTS_MAX", 1)
    with FakeDaemon(socket, {Type.MATCH: silent}) as daemon, windlass.Client(socket) as client:
        client._channel.submit(Type.MATCH, {}, _Nobody())
        eventually(lambda: Type.MATCH in daemon.kinds())
        with pytest.raises(windlass.ResourceExhausted) as refused:
            client.load()
        assert refused.value.retryable


def test_an_answer_to_a_message_that_a_client_does_not_know(socket: str):
    with FakeDaemon(socket) as daemon, windlass.Client(socket) as client:
        client.load()
        routing = next(iter(daemon._welcomed))
        daemon.send(routing, Message(Header(200, b"later".ljust(16)), {}))
        told = eventually(lambda: [m for m in daemon.seen if m.header.type == Type.ERROR])
        assert told[0].header.id == b"later".ljust(16)
        assert told[0].body["code"] == windlass.Code.UNIMPLEMENTED
        assert client.load().sequence == 7


# ---- A daemon holds everyone to them ---------------------------------------------------------------------------------


@pytest.fixture
def busy(nodes: Make, tmp_path) -> windlass.LocalNode:
    """One matcher only, so that what waits can be seen to wait."""
    return nodes({"match.threads": 1, "stage.roots": [str(tmp_path)]})


def test_who_ignores_credits_is_refused_and_nothing_is_lost(busy: windlass.LocalNode):
    count = 700
    body, columns = heavy(3000)
    with Raw(busy.address) as raw:
        welcome = raw.hello()
        assert welcome is not None and "credits" in welcome.body["features"]
        for number in range(count):
            ask(raw, body, columns, number.to_bytes(16, "little"))
        came = answers(raw, count)
    assert {answer.header.id for answer in came} == {number.to_bytes(16, "little") for number in range(count)}
    refused = [answer.body for answer in came if answer.header.type == Type.ERROR]
    assert all(body["code"] == EXHAUSTED and body["retryable"] and body["retry_after_ms"] > 0 for body in refused)
    done = count - len(refused)
    assert done >= welcome.body["credit_requests"], "what is within the credits is served"


def test_who_keeps_to_credits_is_never_refused(busy: windlass.LocalNode):
    before = fallbacks()
    with busy.client() as client:
        with Matching(client, 300):
            pass
        assert client._channel._credits.requests == 256
    assert fallbacks() == before


def test_a_flood_does_not_starve_another_client(busy: windlass.LocalNode):
    body, columns = heavy()
    with Raw(busy.address) as flood, Raw(busy.address) as other:
        flood.hello()
        other.hello()
        for number in range(100):
            ask(flood, body, columns, number.to_bytes(16, "little"))
        ask(other, body, columns, b"o" * 16)
        answer = other.answer(60)
        assert answer is not None and answer.header.type == Type.RESULT
        before = 0
        while flood.answer(0) is not None:
            before += 1
        assert before < 50, "it had its turn among the first"
        answers(flood, 100 - before)


def test_control_passes_a_flood(busy: windlass.LocalNode):
    body, columns = heavy()
    with Raw(busy.address) as flood, busy.client() as client:
        flood.hello()
        for number in range(CREDITS):
            ask(flood, body, columns, number.to_bytes(16, "little"))
        eventually(lambda: client.load().queue["match"] > 0, what="matches wait")
        for _ in range(20):
            client.load()
        assert client.load().queue["match"] > 0, "it was answered while they wait"
        answers(flood, CREDITS)


def test_what_waits_is_answered_at_its_deadline_and_never_begun(busy: windlass.LocalNode):
    body, columns = heavy()
    with Raw(busy.address) as raw:
        raw.hello()
        for number in range(40):
            ask(raw, body, columns, number.to_bytes(16, "little"))
        ask(raw, *heavy(seed=2), b"d" * 16, deadline_ms=1)
        came = answers(raw, 41)
        place = [answer.header.id for answer in came].index(b"d" * 16)
        assert code_of(came[place]) == windlass.Code.DEADLINE_EXCEEDED
        assert place < 40, "before the queue was through"


def test_a_cancel_may_overtake_its_request(busy: windlass.LocalNode, tmp_path):
    body, columns = heavy(10)
    with Raw(busy.address) as raw:
        raw.hello()
        for kind in (Type.MATCH, Type.STAGE):
            request_id = new_id()
            told = raw.ask(Type.CANCEL, {"request": request_id}, new_id())
            assert told is not None and told.body == {"cancelled": True}
            for _ in range(2):
                if kind == Type.MATCH:
                    ask(raw, body, columns, request_id)
                else:
                    transfer = {"source": b"/etc/hostname", "target": str(tmp_path / "target").encode()}
                    raw.send(*encode(Message(Header(kind, request_id), {"transfers": [transfer]})))
                assert code_of(raw.answer()) == windlass.Code.CANCELLED
        assert not (tmp_path / "target").exists()


def test_an_id_belongs_to_its_payload_also_after_a_restart(busy: windlass.LocalNode, tmp_path):
    (tmp_path / "source").write_bytes(b"payload")

    def stage(raw: Raw, target: str, request_id: bytes) -> Message | None:
        transfer = {"source": str(tmp_path / "source").encode(), "target": str(tmp_path / target).encode()}
        raw.send(*encode(Message(Header(Type.STAGE, request_id), {"transfers": [transfer]})))
        while True:
            answer = raw.answer()
            if answer is None or answer.header.type != Type.PROGRESS:
                return answer

    with Raw(busy.address) as raw:
        raw.hello()
        first = stage(raw, "one", b"s" * 16)
        assert first is not None and first.header.type == Type.RESULT
        assert code_of(stage(raw, "two", b"s" * 16)) == windlass.Code.INVALID_ARGUMENT
        ask(raw, *heavy(5), b"s" * 16)
        assert code_of(raw.answer()) == windlass.Code.INVALID_ARGUMENT
        ask(raw, *heavy(5), b"m" * 16)
        kept = raw.answer()
        ask(raw, *heavy(5, seed=2), b"m" * 16)
        assert code_of(raw.answer()) == windlass.Code.INVALID_ARGUMENT
        ask(raw, *heavy(5), b"m" * 16)
        again = raw.answer()
        assert kept is not None and again is not None and kept.body == again.body
    busy.restart()
    with Raw(busy.address) as raw:
        raw.hello()
        assert code_of(stage(raw, "two", b"s" * 16)) == windlass.Code.INVALID_ARGUMENT
        end = stage(raw, "one", b"s" * 16)
        assert end is not None and end.body == first.body
    assert not (tmp_path / "two").exists()


def test_a_client_of_an_earlier_version_works_within_the_same_bounds(busy: windlass.LocalNode):
    with Raw(busy.address) as raw:
        raw.send(*encode(Message(Header(Type.HELLO, b"h" * 16), {"role": "client", "versions": [1, 1]})))
        welcome = raw.answer()
        assert welcome is not None and welcome.header.type == Type.WELCOME
        for number in range(welcome.body["credit_requests"]):
            ask(raw, *heavy(3), number.to_bytes(16, "little"))
        kinds = Counter(answer.header.type for answer in answers(raw, welcome.body["credit_requests"]))
        assert kinds == {Type.RESULT: welcome.body["credit_requests"]}


def test_a_drain_under_load_loses_nothing(busy: windlass.LocalNode, tmp_path):
    (tmp_path / "source").write_bytes(b"x" * (8 << 20))
    with Raw(busy.address) as one, Raw(busy.address) as two, busy.client() as client:
        before = {raw: [new_id() for _ in range(60)] for raw in (one, two)}
        for raw in before:
            raw.hello()
        staged = client.submit_stage([windlass.Transfer(tmp_path / "source", tmp_path / "target")])
        came: dict[Raw, list[Message]] = {}
        body, columns = heavy(12_000)
        for raw, ids in before.items():
            for request_id in ids:
                ask(raw, body, columns, request_id)
            raw.send(*encode(Message(Header(Type.LOAD, b"read all".ljust(16)))))
            came[raw] = answers_until(raw, lambda message: message.header.id == b"read all".ljust(16))
        assert busy.pid is not None and sum(map(len, came.values())) < 110, "some wait"
        os.kill(busy.pid, signal.SIGTERM)
        after = {raw: [new_id() for _ in range(20)] for raw in before}
        for raw, ids in after.items():
            for request_id in ids:
                ask(raw, *heavy(10), request_id)
        for raw, messages in came.items():
            messages += answers_until(raw, lambda message: message.header.type == Type.BYE)
        for raw, messages in came.items():
            counts = Counter(message.header.id for message in messages)
            told = Counter(counts[request_id] for request_id in before[raw])
            assert told == {1: len(before[raw])}, "each is answered, once"
            assert all(counts[request_id] <= 1 for request_id in after[raw])
            refusals = [message for message in messages if message.header.type == Type.ERROR]
            assert all(code_of(message) == windlass.Code.UNAVAILABLE for message in refusals)
        assert staged.result(15).transfers[0].state == "done"
        assert (tmp_path / "target").stat().st_size == 8 << 20
    eventually(lambda: busy.pid is None, what="it has ended")

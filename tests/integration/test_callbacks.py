"""Callbacks (`progress`, done callbacks) run in a thread of their own, in which they may call anything."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import windlass
from fake import FakeDaemon, accepting, cancelled, done, end_of
from fake_node import FakeNode
from support import eventually, own_threads
from windlass._callbacks import Callbacks
from windlass._wire import Header, Message, Type

pytestmark = pytest.mark.usefixtures("nothing_is_left")
TRANSFER = windlass.Transfer("/a", "/b")


@pytest.fixture
def bridge() -> Iterator[windlass.Bridge]:
    with windlass.Bridge("tcp://127.0.0.1:0", beat=0.1, suspect_after=20.0, dead_after=40.0) as made:
        yield made


@pytest.fixture
def client(socket: str) -> Iterator[windlass.Client]:
    answers = {Type.STAGE: accepting(done), Type.CANCEL: cancelled}
    with FakeDaemon(socket, answers), windlass.Client(socket) as made:
        yield made


def accept(node: FakeNode, message: Message) -> None:
    node.reply(message, Type.PROGRESS, {"bytes": 0, "files": 0})


def accept_and_end(node: FakeNode, message: Message) -> None:
    accept(node, message)
    node.reply(message, Type.RESULT, end_of("done"))


def task(name: str) -> list[dict]:
    return [{"name": name, "cpu": 1}]


def called_back(future: windlass.StageFuture, call: Callable[[], object]) -> object:
    """What a call answers, or raises, in a done callback."""
    got: list[object] = []

    def run(_: object) -> None:
        try:
            got.append(call())
        except BaseException as error:
            got.append(error)

    future.add_done_callback(run)
    future.wait(10)
    return eventually(lambda: got, what="the callback has run")[0]


def test_a_bridges_session_is_used_in_a_callback_while_another_thread_matches(bridge: windlass.Bridge):
    staged: list[Message] = []

    def grant(node: FakeNode, message: Message) -> None:
        """The transfer of an earlier task ends while the grant is waited for."""
        if staged and message.body["grants"]:
            node.reply(staged.pop(), Type.RESULT, end_of("done"))
            eventually(lambda: released, what="the callback has begun")
        node.grant(message)

    def stage(node: FakeNode, message: Message) -> None:
        accept(node, message)
        staged.append(message)

    released: list[object] = []
    with FakeNode(bridge.address, answers={Type.GRANT: grant, Type.STAGE: stage}):
        eventually(bridge.offers)
        with bridge.session(mode="packing") as session:
            assert session.match(task("t0")).assignments == {"t0": "n"}
            future = bridge.submit_stage("n", [TRANSFER])

            def ended(_: object) -> None:
                released.append("begun")
                released.append(session.release(["t0"]))

            future.add_done_callback(ended)
            assert session.match(task("t1")).assignments == {"t1": "n"}
            eventually(lambda: released == ["begun", 1], what="t0 has given its place back")
            assert bridge.nodes()["n"].state == "alive"


def test_a_bridge_serves_its_callbacks(bridge: windlass.Bridge):
    with FakeNode(bridge.address, answers={Type.STAGE: accept_and_end}):
        eventually(bridge.offers)

        def all_of_it() -> object:
            with bridge.session() as session:
                placed = session.match(task("t")).assignments
            return placed, bridge.stage("n", [TRANSFER], progress=lambda *_: None).ok, list(bridge.nodes())

        future = bridge.submit_stage("n", [TRANSFER])
        assert called_back(future, all_of_it) == ({"t": "n"}, True, ["n"])


def test_a_client_serves_its_callbacks(node: windlass.LocalNode, tmp_path: Path):
    (tmp_path / "a").write_bytes(b"x")
    transfer = windlass.Transfer(tmp_path / "a", tmp_path / "b")
    with node.client() as client, client.session([{"name": "o", "cpu": 4}]) as session:
        assert session.match(task("t")).assignments == {"t": "o"}
        assert called_back(client.submit_stage([transfer]), lambda: session.release(["t"])) == 1
        assert session.match(task("u")).assignments == {"u": "o"}, "the session goes on"
        assert called_back(client.submit_stage([transfer]), lambda: client.stage([transfer]).ok) is True


def test_a_slow_callback_holds_up_neither_beats_nor_answers(bridge: windlass.Bridge):
    go_on = threading.Event()
    with FakeNode(bridge.address, answers={Type.STAGE: accept_and_end}) as node:
        eventually(bridge.offers)
        try:
            future = bridge.submit_stage("n", [TRANSFER])
            future.add_done_callback(lambda _: go_on.wait(30))
            assert future.result(10).ok
            beats = len(node.seen)
            eventually(lambda: len(node.seen) > beats + 10, what="reports are answered")
            assert bridge.nodes()["n"].state == "alive"
            assert bridge.submit_stage("n", [TRANSFER]).result(10).ok, "an end without callbacks waits for none"
        finally:
            go_on.set()


def test_progress_is_told_before_the_end_and_only_the_newest(socket: str):
    """While a callable is busy the figures that come are not kept: it is told the newest next."""
    told: list[tuple] = []
    busy, go_on = threading.Event(), threading.Event()

    def tell(*counts: object) -> None:
        told.append(counts)
        busy.set()
        go_on.wait(30)

    def stage(daemon: FakeDaemon, routing: bytes, request: Message) -> None:
        for count in range(1, 1001):
            body = {"bytes": count, "bytes_total": 1000, "files": 0, "files_total": 1}
            daemon.reply(routing, request, Type.PROGRESS, body)
            if count == 1:
                busy.wait(30)
        daemon.reply(routing, request, Type.RESULT, end_of("done", bytes=1000))

    with FakeDaemon(socket, {Type.STAGE: stage}), windlass.Client(socket) as client:
        future = client.submit_stage([TRANSFER], progress=tell)
        future.add_done_callback(lambda _: told.append("done"))
        eventually(lambda: future.progress().bytes == 1000, what="all has come")
        assert not future.done()
        go_on.set()
        assert future.result(10).ok
        eventually(lambda: told[-1] == "done")
        figures = told[:-1]
        assert figures[0] == (1, 1000, 0, 1) and figures[-1] == (1000, 1000, 1, 1)
        assert len(figures) <= 3 and figures == sorted(figures)


@pytest.mark.parametrize("when", ["first", "end"])
def test_what_progress_raises_comes_out(socket: str, when: str):
    def tell(*counts: object) -> None:
        if when == "first" or counts[0] == 10:
            raise ZeroDivisionError(counts)

    with FakeDaemon(socket, {Type.STAGE: accepting(done), Type.CANCEL: cancelled}), windlass.Client(socket) as client:
        future = client.submit_stage([TRANSFER], progress=tell)
        with pytest.raises(ZeroDivisionError):
            future.result(10)
        assert future.report is not None


def test_what_a_done_callback_raises_is_logged_and_the_next_one_runs(
    client: windlass.Client, caplog: pytest.LogCaptureFixture
):
    def leave(_: object) -> None:
        raise SystemExit(3)

    go_on, ran = threading.Event(), threading.Event()
    first = client.submit_stage([TRANSFER], progress=lambda *_: go_on.wait(30))
    first.add_done_callback(lambda _: 1 // 0)
    second = client.submit_stage([TRANSFER])
    with caplog.at_level(logging.ERROR, "concurrent.futures"):
        go_on.set()
        assert first.result(10).ok and second.result(10).ok
        third = client.submit_stage([TRANSFER], progress=lambda *_: None)
        third.add_done_callback(leave)
        third.add_done_callback(lambda _: ran.set())
        assert third.result(10).ok
        last = client.submit_stage([TRANSFER], progress=lambda *_: None)
        assert last.result(10).ok
    eventually(lambda: any("exception calling callback" in record.message for record in caplog.records))


def test_a_callback_may_wait_for_another_call(socket: str):
    """Also for one whose own callbacks are due in the same thread; others' are not run meanwhile."""
    begun: list[tuple[bytes, Message]] = []
    answers = {Type.STAGE: accepting(lambda _, routing, request: begun.append((routing, request)))}
    with FakeDaemon(socket, answers) as daemon, windlass.Client(socket) as client:
        order: list[str] = []
        futures = [client.submit_stage([TRANSFER], progress=lambda *_, n=n: order.append(n)) for n in "abc"]
        a, b, c = futures
        eventually(lambda: len(order) == 3, what="each was told once")
        order.clear()

        def ended(_: object) -> None:
            for which in (2, 1):
                daemon.send(begun[which][0], Message(Header(Type.RESULT, begun[which][1].header.id), end_of("done")))
            order.append("a waits")
            assert b.result(10).ok and b.wait(0) and b.exception(0) is None
            order.append("a has waited")

        a.add_done_callback(ended)
        daemon.send(begun[0][0], Message(Header(Type.RESULT, begun[0][1].header.id), end_of("done")))
        assert c.result(10).ok
        assert order == ["a", "a waits", "b", "a has waited", "c"]


def test_a_progress_callable_cannot_wait_for_its_own_end(client: windlass.Client):
    futures: list[windlass.StageFuture] = []
    known = threading.Event()

    def tell(*_: object) -> None:
        known.wait(10)
        futures[0].result(10)

    futures.append(client.submit_stage([TRANSFER], progress=tell))
    known.set()
    with pytest.raises(windlass.FailedPrecondition, match="own progress"):
        futures[0].result(10)


def test_waiting_in_a_callback_ends_with_its_time(socket: str):
    with (
        FakeDaemon(socket, {Type.STAGE: accepting(), Type.CANCEL: cancelled}) as daemon,
        windlass.Client(socket) as client,
    ):
        endless = client.submit_stage([TRANSFER], progress=lambda *_: None)
        first = daemon.running
        other = client.submit_stage([TRANSFER])
        got: list[object] = []
        other.add_done_callback(lambda _: got.append(endless.wait(0.01)))
        daemon.send(daemon.running[0], Message(Header(Type.RESULT, daemon.running[1].header.id), end_of("done")))
        assert eventually(lambda: got) == [False]
        daemon.send(first[0], Message(Header(Type.RESULT, first[1].header.id), end_of("done")))
        assert endless.result(10).ok


@pytest.mark.parametrize("when", ["callback", "progress"])
def test_a_callback_may_close_its_client(socket: str, when: str):
    with FakeDaemon(socket, {Type.STAGE: accepting(done), Type.CANCEL: cancelled}):
        client = windlass.Client(socket)
        closed = threading.Event()

        def close(*_: object) -> None:
            client.close()
            closed.set()

        future = client.submit_stage([TRANSFER], progress=close if when == "progress" else None)
        if when == "callback":
            future.add_done_callback(close)
        assert future.wait(10)
        assert closed.wait(10)
        client.close()
        assert own_threads() == []


def test_closing_waits_for_the_last_callback(socket: str):
    with FakeDaemon(socket, {Type.STAGE: accepting(), Type.CANCEL: cancelled}):
        client = windlass.Client(socket)
        future = client.submit_stage([TRANSFER], progress=lambda *_: None)
        order: list[object] = []
        begun, go_on = threading.Event(), threading.Event()

        def ended(future: windlass.StageFuture) -> None:
            begun.set()
            go_on.wait(30)
            order.append(future.cancelled())

        future.add_done_callback(ended)
        closing = threading.Thread(target=lambda: (client.close(), order.append("closed")))
        closing.start()
        assert begun.wait(10)
        go_on.set()
        closing.join(10)
        assert order == [True, "closed"]


def test_callbacks_of_what_is_done_run_at_once(client: windlass.Client):
    future = client.submit_stage([TRANSFER])
    future.result(10)
    got: list[int] = []
    future.add_done_callback(lambda _: got.append(threading.get_ident()))
    assert got == [threading.get_ident()]


def test_an_awaited_future_needs_no_thread_for_callbacks(socket: str):
    async def main() -> None:
        async with windlass.aio.Client(socket) as client:
            assert (await (await client.submit_stage([TRANSFER]))).ok
            assert not [name for name in own_threads() if name.endswith("callbacks")]
            assert (await asyncio.wrap_future(await client.submit_stage([TRANSFER]))).ok

    with FakeDaemon(socket, {Type.STAGE: accepting(done)}):
        asyncio.run(main())


def test_a_forked_child_runs_no_callback_and_the_parent_all(client: windlass.Client):
    go_on, got = threading.Event(), []
    future = client.submit_stage([TRANSFER], progress=lambda *_: go_on.wait(30))
    future.add_done_callback(lambda _: got.append(os.getpid()))
    child = os.fork()
    if child == 0:
        future.add_done_callback(lambda _: got.append(os.getpid()))
        os._exit(len(got))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    go_on.set()
    assert future.result(10).ok
    assert eventually(lambda: got) == [os.getpid()]


def test_what_cannot_be_told_is_refused_before_it_begins(client: windlass.Client, monkeypatch: pytest.MonkeyPatch):
    client.load()  # its own thread is there

    def none_left(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", none_left)
        with pytest.raises(windlass.ResourceExhausted, match="ulimit"):
            client.submit_stage([TRANSFER], progress=lambda *_: None)
        assert client.submit_stage([TRANSFER]).result(10).ok
    told: list[tuple] = []
    assert client.submit_stage([TRANSFER], progress=lambda *counts: told.append(counts)).result(10).ok
    assert told[-1] == (10, 10, 1, 1)


def test_calls_run_in_the_order_of_events():
    order: list[int] = []
    callbacks = Callbacks("windlass-test-callbacks", lambda: True)
    for number in range(100):
        callbacks.post(object(), lambda number=number: order.append(number))
    callbacks.end()
    callbacks.start()
    callbacks.join()
    assert order == list(range(100))

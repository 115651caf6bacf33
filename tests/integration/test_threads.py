"""Threads and descriptors that cannot be had, and threads that a fault ends: every caller is told, nobody hangs."""

from __future__ import annotations

import errno
import logging
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import windlass
import zmq
from fake import FakeDaemon, accepting, silent
from fake_node import FakeNode
from support import eventually, fallbacks, held
from windlass._wire import Type

pytestmark = pytest.mark.usefixtures("nothing_is_left")
TRANSFER = windlass.Transfer("/a", "/b")


class Boom(Exception):
    """A fault that nobody thought of."""


def no_thread(self: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def no_context(*_: object) -> None:
    raise zmq.ZMQError(errno.EMFILE)


def boom(*_: object) -> None:
    raise Boom


def raised(call: Callable[[], object]) -> BaseException:
    with pytest.raises(windlass.WindlassError) as told:
        call()
    return told.value


def test_a_client_whose_thread_cannot_be_started_says_so_and_tries_again(socket: str, monkeypatch: pytest.MonkeyPatch):
    with FakeDaemon(socket), windlass.Client(socket) as client:
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", no_thread)
            for _ in range(2):
                error = raised(client.load)
                assert isinstance(error, windlass.ResourceExhausted) and error.retryable
                assert "can't start new thread" in str(error) and "ulimit -u" in str(error)
        assert client.load().sequence == 7


def test_a_client_whose_thread_never_started_can_be_closed(socket: str, monkeypatch: pytest.MonkeyPatch):
    client = windlass.Client(socket)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", no_thread)
        raised(client.load)
    client.close()
    client.close()
    assert isinstance(raised(client.load), windlass.FailedPrecondition)


def test_a_bridge_whose_thread_cannot_be_started_leaves_nothing(monkeypatch: pytest.MonkeyPatch):
    before = held()
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", no_thread)
        assert isinstance(raised(lambda: windlass.Bridge("tcp://127.0.0.1:0")), windlass.ResourceExhausted)
    eventually(lambda: held() <= before)


def test_a_client_without_a_descriptor_says_so_and_tries_again(socket: str, monkeypatch: pytest.MonkeyPatch):
    with FakeDaemon(socket), windlass.Client(socket) as client:
        with monkeypatch.context() as patched:
            patched.setattr(zmq, "Context", no_context)
            error = raised(client.load)
            assert isinstance(error, windlass.ResourceExhausted) and "ulimit -n" in str(error)
        assert client.load().sequence == 7
    with monkeypatch.context() as patched:
        patched.setattr(os, "eventfd", lambda *_: exec("raise OSError(24, 'Too many open files')"))
        assert "ulimit -n" in str(raised(lambda: windlass.Client(socket)))


def test_a_bridge_without_a_descriptor_says_so(monkeypatch: pytest.MonkeyPatch):
    with monkeypatch.context() as patched:
        patched.setattr(zmq, "Context", no_context)
        error = raised(lambda: windlass.Bridge("tcp://127.0.0.1:0"))
    assert isinstance(error, windlass.ResourceExhausted) and "ulimit -n" in str(error)


def test_a_fault_in_a_clients_thread_ends_every_call(
    socket: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    answers = {Type.LOAD: silent, Type.STAGE: accepting()}
    with FakeDaemon(socket, answers) as daemon, windlass.Client(socket) as client, ThreadPoolExecutor(4) as others:
        future = client.submit_stage([TRANSFER])
        waits = others.submit(raised, client.load)
        eventually(lambda: Type.LOAD in daemon.kinds())
        monkeypatch.setattr(client._channel, "_look_at_the_clock", boom)
        own = raised(client.load)  # wakes the thread
        for error in (own, waits.result(10)):
            assert isinstance(error, windlass.Internal) and "Boom" in str(error)
        staged = future.exception(10)
        assert isinstance(staged, windlass.StageError) and staged.code == windlass.Code.INTERNAL
        assert "Open a new client" in str(raised(client.load))
        assert "Open a new client" in str(raised(lambda: client.stage([TRANSFER])))
        before = fallbacks()
        assert client.match([{"name": "t", "cpu": 1}], [{"name": "o", "cpu": 1}]).assignments == {"t": "o"}
        assert fallbacks() == before + 1
    assert any(record.levelno == logging.CRITICAL for record in caplog.records)


def test_a_fault_ends_what_is_still_queued(socket: str, monkeypatch: pytest.MonkeyPatch):
    """Calls that the thread had not taken when it ended, and those that come just then."""
    with FakeDaemon(socket), windlass.Client(socket) as client, ThreadPoolExecutor(8) as others:
        client.load()
        reached, go_on = threading.Event(), threading.Event()

        def stand() -> None:
            reached.set()
            go_on.wait(30)
            raise Boom

        monkeypatch.setattr(client._channel, "_wait", stand)
        first = others.submit(client.load)  # wakes the thread, and may have its answer yet
        assert reached.wait(10)
        rest = [others.submit(raised, client.load) for _ in range(7)]
        eventually(lambda: len(client._channel.loop._commands) >= 7)
        go_on.set()
        for each in rest:
            assert isinstance(each.result(10), windlass.Internal)
        assert isinstance(first.exception(10), (windlass.Internal, type(None)))


def test_a_command_that_fails_costs_its_own_call_alone(socket: str, monkeypatch: pytest.MonkeyPatch):
    with FakeDaemon(socket), windlass.Client(socket) as client:
        client.load()
        with monkeypatch.context() as patched:
            patched.setattr(client._channel, "_add", boom)
            error = raised(client.load)
            assert isinstance(error, windlass.Internal) and "Boom" in str(error)
        assert client.load().sequence == 7


def test_a_fault_in_a_bridges_thread_is_told_by_every_call(monkeypatch: pytest.MonkeyPatch):
    with windlass.Bridge("tcp://127.0.0.1:0", beat=0.1, suspect_after=20.0, dead_after=30.0) as bridge:
        answers = {Type.GRANT: silent, Type.STAGE: lambda node, call: node.reply(call, Type.PROGRESS, {"bytes": 0})}
        with FakeNode(bridge.address, answers=answers) as node, ThreadPoolExecutor(2) as others:
            eventually(bridge.offers)
            session = bridge.session(mode="packing")
            future = bridge.submit_stage("n", [TRANSFER])
            waits = others.submit(raised, lambda: session.match([{"name": "t", "cpu": 1}]))
            eventually(lambda: Type.GRANT in [message.header.type for message in node.seen])
            monkeypatch.setattr(bridge._thread.core, "tick", boom)
            assert isinstance(waits.result(10), windlass.Internal)
            assert future.exception(10).code == windlass.Code.INTERNAL
            for call in (
                bridge.nodes,
                bridge.offers,
                lambda: bridge.match([{"name": "t", "cpu": 1}]),
                lambda: session.match([{"name": "u", "cpu": 1}]),
                session.offers,
                lambda: bridge.submit_stage("n", [TRANSFER]),
                bridge.session,
            ):
                error = raised(call)
                assert error.code == windlass.Code.INTERNAL and "Open a new bridge" in str(error), call
            session.close()


def test_a_library_thread_is_not_waited_for_in_itself(socket: str):
    """A finalizer or a log handler may run there; it is refused before it stands at a lock."""
    with FakeDaemon(socket), windlass.Client(socket) as client:
        client.load()
        got: list[BaseException] = []
        done = threading.Event()

        def call() -> None:
            got.append(raised(client.load))
            got.append(raised(lambda: client.submit_stage([TRANSFER])))
            client.close()  # begins to
            done.set()

        client._channel.loop.post(call)
        assert done.wait(10)
        assert all(isinstance(error, windlass.WindlassError) and "own thread" in str(error) for error in got)


def test_a_session_is_not_waited_for_in_its_bridges_thread():
    with windlass.Bridge("tcp://127.0.0.1:0") as bridge, bridge.session() as session:
        got: list[BaseException] = []
        done = threading.Event()

        def call() -> None:
            got.append(raised(lambda: session.release(["t"])))
            done.set()

        with session._lock:  # as if a match held it
            bridge._thread.loop.post(call)
            assert done.wait(10)
        assert "own thread" in str(got[0])

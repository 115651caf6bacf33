"""Whatever is dropped may be collected in any thread and in the middle of anything: finalizers take no lock.

A collection is made to happen where it hurts, by a lock that collects once it is held.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
import windlass
from fake import FakeDaemon
from fake_node import FakeNode
from support import eventually, own_threads
from windlass._threads import Bell
from windlass._wire import Type


class Collecting:
    """A lock beneath which the garbage collector runs."""

    def __init__(self, lock: Any) -> None:
        self._lock = lock

    def __enter__(self) -> None:
        self._lock.__enter__()
        gc.collect()

    def __exit__(self, *args: object) -> None:
        gc.collect()
        self._lock.__exit__(*args)


@pytest.fixture(autouse=True)
def quick_collections() -> Iterator[None]:
    """What is there already is not looked at."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def bridge() -> Iterator[windlass.Bridge]:
    with windlass.Bridge("tcp://127.0.0.1:0", beat=0.1, suspect_after=20.0, dead_after=40.0) as made:
        yield made


def drop_in_a_cycle(thing: Any) -> None:
    """As a scheduler that has its session and is known to it: only the collector ends it."""
    thing.holder = [thing]


def in_time(work: Any, seconds: float = 20.0) -> None:
    """Fails where the work hangs."""
    faults: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            faults.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    assert not thread.is_alive(), "it hangs"
    assert not faults, faults


def test_a_session_of_a_bridge_is_collected_under_the_bridges_lock(bridge: windlass.Bridge):
    with FakeNode(bridge.address) as node:
        eventually(bridge.offers)
        bridge._thread.lock = Collecting(bridge._thread.lock)  # type: ignore[assignment]

        def work() -> None:
            for turn in range(5):
                session = bridge.session(mode="packing")
                assert session.match([{"name": "t", "cpu": 4}]).assignments == {"t": "n"}, f"turn {turn}: all is free"
                drop_in_a_cycle(session)
                gone = weakref.ref(session)
                del session
                bridge.nodes()
                assert gone() is None

        in_time(work)
        eventually(lambda: Type.RELEASE in [message.header.type for message in node.seen])


def test_what_a_dropped_session_held_is_free_at_once(bridge: windlass.Bridge):
    with FakeNode(bridge.address), bridge.session(mode="packing") as other:
        eventually(other.offers)
        for turn in range(20):
            session = bridge.session(mode="packing")
            assert session.match([{"name": turn, "cpu": 4}]).assignments == {turn: "n"}
            assert other.match([{"name": turn, "cpu": 4}]).unmatched == [turn]
            del session
            assert other.match([{"name": turn, "cpu": 4}]).assignments == {turn: "n"}
            other.release([turn])


def test_a_session_of_a_client_and_the_client_are_collected_while_a_thread_is_started(socket: str):
    """The one lock that a client's calls take is that of the start."""
    ended: list[int] = []

    def session(daemon: FakeDaemon, routing: bytes, message: Any) -> None:
        if message.body["op"] == "close":
            ended.append(message.body["session"])
        daemon.reply(routing, message, Type.RESULT, {"session": len(ended) + 1, "version": 0})

    with FakeDaemon(socket, {Type.SESSION: session}):

        def work() -> None:
            for _ in range(5):
                client = windlass.Client(socket)
                opened = client.session([])
                drop_in_a_cycle(opened)
                drop_in_a_cycle(client)
                other = windlass.Client(socket)
                other._channel.loop._starting = Collecting(other._channel.loop._starting)  # type: ignore[assignment]
                own = client._channel.loop
                own._starting = Collecting(own._starting)  # type: ignore[assignment]
                del client, opened
                with own._starting:
                    gc.collect()  # the session, before, has kept the client
                    assert own._closing, "it was collected just now"
                other.load()
                other.close()

        in_time(work)
        eventually(lambda: own_threads() == [], what="who is dropped is closed")
        assert len(ended) == 5, "and its session before"


def test_sessions_dropped_at_random_while_others_work(bridge: windlass.Bridge):
    before = gc.get_threshold()
    gc.set_threshold(50)
    try:
        with FakeNode(bridge.address, cpu=1000):
            eventually(bridge.offers)

            def work() -> None:
                for turn in range(20):
                    session = bridge.session(mode="packing")
                    session.match([{"name": turn, "cpu": 1}])
                    drop_in_a_cycle(session)
                    del session
                    for _ in range(3):
                        bridge.nodes()

            threads = [threading.Thread(target=work, daemon=True) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(60)
            assert not any(thread.is_alive() for thread in threads)
            gc.collect()
            with bridge.session(mode="packing") as session:
                assert session.match([{"name": "all", "cpu": 1000}]).assignments == {"all": "n"}
    finally:
        gc.set_threshold(*before)


def test_who_ends_without_closing_says_bye(socket: str):
    """At the interpreter's end, with a callback that never returns, too."""
    script = """
import sys, time, windlass, windlass._loop
windlass._loop.EXIT_S = 0.2
client = windlass.Client(sys.argv[1])
print(client.load().sequence, flush=True)
client._channel.loop.callbacks.start()
client._channel.loop.callbacks.post(client, lambda: time.sleep(1000))
"""
    with FakeDaemon(socket) as daemon:
        ran = subprocess.run([sys.executable, "-c", script, socket], capture_output=True, text=True, timeout=60)
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, "7\n", "")
        eventually(lambda: Type.BYE in daemon.kinds(), what="BYE")


def test_a_finalizer_in_a_forked_child_does_nothing(bridge: windlass.Bridge):
    with FakeNode(bridge.address) as node:
        eventually(bridge.offers)
        session = bridge.session(mode="packing")
        session.match([{"name": "t", "cpu": 4}])
        child = os.fork()
        if child == 0:
            del session
            os._exit(len(bridge._thread._forgotten))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert session.match([{"name": "u", "cpu": 1}]).unmatched == ["u"]
        assert Type.RELEASE not in [message.header.type for message in node.seen]
        session.close()


def test_a_bell_that_is_rung_while_it_closes_writes_to_no_other_descriptor():
    """Descriptors are given out anew at once; each round some threads ring while one closes."""
    for _ in range(200):
        bell = Bell()
        begin = threading.Barrier(4)

        def ring(bell: Bell = bell, begin: threading.Barrier = begin) -> None:
            begin.wait()
            for _ in range(5):
                bell.ring()

        threads = [threading.Thread(target=ring) for _ in range(3)]
        for thread in threads:
            thread.start()
        begin.wait()
        bell.close()
        read, write = os.pipe()  # gets the number
        others = os.eventfd(0, os.EFD_NONBLOCK)
        for thread in threads:
            thread.join()
        assert bell._open == [] and not bell._ringing
        for fd in (read, others):
            with pytest.raises(BlockingIOError):
                os.set_blocking(fd, False)
                os.read(fd, 8)
        for fd in (read, write, others):
            os.close(fd)

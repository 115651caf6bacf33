"""The async twins hold nobody up: neither the loop, nor a cancellation, nor their own end."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import windlass
from fake import FakeDaemon, accepting, cancelled, done, refusing, silent
from support import problem
from windlass import aio
from windlass._aio_threads import THREADS_MAX, Threads
from windlass._errors import Cancelled
from windlass._wire import Message, Type

MANY = THREADS_MAX + 8
TRANSFER = windlass.Transfer("/a", "/b")
TASKS, OFFERS = problem(5, 5)


@pytest.fixture
def socket(tmp_path: Path) -> str:
    return f"ipc://{tmp_path}/daemon"


async def until(look: Any, what: str) -> None:
    """Polls, for a minute."""
    for _ in range(12_000):
        if look():
            return
        await asyncio.sleep(0.005)
    raise AssertionError(f"{what} did not come true")


def threads_of_twins() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("windlass-aio")]


class Stages:
    """A daemon's: each runs until it is cancelled."""

    def __init__(self) -> None:
        self.running: dict[bytes, tuple[bytes, Message]] = {}
        self.answers = {Type.STAGE: accepting(self._begin), Type.CANCEL: self._cancel}

    def _begin(self, daemon: FakeDaemon, routing: bytes, request: Message) -> None:
        self.running[request.header.id] = routing, request

    def _cancel(self, daemon: FakeDaemon, routing: bytes, request: Message) -> None:
        daemon.running = self.running.pop(request.body["request"], None)
        if daemon.running is not None:
            cancelled(daemon, routing, request)


def test_no_thread_waits_for_a_transfer_and_closing_ends_them_all(socket: str):
    stages = Stages()

    async def main() -> None:
        client = aio.Client(socket)
        calls = [asyncio.ensure_future(client.stage([TRANSFER])) for _ in range(MANY)]
        await until(lambda: len(stages.running) == MANY, "more run than there are threads")
        assert all("brief" in name for name in threads_of_twins()), "threads that wait for none of them"
        await client.close()
        ends = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(end, windlass.StageError) and end.code == windlass.Code.CANCELLED for end in ends), ends
        assert not threads_of_twins(), "closing leaves none"

    with FakeDaemon(socket, stages.answers):
        asyncio.run(main())


def test_closing_ends_matches_that_hold_all_threads(socket: str):
    async def main(daemon: FakeDaemon) -> None:
        client = aio.Client(socket)
        calls = [asyncio.ensure_future(client.match(TASKS, OFFERS)) for _ in range(MANY)]
        await until(lambda: daemon.kinds().count(Type.MATCH) == THREADS_MAX, "all threads wait")
        await asyncio.gather(client.close(), client.close())
        ends = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(end, Cancelled) for end in ends[:THREADS_MAX]), ends
        assert all(isinstance(end, windlass.FailedPrecondition) for end in ends[THREADS_MAX:]), ends
        with pytest.raises(windlass.FailedPrecondition, match="the client is closed"):
            await client.load()
        assert not threads_of_twins()

    with FakeDaemon(socket, {Type.MATCH: silent}) as daemon:
        asyncio.run(main(daemon))


def test_cancelling_a_stage_that_was_not_accepted_waits_for_its_end(socket: str):
    stages: list[tuple[bytes, Message]] = []

    def begin(daemon: FakeDaemon, routing: bytes, request: Message) -> None:
        stages.append((routing, request))

    def cancel(daemon: FakeDaemon, routing: bytes, request: Message) -> None:
        daemon.reply(routing, request, Type.RESULT, {"cancelled": True})
        refusing(int(windlass.Code.CANCELLED), "cancelled")(daemon, *stages[0])

    async def main() -> None:
        async with aio.Client(socket) as client:
            call = asyncio.ensure_future(client.stage([TRANSFER]))
            await until(lambda: stages, "the call is out")
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call

    with FakeDaemon(socket, {Type.STAGE: begin, Type.CANCEL: cancel}) as daemon:
        asyncio.run(main())
        assert daemon.kinds().count(Type.CANCEL) == 1


def test_a_stage_is_submitted_again_until_the_daemon_takes_it(socket: str):
    def first_full(daemon: FakeDaemon, routing: bytes, request: Message) -> None:
        if daemon.kinds().count(Type.STAGE) < 3:
            body = {"code": int(windlass.Code.RESOURCE_EXHAUSTED), "message": "full", "retryable": True}
            daemon.reply(routing, request, Type.ERROR, body | {"retry_after_ms": 1})
        else:
            accepting(done)(daemon, routing, request)

    async def main() -> None:
        async with aio.Client(socket) as client:
            assert (await client.stage([TRANSFER])).ok
            late = await client.stage([windlass.Transfer("/a", "/b", deadline=-1)], on_error="report")
            assert late.transfers[0].state == "done", "what was accepted is the daemon's to judge"
            assert (await client.stage([])).ok

    with FakeDaemon(socket, {Type.STAGE: first_full}):
        asyncio.run(main())


# ---- Cancelling what waits for its turn, and what is under way -------------------------------------------------------


class Busy:
    """Threads of a twin, as many as there are in calls that wait for `go`."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.begun: list[int] = []
        self.threads = Threads(self.go.set, "client")

    async def fill(self) -> None:
        self.calls = [asyncio.ensure_future(self.threads.run(self._wait, row)) for row in range(THREADS_MAX)]
        await until(lambda: len(self.begun) == THREADS_MAX, "all threads are taken")

    def _wait(self, row: int) -> None:
        self.begun.append(row)
        self.go.wait()


@pytest.fixture
def busy() -> Iterator[Busy]:
    made = Busy()
    yield made
    made.go.set()


@pytest.mark.parametrize("how", ["run", "whole"])
def test_what_waits_for_its_turn_ends_at_once_when_cancelled(busy: Busy, how: str):
    async def main() -> None:
        await busy.fill()
        done: list[str] = []
        call = asyncio.ensure_future(getattr(busy.threads, how)(done.append, "done"))
        await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert not busy.go.is_set(), "while the others wait on"
        await busy.threads.close()
        await asyncio.gather(*busy.calls)
        assert done == [], "it never was"

    asyncio.run(main())


@pytest.mark.parametrize("times", [1, 2])
def test_what_is_under_way_is_taken_back_when_cancelled(busy: Busy, times: int):
    async def main() -> None:
        undone: list[int] = []
        begun = threading.Event()

        def work() -> int:
            begun.set()
            busy.go.wait()
            return 7

        call = asyncio.ensure_future(busy.threads.whole(work, undo=undone.append))
        await until(begun.is_set, "it has begun")
        call.cancel()
        await asyncio.sleep(0)
        if times == 2:  # nobody waits for its end any more
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            assert not busy.go.is_set() and undone == []
        busy.go.set()
        with pytest.raises(asyncio.CancelledError):
            await call
        await until(lambda: undone == [7], "it is taken back, once")
        await busy.threads.close()
        assert undone == [7]

    asyncio.run(main())


def test_what_has_ended_unseen_is_taken_back_when_cancelled(busy: Busy):
    async def main() -> None:
        undone: list[int] = []
        done = threading.Event()

        def work() -> int:
            done.set()
            return 7

        call = asyncio.ensure_future(busy.threads.whole(work, undo=undone.append))
        await asyncio.sleep(0)
        assert done.wait(60), "while the loop sees nothing"
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert undone == [7]
        await busy.threads.close()

    asyncio.run(main())


# ---- Beside a match that waits for its nodes -------------------------------------------------------------------------


def test_grants_are_told_while_a_match_waits_for_a_node(nodes: Any, tmp_path: Path):
    offers = tmp_path / "offers.yaml"
    offers.write_text("- {name: a, resources: {cpu: 4}}\n")

    async def main() -> None:
        async with aio.Bridge("tcp://127.0.0.1:0", beat=0.1, suspect_after=60.0, dead_after=120.0) as bridge:
            node = nodes({"node.name": "a", "bridge.address": bridge.address, "offers.file": str(offers)})
            async with bridge.session(mode="packing") as session:
                while not await session.offers():
                    await asyncio.sleep(0.005)
                assert (await session.match([{"name": "t", "resources": {"cpu": 1}}])).assignments == {"t": "a"}
                os.kill(node.pid, signal.SIGSTOP)
                try:
                    match = asyncio.ensure_future(session.match([{"name": "u", "resources": {"cpu": 1}}]))
                    book = bridge._side._thread.core.grants
                    await until(lambda: len(book) == 2, "the node is asked")
                    assert list(session.grants()) == ["t"], "what is asked for is not held yet"
                    assert (await bridge.nodes())["a"].state == "alive" and await bridge.offers()
                    assert not match.done()
                finally:
                    os.kill(node.pid, signal.SIGCONT)
                assert (await match).assignments == {"u": "a"}
                assert list(session.grants()) == ["t", "u"]

    asyncio.run(main())

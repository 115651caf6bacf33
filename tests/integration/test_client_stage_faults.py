"""What a Client does with staging calls when the daemon is full, silent or gone; and the async twin of all of it."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import CancelledError
from pathlib import Path

import pytest
import windlass
from fake import FakeDaemon, accepting, cancelled, done, refusing, silent
from support import eventually, fallbacks, problem, same
from windlass import legacy
from windlass._wire import Message, Type

pytestmark = pytest.mark.usefixtures("nothing_is_left")
TASKS, OFFERS = problem(60, 50)
TRANSFER = windlass.Transfer("/a", "/b")


def test_staging_tells_of_progress_and_reports(socket: str):
    with FakeDaemon(socket, {Type.STAGE: accepting(done)}) as daemon, windlass.Client(socket) as client:
        told: list[tuple] = []
        report = client.stage([TRANSFER], progress=lambda *counts: told.append(counts))
        assert report.ok and report.bytes == 10
        assert told[-1] == (10, 10, 1, 1)
        future = client.submit_stage([TRANSFER])
        assert future.result(5).ok
        stage = next(message for message in daemon.seen if message.header.type == Type.STAGE)
        assert stage.body["transfers"][0]["source"] == b"/a"
        assert stage.body["detach"] is False


def test_cancel_waits_for_the_daemons_answer(socket: str):
    answers = {Type.STAGE: accepting(), Type.CANCEL: cancelled}
    with FakeDaemon(socket, answers), windlass.Client(socket) as client:
        future = client.submit_stage([TRANSFER])
        assert not future.done()
        assert future.cancel()
        with pytest.raises(CancelledError):
            future.result(5)
        assert future.cancelled()
        assert future.report is not None and future.report.transfers[0].state == "cancelled"
        assert not future.cancel()


def test_a_daemon_that_dies_ends_its_transfers_unavailable(socket: str):
    with windlass.Client(socket) as client:
        daemon = FakeDaemon(socket, {Type.STAGE: accepting()})
        future = client.submit_stage([TRANSFER])
        daemon.stop()
        with pytest.raises(windlass.StageError) as ended:
            future.result(5)
        assert ended.value.code == windlass.Code.UNAVAILABLE and ended.value.retryable
        assert ended.value.report.transfers[0].state == "failed"
        with pytest.raises(windlass.StageError) as ended:
            client.stage([TRANSFER])
        assert ended.value.code == windlass.Code.UNAVAILABLE


def test_staging_falls_back_only_where_asked_and_never_accepted(socket: str, tmp_path: Path):
    source = tmp_path / "source"
    source.write_bytes(b"payload")
    transfer = windlass.Transfer(source, tmp_path / "target")
    with windlass.Client(socket, stage_fallback="legacy") as client:
        before = fallbacks("stage")
        assert client.stage([transfer]).transfers[0].engine == "legacy"
        assert (tmp_path / "target").read_bytes() == b"payload"
        assert client.submit_stage([transfer]).result(10).ok
        assert fallbacks("stage") == before + 2
        with FakeDaemon(socket, {Type.STAGE: refusing(3, "odd")}), pytest.raises(windlass.InvalidTransfer):
            client.stage([transfer])
        daemon = FakeDaemon(socket, {Type.STAGE: accepting()})
        future = client.submit_stage([transfer])
        daemon.stop()
        with pytest.raises(windlass.Unavailable):
            future.result(5)
        assert fallbacks("stage") == before + 2


def test_a_full_daemon_makes_stage_wait_and_submit_say_so(socket: str):
    turns: list[int] = []

    def answer(daemon: FakeDaemon, routing: bytes, request: Message) -> None:
        turns.append(1)
        full = refusing(8, "full", retryable=True, retry_after_ms=10)
        (full if len(turns) < 4 else accepting(done))(daemon, routing, request)

    with FakeDaemon(socket, {Type.STAGE: answer}), windlass.Client(socket) as client:
        with pytest.raises(windlass.ResourceExhausted) as refused:
            client.submit_stage([TRANSFER])
        assert refused.value.retry_after == 0.01
        assert client.stage([TRANSFER]).ok
        assert len(turns) == 4


def test_closing_cancels_what_runs_but_for_what_is_detached(socket: str):
    answers = {Type.STAGE: accepting(), Type.CANCEL: cancelled}
    with FakeDaemon(socket, answers) as daemon:
        client = windlass.Client(socket)
        detached = client.submit_stage([TRANSFER], detach=True)
        future = client.submit_stage([TRANSFER])
        client.close()
        assert future.cancelled() and detached.cancelled()
        assert daemon.kinds().count(Type.CANCEL) == 1


def test_signs_of_life_are_sent_for_what_runs(socket: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("windlass._requests.SIGN_OF_LIFE_S", 0.02)
    answers = {Type.STAGE: accepting(), Type.CANCEL: cancelled, Type.PROGRESS: silent}
    with FakeDaemon(socket, answers) as daemon, windlass.Client(socket) as client:
        client.submit_stage([TRANSFER])
        stage = next(message for message in daemon.seen if message.header.type == Type.STAGE)
        eventually(lambda: daemon.kinds().count(Type.PROGRESS) >= 3)
        assert all(m.header.id == stage.header.id for m in daemon.seen if m.header.type == Type.PROGRESS)


def test_a_daemon_that_falls_silent_in_the_middle_is_given_up(socket: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("windlass._requests.SILENCE_S", 0.1)
    with FakeDaemon(socket, {Type.STAGE: accepting(), Type.PROGRESS: silent}), windlass.Client(socket) as client:
        future = client.submit_stage([TRANSFER])
        with pytest.raises(windlass.Unavailable):
            future.result(5)


# ---- The async twin --------------------------------------------------------------------------------------------------


def test_the_async_client_does_the_same(socket: str):
    async def main() -> None:
        async with windlass.aio.Client(socket) as client:
            assert same(await client.match(TASKS, OFFERS), legacy.match(TASKS, OFFERS), TASKS)
            assert await client.match_tasks_to_offers(TASKS, OFFERS) == legacy.match_tasks_to_offers(TASKS, OFFERS)
            assert (await client.load()).sequence == 7
            told: list[tuple] = []
            loop_thread = threading.get_ident()

            def tell(*counts: object) -> None:
                assert threading.get_ident() == loop_thread
                told.append(counts)

            assert (await client.stage([TRANSFER], progress=tell)).ok
            assert told[-1] == (10, 10, 1, 1)
            assert (await (await client.submit_stage([TRANSFER]))).ok
            with pytest.raises(ZeroDivisionError):
                await client.stage([TRANSFER], progress=lambda *_: 1 // 0)
            with pytest.raises(windlass.Unimplemented):
                await client.open("/x")

    with FakeDaemon(socket, {Type.STAGE: accepting(done), Type.CANCEL: cancelled}):
        asyncio.run(main())


@pytest.mark.parametrize("how", ["stage", "submit_stage"])
def test_cancelling_a_task_cancels_the_transfer(socket: str, how: str):
    async def main(daemon: FakeDaemon) -> None:
        async with windlass.aio.Client(socket) as client:

            async def work() -> None:
                if how == "stage":
                    await client.stage([TRANSFER])
                else:
                    await (await client.submit_stage([TRANSFER]))

            task = asyncio.create_task(work())
            while Type.STAGE not in daemon.kinds():
                await asyncio.sleep(0.005)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            async with asyncio.timeout(5):  # another thread sends it
                while Type.CANCEL not in daemon.kinds():
                    await asyncio.sleep(0.005)

    with FakeDaemon(socket, {Type.STAGE: accepting(), Type.CANCEL: cancelled}) as daemon:
        asyncio.run(main(daemon))


def test_cancelling_a_match_takes_it_back(socket: str):
    async def main(daemon: FakeDaemon) -> None:
        async with windlass.aio.Client(socket) as client:
            task = asyncio.create_task(client.match(TASKS, OFFERS))
            while Type.MATCH not in daemon.kinds():
                await asyncio.sleep(0.005)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            while Type.CANCEL not in daemon.kinds():
                await asyncio.sleep(0.005)

    with FakeDaemon(socket, {Type.MATCH: silent}) as daemon:
        asyncio.run(main(daemon))

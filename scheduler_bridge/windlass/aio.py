"""The async twins of `Client` and `Bridge`: the same calls, awaited; cancelling a task cancels what it waits for.

What takes processor time or waits for a daemon runs in threads of the client's own; the event loop is never held up.
`progress` callables are called in the event loop's thread.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

from . import _bridge, _client
from ._address import Address
from ._aio_session import Opening
from ._errors import Cancelled, StageError
from ._match import match, offers_to_tasks, solve
from ._records import Record
from ._reply import Withdrawal
from ._result import MatchResult
from ._stage import StageFuture, StageReport, StageRequest, Transfer
from ._stage_progress import ProgressArgument
from ._stage_remote import Accepted, RemoteStage
from ._stage_run import run_stage

THREADS_MAX = 32  # calls that wait at the same time; more wait for their turn

_Side = TypeVar("_Side", _client.Client, _bridge.Bridge)
_Result = TypeVar("_Result")


class _Twin(Generic[_Side]):
    """The part that both have: threads for what blocks."""

    def __init__(self, side: _Side) -> None:
        self._side: _Side = side
        self._threads = concurrent.futures.ThreadPoolExecutor(THREADS_MAX, thread_name_prefix="windlass-aio")

    @property
    def address(self) -> str:
        return self._side.address

    async def close(self) -> None:
        """Closes as its twin does; no thread is left."""
        await self._in_thread(self._side.close)
        self._threads.shutdown()

    async def _in_thread(self, call: Callable[..., _Result], *args: Any, **options: Any) -> _Result:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, functools.partial(call, *args, **options))

    async def _stage(
        self,
        begin: Callable[[StageRequest], Accepted],
        transfers: Iterable[Transfer],
        progress: ProgressArgument,
        on_error: str,
        relative: bool,
    ) -> StageReport:
        running = _Running(begin)
        told = _in_loop(progress) if callable(progress) else progress
        call = functools.partial(run_stage, progress=told, on_error=on_error, relative=relative)
        ending = asyncio.ensure_future(self._in_thread(call, transfers, running.submit))
        try:
            return await asyncio.shield(ending)
        except asyncio.CancelledError:
            running.cancel()
            await asyncio.wait([ending])
            if not ending.cancelled():
                ending.exception()  # seen: the cancellation is what comes out
            raise


class Client(_Twin[_client.Client]):
    """`windlass.Client`, awaited: ``async with windlass.aio.Client() as client: await client.match(tasks, offers)``."""

    def __init__(self, address: Address | None = None, **options: Any) -> None:
        super().__init__(_client.Client(address, **options))

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def match(self, tasks: Any, offers: Any, **options: Any) -> MatchResult:
        """As `Client.match`."""
        return await self._match(solve, tasks, offers, options)

    async def match_tasks_to_offers(self, tasks: Any, offers: Any, **options: Any) -> dict[Any, Any]:
        """As `Client.match_tasks_to_offers`."""

        def pairs(tasks: Any, offers: Any, **how: Any) -> dict[Any, Any]:
            return offers_to_tasks(functools.partial(solve, **how), tasks, offers, options)

        return await self._match(pairs, tasks, offers, {})

    async def stage(
        self, transfers: Iterable[Transfer], *, progress: ProgressArgument = None, on_error: str = "raise"
    ) -> StageReport:
        """As `Client.stage`."""
        return await self._stage(self._side.submit_and_wait, transfers, progress, on_error, relative=True)

    async def submit_stage(
        self, transfers: Iterable[Transfer], *, detach: bool = False, progress: ProgressArgument = None
    ) -> StageFuture:
        """As `Client.submit_stage`: answers once the daemon has accepted the call. Await the future for its report."""
        request = StageRequest(transfers)
        remote = self._side.begin_stage(request, detach, progress)
        try:
            return await _acceptance(remote)
        except StageError as error:
            return self._side.fall_back(request, remote, error, progress)

    async def load(self) -> Record:
        """As `Client.load`."""
        return await self._in_thread(self._side.load)

    async def open(self, url: Any) -> memoryview:
        """Not served yet."""
        return self._side.open(url)

    async def fetch_ranges(self, url: Any, ranges: Any) -> list[memoryview]:
        """Not served yet."""
        return self._side.fetch_ranges(url, ranges)

    async def unpin(self, url: Any) -> None:
        """Not served yet."""
        self._side.unpin(url)

    def session(self, offers: Any, **options: Any) -> Opening:
        """As `Client.session`: ``async with client.session(offers) as session: await session.match(tasks)``."""
        return Opening(self._in_thread, functools.partial(self._side.session, offers, **options))

    async def _match(self, call: Callable[..., _Result], tasks: Any, offers: Any, options: dict[str, Any]) -> _Result:
        withdrawal = Withdrawal()
        backend = functools.partial(self._side.place, withdrawal=withdrawal)
        try:
            return await self._in_thread(call, tasks, offers, backend=backend, waits=True, fallback=True, **options)
        except asyncio.CancelledError:
            withdrawal.ask()
            raise


class Bridge(_Twin[_bridge.Bridge]):
    """`windlass.Bridge`, awaited: ``async with windlass.aio.Bridge("tcp://127.0.0.1:8790") as bridge: ...``."""

    def __init__(self, address: str, **options: Any) -> None:
        super().__init__(_bridge.Bridge(address, **options))

    async def __aenter__(self) -> Bridge:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def nodes(self) -> dict[str, Record]:
        """As `Bridge.nodes`."""
        return self._side.nodes()

    async def offers(self) -> list[dict[str, Any]]:
        """As `Bridge.offers`."""
        return self._side.offers()

    async def match(self, tasks: Any, **options: Any) -> MatchResult:
        """As `Bridge.match`."""
        return await self._in_thread(match, tasks, self._side.offers(), **options)

    async def stage(
        self,
        node: str,
        transfers: Iterable[Transfer],
        *,
        progress: ProgressArgument = None,
        on_error: str = "raise",
    ) -> StageReport:
        """As `Bridge.stage`."""
        begin = functools.partial(self._side.submit_and_wait, node)
        return await self._stage(begin, transfers, progress, on_error, relative=False)

    async def submit_stage(
        self, node: str, transfers: Iterable[Transfer], *, detach: bool = False, progress: ProgressArgument = None
    ) -> StageFuture:
        """As `Bridge.submit_stage`."""
        request = StageRequest(transfers, relative=False)
        return await _acceptance(self._side.begin_stage(node, request, detach, progress))

    def session(self, **options: Any) -> Opening:
        """As `Bridge.session`: ``async with bridge.session() as session: await session.match(tasks)``."""
        return Opening(self._in_thread, functools.partial(self._side.session, **options))


class _Running:
    """The call that `run_stage` makes in its thread, so that the event loop can cancel it."""

    def __init__(self, begin: Callable[[StageRequest], Accepted]) -> None:
        self._begin = begin
        self._withdrawal = Withdrawal()

    def submit(self, request: StageRequest) -> Accepted:
        if self._withdrawal.asked:
            raise Cancelled("the task was cancelled before the call was accepted")
        call = self._begin(request)
        self._withdrawal.arm(call.cancel)
        return call

    def cancel(self) -> None:
        self._withdrawal.ask()


async def _acceptance(remote: RemoteStage) -> StageFuture:
    try:
        return await asyncio.wrap_future(remote.accepted)
    except asyncio.CancelledError:
        remote.future.cancel()
        raise


def _in_loop(progress: Callable[..., Any]) -> Callable[..., Any]:
    """Calls `progress` in the event loop's thread and waits for it, so that what it raises comes out."""
    loop = asyncio.get_running_loop()

    def tell(*counts: Any) -> Any:
        told: concurrent.futures.Future[Any] = concurrent.futures.Future()

        def run() -> None:
            try:
                told.set_result(progress(*counts))
            except BaseException as error:
                told.set_exception(error)

        loop.call_soon_threadsafe(run)
        return told.result()

    return tell

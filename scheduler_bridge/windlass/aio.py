"""The async twins of `Client` and `Bridge`: the same calls, awaited; cancelling a task cancels what it waits for.

What takes processor time or waits for a daemon runs in threads of the client's own, but for staging, for which no
thread waits; the event loop is never held up. Making a client or a bridge is no call: it reads the keys there and then.
`progress` callables are called in the event loop's thread by `stage`, and in a thread of the library by `submit_stage`.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

from . import _bridge, _client
from ._address import Address
from ._aio_session import Opening
from ._aio_stage import acceptance, stage
from ._aio_threads import THREADS_MAX, Threads
from ._errors import StageError
from ._match import offers_to_tasks, solve
from ._records import Record
from ._reply import Withdrawal
from ._result import MatchResult
from ._stage import StageFuture, StageReport, StageRequest, Transfer
from ._stage_progress import ProgressArgument

__all__ = ["THREADS_MAX", "Bridge", "Client"]

_Side = TypeVar("_Side", _client.Client, _bridge.Bridge)
_Result = TypeVar("_Result")


class _Twin(Generic[_Side]):
    """The part that both have."""

    def __init__(self, side: _Side, what: str) -> None:
        self._side: _Side = side
        self._threads = Threads(side.close, what)

    @property
    def address(self) -> str:
        return self._side.address

    async def close(self) -> None:
        """Closes as its twin does, whatever calls are waiting; no thread is left."""
        await self._threads.close()


class Client(_Twin[_client.Client]):
    """`windlass.Client`, awaited: ``async with windlass.aio.Client() as client: await client.match(tasks, offers)``."""

    def __init__(self, address: Address | None = None, **options: Any) -> None:
        super().__init__(_client.Client(address, **options), "client")

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
        submit = functools.partial(self._submit, to_the_end=True)
        return await stage(self._threads, submit, transfers, progress=progress, on_error=on_error, relative=True)

    async def submit_stage(
        self, transfers: Iterable[Transfer], *, detach: bool = False, progress: ProgressArgument = None
    ) -> StageFuture:
        """As `Client.submit_stage`: answers once the daemon has accepted the call. Await the future for its report."""
        request = await self._threads.briefly(StageRequest, transfers)
        return await self._submit(request, detach, progress)

    async def _submit(
        self,
        request: StageRequest,
        detach: bool = False,
        progress: ProgressArgument = None,
        to_the_end: bool = False,
    ) -> StageFuture:
        remote = self._side.begin_stage(request, detach, progress)
        try:
            return await acceptance(remote, to_the_end=to_the_end)
        except StageError as error:
            call = functools.partial(self._side.fall_back, request, remote, error, progress)
            return await self._threads.whole(call, undo=StageFuture.cancel, brief=True)

    async def load(self) -> Record:
        """As `Client.load`."""
        return await self._threads.run(self._side.load)

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
        return Opening(self._threads, functools.partial(self._side.session, offers, **options))

    async def _match(self, call: Callable[..., _Result], tasks: Any, offers: Any, options: dict[str, Any]) -> _Result:
        withdrawal = Withdrawal()
        backend = functools.partial(self._side.place, withdrawal=withdrawal)
        try:
            return await self._threads.run(call, tasks, offers, backend=backend, waits=True, fallback=True, **options)
        except asyncio.CancelledError:
            withdrawal.ask()
            raise


class Bridge(_Twin[_bridge.Bridge]):
    """`windlass.Bridge`, awaited: ``async with windlass.aio.Bridge("tcp://127.0.0.1:8790") as bridge: ...``."""

    def __init__(self, address: str, **options: Any) -> None:
        super().__init__(_bridge.Bridge(address, **options), "bridge")

    async def __aenter__(self) -> Bridge:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def nodes(self) -> dict[str, Record]:
        """As `Bridge.nodes`."""
        return await self._threads.briefly(self._side.nodes)

    async def offers(self) -> list[dict[str, Any]]:
        """As `Bridge.offers`."""
        return await self._threads.briefly(self._side.offers)

    async def match(self, tasks: Any, **options: Any) -> MatchResult:
        """As `Bridge.match`."""
        return await self._threads.run(self._side.match, tasks, **options)

    async def stage(
        self,
        node: str,
        transfers: Iterable[Transfer],
        *,
        progress: ProgressArgument = None,
        on_error: str = "raise",
    ) -> StageReport:
        """As `Bridge.stage`."""
        submit = functools.partial(self._submit, node, to_the_end=True)
        return await stage(self._threads, submit, transfers, progress=progress, on_error=on_error, relative=False)

    async def submit_stage(
        self, node: str, transfers: Iterable[Transfer], *, detach: bool = False, progress: ProgressArgument = None
    ) -> StageFuture:
        """As `Bridge.submit_stage`."""
        request = await self._threads.briefly(StageRequest, transfers, relative=False)
        return await self._submit(node, request, detach, progress)

    async def _submit(
        self,
        node: str,
        request: StageRequest,
        detach: bool = False,
        progress: ProgressArgument = None,
        to_the_end: bool = False,
    ) -> StageFuture:
        return await acceptance(self._side.begin_stage(node, request, detach, progress), to_the_end=to_the_end)

    def session(self, **options: Any) -> Opening:
        """As `Bridge.session`: ``async with bridge.session() as session: await session.match(tasks)``."""
        return Opening(self._threads, functools.partial(self._side.session, **options))

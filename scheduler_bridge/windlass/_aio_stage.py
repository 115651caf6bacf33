"""`stage` of an async twin: all of it in the event loop, so that no thread waits for a transfer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable

from ._aio_threads import Threads, end_of
from ._errors import WindlassError
from ._stage import StageFuture, StageReport, StageRequest, Transfer
from ._stage_progress import INTERVAL_SECONDS, ProgressArgument, Teller
from ._stage_remote import RemoteStage
from ._stage_report import checked_on_error, raise_or_report
from ._stage_run import Patience, counts_at_end, end_without_any, expired

Submit = Callable[[StageRequest], Awaitable[StageFuture]]


async def stage(
    threads: Threads,
    submit: Submit,
    transfers: Iterable[Transfer],
    *,
    progress: ProgressArgument,
    on_error: str,
    relative: bool,
) -> StageReport:
    """As `run_stage`; `submit` answers once the call was accepted."""
    on_error = checked_on_error(on_error)
    # What shows a bar may have to be imported first.
    teller = await threads.briefly(Teller, progress) if progress is True else Teller(progress)
    try:
        request = await threads.briefly(StageRequest, transfers, relative=relative)
        if not request.transfers:
            return end_without_any(teller)
        begun = time.monotonic()
        future = await _submit_until_deadline(request, submit)
        if isinstance(future, WindlassError):
            return raise_or_report(expired(request, future, begun), on_error)
        return raise_or_report(await _follow(future, teller), on_error)
    finally:
        teller.close()


async def acceptance(remote: RemoteStage, *, to_the_end: bool) -> StageFuture:
    """Waits until a call is accepted. Where whoever waits is cancelled, so is the call; `to_the_end`: and only what
    came of that is the end of the wait."""
    accepted = end_of(remote.accepted)
    try:
        await asyncio.wait([accepted])
    except asyncio.CancelledError:
        remote.future.cancel()
        if to_the_end:
            await asyncio.wait([accepted])
            if remote.accepted.exception() is None:
                await asyncio.wait([end_of(remote.future)])
        raise
    return remote.accepted.result()


async def _submit_until_deadline(request: StageRequest, submit: Submit) -> StageFuture | WindlassError:
    patience = Patience(request.deadline)
    while True:
        try:
            return await submit(request)
        except WindlassError as refusal:
            pause = patience.after(refusal)
            if pause is None:
                return refusal
        await asyncio.sleep(pause)


async def _follow(future: StageFuture, teller: Teller) -> StageReport:
    ended = end_of(future)
    try:
        while not ended.done():
            await asyncio.wait([ended], timeout=None if teller.silent else INTERVAL_SECONDS)
            if not teller.silent and not ended.done():
                teller.tell(future.counts())
    except BaseException:
        future.cancel()
        await asyncio.wait([ended])  # only then is it known what was published
        raise
    report = future.outcome()
    teller.tell_end(counts_at_end(future.counts(), report))
    return report

"""Staging in plain Python: local files, one after the other, by the same contract as the engines.

There is no journal here, so `state` is refused, and nothing is resumed.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Sequence

from .._errors import Code, stage_error_of
from .._stage_encode import StageRequest
from .._stage_future import StageFuture
from .._stage_paths import is_local
from .._stage_progress import ProgressArgument, Teller
from .._stage_report import StageReport, checked_on_error, raise_or_report
from .._stage_transfer import Transfer
from .._threads import started
from ._call import Call
from ._faults import Fault
from ._places import Places

Roots = Sequence["str | os.PathLike[str]"]


def stage(
    transfers: Iterable[Transfer],
    *,
    progress: ProgressArgument = None,
    on_error: str = "raise",
    roots: Roots | None = None,
    state: str | os.PathLike[str] | None = None,
) -> StageReport:
    """As `windlass.stage`; everything happens in the calling thread."""
    on_error = checked_on_error(on_error)
    teller = Teller(progress)
    try:
        if state is not None:
            raise stage_error_of(
                Code.UNIMPLEMENTED, "state is not served by legacy, which resumes nothing; leave it out"
            )
        request = _served(StageRequest(transfers, cache=False))
        places = _places(roots)
        try:
            call = Call(request, places, None if teller.silent else teller.tell)
            report = call.run()
        finally:
            places.close()
        teller.tell_end(call.counts())
        return raise_or_report(report, on_error)
    finally:
        teller.close()


def submit_stage(
    transfers: Iterable[Transfer] | StageRequest, *, roots: Roots | None = None, progress: ProgressArgument = None
) -> StageFuture:
    """The same in a thread of its own, which ends with the call."""
    request = _served(transfers if isinstance(transfers, StageRequest) else StageRequest(transfers, cache=False))
    places = _places(roots)
    stop = threading.Event()
    future = StageFuture(stop.set, progress)

    def run() -> None:
        try:
            future.end(Call(request, places, future.advance, stop.is_set).run())
        except BaseException as error:  # a fault of our own: it comes out of result()
            future.fail(error)
        finally:
            places.close()

    try:
        started("windlass-legacy-stage", run)
    except BaseException:
        places.close()
        raise
    return future


def _served(request: StageRequest) -> StageRequest:
    """The request, where everything in it is served here; else UNIMPLEMENTED by name."""
    wishes = request.body()["transfers"]
    for row, (wish, transfer) in enumerate(zip(wishes, request.transfers, strict=True)):
        for name in ("source", "target"):
            if not is_local(wish[name]):
                scheme = wish[name].partition(b"://")[0].decode()
                raise _unserved(f"transfers[{row}].{name}: {scheme}:// is not served here; give a path", transfer)
    return request


def _unserved(message: str, transfer: Transfer) -> Exception:
    return stage_error_of(Code.UNIMPLEMENTED, message, source=transfer.source, target=transfer.target)


def _places(roots: Roots | None) -> Places:
    try:
        return Places(roots)
    except Fault as fault:
        raise stage_error_of(fault.code, fault.message) from None

"""What every path of `stage()` does around its engine: accept or wait, follow, cancel, report."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

from ._errors import Code, WindlassError
from ._stage_encode import StageRequest
from ._stage_progress import INTERVAL_SECONDS, Counts, ProgressArgument, Teller
from ._stage_report import StageReport, checked_on_error, raise_or_report, report_of_refusal
from ._stage_transfer import Transfer


class StageCall(Protocol):
    """A call that an engine or a daemon has accepted; `StageFuture` is one."""

    def wait(self, timeout: float | None) -> bool:
        """True once it has ended."""

    def counts(self) -> Counts: ...

    def cancel(self) -> bool: ...

    def outcome(self) -> StageReport:
        """After the end: the report, or the error where there is none (a daemon that is gone)."""


Submit = Callable[[StageRequest], StageCall]
_Accepted = TypeVar("_Accepted")


def run_stage(
    transfers: Iterable[Transfer],
    submit: Submit,
    *,
    progress: ProgressArgument,
    on_error: str,
    relative: bool = True,
    cache: bool = True,
) -> StageReport:
    """The whole of `stage(transfers, progress=..., on_error=...)` over `submit`, in the calling thread."""
    on_error = checked_on_error(on_error)
    teller = Teller(progress)
    try:
        request = StageRequest(transfers, relative=relative, cache=cache)
        if not request.transfers:
            teller.tell_end(Counts(0, 0, 0, 0))
            return StageReport(transfers=[], seconds=0.0)
        begun = time.monotonic()
        call = submit_until_deadline(request, submit)
        if isinstance(call, WindlassError):
            report = report_of_refusal(
                request.transfers,
                "expired",
                Code.DEADLINE_EXCEEDED,
                f"it was not accepted before its deadline: {call}",
                time.monotonic() - begun,
            )
        else:
            report = follow(call, teller)
        return raise_or_report(report, on_error)
    finally:
        teller.close()


def submit_until_deadline(
    request: StageRequest, submit: Callable[[StageRequest], _Accepted]
) -> _Accepted | WindlassError:
    """Submits, and again after RESOURCE_EXHAUSTED until the request's deadline; then answers the last refusal."""
    pause = 0.05
    while True:
        try:
            return submit(request)
        except WindlassError as refusal:
            if refusal.code != Code.RESOURCE_EXHAUSTED or not refusal.retryable:
                raise
            if request.deadline is not None and time.monotonic() >= request.deadline:
                return refusal
            wanted = refusal.retry_after if refusal.retry_after else pause
        pause = min(pause * 2, 1.0)
        wanted = min(wanted, 5.0) * random.uniform(0.9, 1.1)
        if request.deadline is not None:
            wanted = min(wanted, max(request.deadline - time.monotonic(), 0.0))
        time.sleep(wanted)


def follow(call: StageCall, teller: Teller) -> StageReport:
    """Waits for the end and tells of progress; what is raised meanwhile (Ctrl-C too) cancels the call and comes out."""
    try:
        while not call.wait(INTERVAL_SECONDS):
            if not teller.silent:  # whoever asks has the sources measured
                teller.tell(call.counts())
    except BaseException:
        call.cancel()
        call.wait(None)
        raise
    report = call.outcome()
    teller.tell_end(_at_end(call.counts(), report))
    return report


def _at_end(counts: Counts, report: StageReport) -> Counts:
    return Counts(
        max(counts.bytes, report.bytes), counts.bytes_total, max(counts.files, report.files), counts.files_total
    )

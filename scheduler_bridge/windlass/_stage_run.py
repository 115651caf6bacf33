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
            return end_without_any(teller)
        begun = time.monotonic()
        call = submit_until_deadline(request, submit)
        if isinstance(call, WindlassError):
            return raise_or_report(expired(request, call, begun), on_error)
        return raise_or_report(follow(call, teller), on_error)
    finally:
        teller.close()


class Patience:
    """How long to wait after a call was refused RESOURCE_EXHAUSTED, until the last deadline of its transfers."""

    def __init__(self, deadline: float | None) -> None:
        self._deadline = deadline
        self._pause = 0.05

    def after(self, refusal: WindlassError) -> float | None:
        """Seconds until the next attempt; None where the deadline is over. Raises what no waiting mends."""
        if refusal.code != Code.RESOURCE_EXHAUSTED or not refusal.retryable:
            raise refusal
        if self._deadline is not None and time.monotonic() >= self._deadline:
            return None
        wanted = refusal.retry_after if refusal.retry_after else self._pause
        self._pause = min(self._pause * 2, 1.0)
        wanted = min(wanted, 5.0) * random.uniform(0.9, 1.1)
        if self._deadline is not None:
            wanted = min(wanted, max(self._deadline - time.monotonic(), 0.0))
        return wanted


def submit_until_deadline(
    request: StageRequest, submit: Callable[[StageRequest], _Accepted]
) -> _Accepted | WindlassError:
    """Submits, and again after RESOURCE_EXHAUSTED until the request's deadline; then answers the last refusal."""
    patience = Patience(request.deadline)
    while True:
        try:
            return submit(request)
        except WindlassError as refusal:
            pause = patience.after(refusal)
            if pause is None:
                return refusal
        time.sleep(pause)


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
    teller.tell_end(counts_at_end(call.counts(), report))
    return report


def end_without_any(teller: Teller) -> StageReport:
    """The end of a call without transfers."""
    teller.tell_end(Counts(0, 0, 0, 0))
    return StageReport(transfers=[], seconds=0.0)


def expired(request: StageRequest, refusal: WindlassError, begun: float) -> StageReport:
    """The end of a call that was refused until its deadline."""
    said = f"it was not accepted before its deadline: {refusal}"
    seconds = time.monotonic() - begun
    return report_of_refusal(request.transfers, "expired", Code.DEADLINE_EXCEEDED, said, seconds)


def counts_at_end(counts: Counts, report: StageReport) -> Counts:
    """The last figures that are told."""
    return Counts(
        max(counts.bytes, report.bytes), counts.bytes_total, max(counts.files, report.files), counts.files_total
    )

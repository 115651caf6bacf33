"""A STAGE request on its way: acceptance, progress and the end of it, for Client, aio.Client and Bridge."""

from __future__ import annotations

import concurrent.futures
import time
from collections.abc import Callable, Sequence
from typing import Any

from ._callbacks import Callbacks
from ._errors import Cancelled, Code, InvalidArgument, StageError, Unavailable, WindlassError, stage_error_of
from ._reply import Silence
from ._stage import Counts, StageFuture, StageReport, Transfer, report_from_body
from ._stage_progress import ProgressArgument
from ._stage_report import report_of_refusal
from ._wire import Message


class RemoteStage:
    """The Sink of one STAGE. `accepted` ends with the daemon's first word: the StageFuture, or the refusal."""

    def __init__(
        self,
        transfers: Sequence[Transfer],
        ask_cancel: Callable[[], Any],
        callbacks: Callbacks,
        progress: ProgressArgument = None,
    ) -> None:
        self._transfers = transfers
        self._begun = time.monotonic()
        self.sent = False
        self.future = StageFuture(ask_cancel, progress, callbacks)
        self.accepted: concurrent.futures.Future[StageFuture] = concurrent.futures.Future()

    def going_out(self) -> None:
        self.sent = True

    def advance(self, body: dict[str, Any]) -> None:
        self._accept()
        self.future.advance(
            Counts(
                _count(body.get("bytes")) or 0,
                _count(body.get("bytes_total")),
                _count(body.get("files")) or 0,
                _count(body.get("files_total")),
            )
        )

    def closing(self) -> None:
        self.future.cancel()

    def finish(self, message: Message) -> None:
        self._accept()
        try:
            report = report_from_body(message.body, self._transfers)
        except Exception as error:
            self.future.fail(stage_error_of(Code.INTERNAL, f"the daemon's report cannot be read: {error}"))
            return
        self.future.end(report)

    def fail(self, error: WindlassError) -> None:
        if not self.accepted.done():
            self.accepted.set_exception(refusal_of(error))
            return
        state = "cancelled" if isinstance(error, Cancelled) else "failed"
        report = report_of_refusal(self._transfers, state, error.code, str(error), time.monotonic() - self._begun)
        if state == "cancelled":
            self.future.cancel()  # whoever ended it: the future says cancelled
            self.future.end(report)
            return
        raised = report.error()
        assert raised is not None  # nothing is done in this report
        raised.retryable = error.retryable
        self.future.fail(raised)

    def _accept(self) -> None:
        if not self.accepted.done():
            self.future.accepted()
            self.accepted.set_result(self.future)


def refusal_of(error: WindlassError) -> StageError:
    """The StageError for a call of which nothing was begun."""
    if isinstance(error, Silence):
        error = Unavailable(str(error))
    fields: dict[str, Any] = {"retryable": error.retryable, "retry_after": error.retry_after}
    row = error.row if isinstance(error, InvalidArgument) else None
    message = str(error) if row is None or f"[{row}]" in str(error) else f"transfers[{row}]: {error}"
    return stage_error_of(error.code, message, **fields)


class Accepted:
    """A StageFuture as `run_stage` wants it."""

    def __init__(self, future: StageFuture) -> None:
        self._future = future

    def wait(self, timeout: float | None) -> bool:
        return self._future.wait(timeout)

    def counts(self) -> Counts:
        return Counts(*self._future.progress()[:4])

    def cancel(self) -> bool:
        return self._future.cancel()

    def outcome(self) -> StageReport:
        """The report where there is one; `run_stage` decides by `on_error` what becomes of it."""
        report = self._future.report
        return report if report is not None else self._future.result()


def _count(value: Any) -> int | None:
    return value if type(value) is int and value >= 0 else None

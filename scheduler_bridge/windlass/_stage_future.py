"""`StageFuture`: a staging call that runs in the daemon."""

from __future__ import annotations

import concurrent.futures
import threading
import time
from collections.abc import Callable, Generator
from typing import Any

from ._callbacks import Callbacks
from ._errors import StageError
from ._stage_progress import Counts, Highest, ProgressArgument, StageProgress, Teller, with_rate
from ._stage_report import StageReport


class StageFuture(concurrent.futures.Future[StageReport]):
    """Done only with the daemon's answer, also after `cancel()`.

    `result()` answers the StageReport, raises StageError (the report in it) where a transfer is not done, and
    CancelledError where the call was cancelled; `report` stays in every case. Any thread may use it. In a coroutine
    it may be awaited; cancelling whoever awaits it cancels the call.

    `progress` and done callbacks run in a thread that the client (or bridge) has for them alone, one after the other,
    those of one call in their order; they may call anything. In a callback, wait for another call by its own `result`,
    `exception` or `wait`.

    The library that makes one calls `accepted`, `advance` and then exactly one of `end` and `fail`, all from its own
    thread.
    """

    def __init__(
        self, ask_cancel: Callable[[], Any], progress: ProgressArgument = None, callbacks: Callbacks | None = None
    ) -> None:
        """`ask_cancel` sends the wish to the daemon and does not wait for the answer. `callbacks` is where callbacks
        run; None: in the library's thread."""
        super().__init__()
        self.report: StageReport | None = None
        self._ask_cancel = ask_cancel
        self._guard = threading.Lock()
        self._cancel_asked = False
        self._highest = Highest()
        self._begun = time.monotonic()
        self._ended: float | None = None
        self._teller = Teller(progress)
        self._callbacks = callbacks
        if callbacks is not None and not self._teller.silent:
            callbacks.start()
        self._telling = False  # what is newest is on its way to the callable
        self._raised: BaseException | None = None  # what the caller's progress raised

    def cancel(self) -> bool:
        """Asks the daemon; True unless the call has ended. What is published stays."""
        with self._guard:
            if self.done():
                return False
            first, self._cancel_asked = not self._cancel_asked, True
        if first:
            self._ask_cancel()
        return True

    def running(self) -> bool:
        return not self.done()

    def progress(self) -> StageProgress:
        """How far it is, at any time, with rate and time left."""
        until = self._ended if self._ended is not None else time.monotonic()
        return with_rate(self._highest.counts, until - self._begun)

    def wait(self, timeout: float | None = None) -> bool:
        """True once it is done."""
        return bool(concurrent.futures.wait([self], self._helped(timeout)).done)

    def result(self, timeout: float | None = None) -> StageReport:
        """As of any Future."""
        return super().result(self._helped(timeout))

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """As of any Future."""
        return super().exception(self._helped(timeout))

    def add_done_callback(self, fn: Callable[[concurrent.futures.Future[StageReport]], object]) -> None:
        """As of any Future. ResourceExhausted where the thread for callbacks cannot be started."""
        callbacks = self._callbacks
        if callbacks is None:
            super().add_done_callback(fn)
            return
        if not self.done():
            callbacks.start()
        super().add_done_callback(lambda _: callbacks.tell_done(self, fn))

    def counts(self) -> Counts:
        """The figures alone."""
        return self._highest.counts

    def outcome(self) -> StageReport:
        """After the end: the report; where there is none, the error."""
        if self.report is None:
            return self.result()
        return self.report

    def __await__(self) -> Generator[Any, None, StageReport]:
        return self._awaited().__await__()

    async def _awaited(self) -> StageReport:
        import asyncio  # costs more than all of this package, and is there already in a coroutine

        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        told = lambda _: loop.is_closed() or loop.call_soon_threadsafe(ended.set)  # noqa: E731
        super().add_done_callback(told)  # it waits for nothing
        try:
            await ended.wait()
        except asyncio.CancelledError:
            self.cancel()
            await ended.wait()  # only then is it known what was published
            raise
        if self.cancelled():
            raise asyncio.CancelledError
        return self.result()

    def accepted(self) -> None:
        """The daemon has taken the call: rates count from here."""
        self._begun = time.monotonic()

    def advance(self, counts: Counts) -> None:
        """A PROGRESS message has come."""
        self._highest.raised_by(counts)
        if not self._teller.silent and not self._telling:
            self._telling = True
            self._hand_over(self._tell)

    def end(self, report: StageReport) -> None:
        """The RESULT has come."""
        self._ended = time.monotonic()
        self._highest.raised_by(Counts(report.bytes, None, report.files, None))
        self._hand_over(lambda: self._end(report))

    def fail(self, error: BaseException) -> None:
        """There is no RESULT: the call was refused, or the daemon is gone. An error may bring its own report."""
        self._ended = time.monotonic()
        self._hand_over(lambda: self._fail(error))

    def _hand_over(self, call: Callable[[], None]) -> None:
        """Where nobody is to be told of progress, the library's thread does it."""
        if self._callbacks is None or self._teller.silent:
            call()
        else:
            self._callbacks.post(self, call)

    def _helped(self, timeout: float | None) -> float | None:
        """In a callback: does what this call's end waits for. Answers what is left of the time."""
        if self._callbacks is None or self._teller.silent or not self._callbacks.is_own_thread():
            return timeout
        begun = time.monotonic()
        self._callbacks.wait_for(self, self.done, timeout)
        return None if timeout is None else max(timeout - (time.monotonic() - begun), 0.0)

    def _tell(self) -> None:
        self._telling = False
        if self._raised is None:
            self._told(lambda: self._teller.tell(self._highest.counts))

    def _end(self, report: StageReport) -> None:
        if self._raised is None:
            self._told(lambda: self._teller.tell_end(self._highest.counts))
        self._told(self._teller.close)
        self.report = report
        cut_short = any(transfer.state == "cancelled" for transfer in report.transfers)
        with self._guard:
            cancelled = self._cancel_asked and cut_short
        if self._raised is not None:
            self._settle(self._raised)
        elif cancelled:
            super().cancel()
            self.set_running_or_notify_cancel()
        else:
            self._settle(report.error() or report)

    def _fail(self, error: BaseException) -> None:
        self._told(self._teller.close)
        if isinstance(error, StageError):
            self.report = error.report
        self._settle(self._raised or error)

    def _told(self, tell: Callable[[], None]) -> None:
        try:
            tell()
        except BaseException as error:  # comes out of result(), whatever it is
            self._raised = self._raised or error
            self.cancel()

    def _settle(self, outcome: StageReport | BaseException) -> None:
        if isinstance(outcome, BaseException):
            self.set_exception(outcome)
        else:
            self.set_result(outcome)

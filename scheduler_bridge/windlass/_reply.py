"""Answers on their way back: what the Channel calls, and the error that an ERROR message stands for."""

from __future__ import annotations

import concurrent.futures
import threading
from collections.abc import Callable
from typing import Any, Protocol

from ._errors import Code, DeadlineExceeded, InvalidArgument, WindlassError, error_of
from ._wire import Message


class Sink(Protocol):
    """Who waits for an answer; called in the channel's thread: `advance` as often as it comes, then one other."""

    def going_out(self) -> None:
        """The request has been sent just now; before that, no daemon can have begun it."""

    def advance(self, body: dict[str, Any]) -> None:
        """A PROGRESS has come."""

    def closing(self) -> None:
        """Its client is closed: the request is cancelled, and ends as the daemon says."""

    def finish(self, message: Message) -> None:
        """The RESULT has come."""

    def fail(self, error: WindlassError) -> None:
        """An ERROR has come, or no answer will."""


class Reply(concurrent.futures.Future[Message]):
    """The Sink of a request with one answer."""

    def __init__(self) -> None:
        super().__init__()
        self._out = threading.Event()

    def wait_until_out(self) -> None:
        """Waits until the request has been sent, or has ended."""
        self._out.wait()

    def going_out(self) -> None:
        self._out.set()

    def advance(self, body: dict[str, Any]) -> None:
        """Such a request has no progress."""

    def closing(self) -> None:
        """It ends CANCELLED at once."""

    def finish(self, message: Message) -> None:
        self._out.set()
        if self.set_running_or_notify_cancel():
            self.set_result(message)

    def fail(self, error: WindlassError) -> None:
        self._out.set()
        if self.set_running_or_notify_cancel():
            self.set_exception(error)


class Withdrawal:
    """Lets another thread take a request back, whether it is under way already or will be."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.asked = False
        self._abandon: Callable[[], Any] | None = None

    def arm(self, abandon: Callable[[], Any]) -> None:
        """The request is under way, and this is how it is taken back."""
        with self._lock:
            self._abandon = abandon
            asked = self.asked
        if asked:
            abandon()

    def ask(self) -> None:
        with self._lock:
            self.asked = True
            abandon = self._abandon
        if abandon is not None:
            abandon()


class Silence(DeadlineExceeded):
    """The other side said nothing within the time given; a match call then falls back."""

    silent = True


def error_of_body(body: dict[str, Any]) -> WindlassError:
    """The error of the tree for the body of an ERROR; an odd body makes an odd error, never a crash."""
    code = _typed(body.get("code"), int, Code.UNKNOWN)
    message = _typed(body.get("message"), str, "") or "the other side gave no reason"
    if code == Code.INVALID_ARGUMENT:
        side = body.get("side")
        return InvalidArgument(
            message,
            side=side if side in ("tasks", "offers", "options") else None,
            row=_typed(body.get("row"), int, None),
            field=_typed(body.get("field"), str, None),
        )
    after = _typed(body.get("retry_after_ms"), int, 0)
    return error_of(
        code, message, retryable=body.get("retryable") is True, retry_after=after / 1000 if after > 0 else None
    )


def _typed(value: Any, kind: type, otherwise: Any) -> Any:
    return value if type(value) is kind else otherwise

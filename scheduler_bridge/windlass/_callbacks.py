"""The thread in which callers' callbacks run (`progress`, done callbacks), one after the other, in the order of events.

It is apart from the thread that sends and receives, so a callback may take its time and call anything, also what waits
for an answer. In a forked child no callback runs.
"""

from __future__ import annotations

import concurrent.futures
import logging
import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from ._errors import FailedPrecondition
from ._threads import started

_log = logging.getLogger("windlass.client")
_futures_log = logging.getLogger("concurrent.futures")  # where Python tells of callbacks that fail


class _Call(NamedTuple):
    owner: object  # the future that it is about
    run: Callable[[], Any]


class Callbacks:
    """The thread is started by whoever has callbacks, before there is anything to run, and ended by `end`."""

    def __init__(self, name: str, is_library: Callable[[], bool]) -> None:
        """`is_library` tells whether the current thread is the one that must not be held up."""
        self._name = name
        self._is_library = is_library
        self._pid = os.getpid()
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()  # None: the end
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._aside: deque[_Call] = deque()  # the thread's: taken from the queue already
        self._running: list[object] = []  # the thread's: owners, the innermost last

    def start(self) -> None:
        """Of a caller's thread. ResourceExhausted where no thread can be had."""
        if self._thread is not None or os.getpid() != self._pid:
            return
        with self._starting:
            if self._thread is None:
                self._thread = started(self._name, self._run)

    def is_own_thread(self) -> bool:
        return threading.current_thread() is self._thread

    def post(self, owner: object, run: Callable[[], Any]) -> None:
        """Has something run after all that was posted before."""
        self._calls.put(_Call(owner, run))

    def tell_done(self, future: concurrent.futures.Future[Any], callback: Callable[[Any], Any]) -> None:
        """Runs a done callback; in the library's thread it is handed over."""
        if not self._is_library():
            callback(future)
            return

        def run() -> None:
            try:
                callback(future)
            except BaseException:
                _futures_log.exception("exception calling callback for %r", future)

        self.post(future, run)

    def wait_for(self, owner: object, is_done: Callable[[], bool], timeout: float | None) -> None:
        """In a callback: runs what is about `owner` until it is done, which in this thread nobody else does."""
        if is_done():
            return
        if any(owner is each for each in self._running):
            raise FailedPrecondition("a transfer's own progress callable cannot wait for the end of the transfer")
        until = None if timeout is None else time.monotonic() + timeout
        while not is_done():
            call = self._next_of(owner, until)
            if call is None:
                return
            self._call(call)

    def end(self) -> None:
        """The thread ends once all that was posted has run. Any thread; nothing is posted any more."""
        self._calls.put(None)

    def join(self, timeout: float | None = None) -> None:
        """Waits for the thread's end; in the thread itself it does nothing."""
        thread = self._thread
        if thread is not None and not self.is_own_thread():
            thread.join(timeout)

    def _run(self) -> None:
        while (call := self._aside.popleft() if self._aside else self._calls.get()) is not None:
            self._call(call)
            del call  # its future may be let go

    def _call(self, call: _Call) -> None:
        self._running.append(call.owner)
        try:
            call.run()
        except BaseException:  # SystemExit too: the callbacks of others are to run
            _log.exception("a callback failed")
        finally:
            self._running.pop()

    def _next_of(self, owner: object, until: float | None) -> _Call | None:
        """None when the time is over, or nothing will come any more."""
        for at, call in enumerate(self._aside):
            if call.owner is owner:
                del self._aside[at]
                return call
        while True:
            try:
                call_or_end = self._calls.get(timeout=None if until is None else max(until - time.monotonic(), 0.0))
            except queue.Empty:
                return None
            if call_or_end is None:
                self._calls.put(None)
                return None
            if call_or_end.owner is owner:
                return call_or_end
            self._aside.append(call_or_end)

"""What the library's own threads are started and woken by."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable

from ._errors import ResourceExhausted


def started(name: str, run: Callable[[], None]) -> threading.Thread:
    """A thread that runs; ResourceExhausted where the system gives none."""
    thread = threading.Thread(target=run, name=name, daemon=True)
    try:
        thread.start()
    except RuntimeError as error:
        raise ResourceExhausted(
            f"the thread {name} cannot be started: {error}. End threads that are not needed, or raise the limit "
            "(ulimit -u, pids.max of the cgroup), and try again",
            retryable=True,
        ) from error
    return thread


class Bell:
    """An eventfd that wakes whoever polls `fd`. It takes no lock, so it may be rung from a finalizer, which runs in the
    middle of anything, and while another thread closes it: no descriptor that is closed is ever written to."""

    def __init__(self) -> None:
        try:
            self.fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        except OSError as error:
            raise ResourceExhausted(
                f"no descriptor can be had to wake a thread by: {error.strerror}. Close files that are not needed, or "
                "raise the limit (ulimit -n)",
                retryable=True,
            ) from None
        self._open = [self.fd]  # whoever takes it out closes it
        self._ringing: deque[None] = deque()  # one for each that rings just now
        self._closing = False

    def ring(self) -> None:
        self._ringing.append(None)  # before the look at `_closing`, as that is set before the look at this
        try:
            if not self._closing:
                os.eventfd_write(self.fd, 1)
        finally:
            self._ringing.pop()
            if self._closing:
                self._close()

    def hush(self) -> None:
        """To be called before the look at what it was rung for."""
        try:
            os.eventfd_read(self.fd)
        except BlockingIOError:
            return

    def close(self) -> None:
        """Again, it does nothing."""
        self._closing = True
        self._close()

    def _close(self) -> None:
        if self._ringing:
            return  # the last of them does it
        try:
            fd = self._open.pop()
        except IndexError:
            return
        os.close(fd)

"""A background thread with a queue of commands: what Channel and Bridge share.

Callers wake the thread through an eventfd; the lock guards the queue and is never held across I/O. A forked child is
refused by its pid.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable

from ._errors import FailedPrecondition

Command = Callable[[], None]


class Loop:
    """The thread is started by the first `post`; `run` is what it does and calls `take_commands` and, last, `ended`."""

    def __init__(self, name: str, what: str, run: Callable[[], None]) -> None:
        self.wakeup = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self.pid = os.getpid()
        self._name = name
        self._what = what
        self._run = run
        self._lock = threading.Lock()  # guards the three below
        self._commands: deque[Command] = deque()
        self._closing = False
        self._thread: threading.Thread | None = None

    @property
    def closed(self) -> bool:
        return self._closing

    def is_own_thread(self) -> bool:
        return threading.current_thread() is self._thread

    def refuse_fork(self) -> None:
        if os.getpid() != self.pid:
            raise FailedPrecondition(
                f"this {self._what} was opened in process {self.pid} and does not work in its forked child "
                f"{os.getpid()}; open one there"
            )

    def refuse_own_thread(self) -> None:
        if self.is_own_thread():
            raise FailedPrecondition(
                f"a callback of this {self._what} cannot wait for an answer, which comes in the same thread; "
                "do it in a thread of your own"
            )

    def post(self, command: Command, late: bool = False) -> None:
        """Has the thread run a command. Once closed, `late` ones are dropped: what they name has ended or will."""
        self.refuse_fork()
        with self._lock:
            if self._closing:
                if late:
                    return
                raise FailedPrecondition(f"the {self._what} is closed; open a new one")
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
            self._commands.append(command)
            os.eventfd_write(self.wakeup, 1)

    def close(self, last: Command) -> None:
        """Posts the last command and waits for the thread's end. Again, or in a forked child, it does nothing."""
        if os.getpid() != self.pid:
            return
        with self._lock:
            first, self._closing = not self._closing, True
            thread = self._thread
            if first and thread is not None:
                self._commands.append(last)
                os.eventfd_write(self.wakeup, 1)
        if first and thread is None:
            os.close(self.wakeup)
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def take_commands(self) -> None:
        """The thread runs what was posted."""
        try:
            os.eventfd_read(self.wakeup)
        except BlockingIOError:
            return
        while self._commands:
            self._commands.popleft()()

    def ended(self) -> None:
        """The thread's last act, after which nothing is posted any more."""
        with self._lock:
            self._closing = True
        os.close(self.wakeup)

"""A background thread with a queue of commands: what Channel and Bridge share.

Callers append commands and ring a bell. No lock is taken for that, so a finalizer, which the garbage collector runs in
whatever thread and in the middle of anything, may hand over work, too. A forked child is refused by its pid. Whatever
ends the thread, what is queued is ended with an error.
"""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable

from ._callbacks import Callbacks
from ._errors import FailedPrecondition, Internal, WindlassError
from ._requests import run_callback
from ._threads import Bell, started

EXIT_S = 10.0  # what the end of the interpreter gives a callback that still runs

Command = Callable[[], None]
Drop = Callable[[WindlassError], None]

_log = logging.getLogger("windlass.client")


def _nobody_waits(error: WindlassError) -> None:
    """Of a command whose end nobody is told."""


class Loop:
    """The thread is started by `start` or the first `post`. `run` is what it does, and calls `take_commands`; `end` is
    its last act, told None after `close` and else the fault that ended it; `last` is the command by which it closes."""

    def __init__(
        self, name: str, what: str, run: Callable[[], None], end: Callable[[WindlassError | None], None], last: Command
    ) -> None:
        self.bell = Bell()
        self.pid = os.getpid()
        self.callbacks = Callbacks(f"{name}-callbacks", self.is_own_thread)
        self._name = name
        self._what = what
        self._run = run
        self._end = end
        self._last = last
        self._starting = threading.Lock()  # guards the start alone
        self._commands: deque[tuple[Command, Drop]] = deque()
        self._closing = False
        self._over = False
        self._fault: WindlassError | None = None
        self._thread: threading.Thread | None = None
        self._ident: int | None = None
        self._at_exit: weakref.finalize[[], Loop] | None = None

    def is_own_thread(self) -> bool:
        return threading.get_ident() == self._ident

    def refuse_fork(self) -> None:
        if os.getpid() != self.pid:
            raise FailedPrecondition(
                f"this {self._what} was opened in process {self.pid} and does not work in its forked child "
                f"{os.getpid()}; open one there"
            )

    def refuse_own_thread(self) -> None:
        """To be called before any wait, and before any lock that is held during one: finalizers of the caller's and
        handlers of logs may run in this thread."""
        if self.is_own_thread():
            raise FailedPrecondition(
                f"this is the {self._what}'s own thread, in which answers come: a finalizer or a log handler cannot "
                "wait for one there; do it in a thread of your own"
            )

    def refuse_dead(self) -> None:
        """In a forked child, and where a fault has ended the thread: what was heard last is no longer so."""
        self.refuse_fork()
        if self._fault is not None:
            raise self._refusal()

    def post(self, command: Command, drop: Drop = _nobody_waits, late: bool = False) -> None:
        """Has the thread run a command, or `drop` told why it never will. Once closed, `late` ones are passed over:
        what they name has ended or will."""
        self.refuse_fork()
        if self._closing or (self._thread is None and not late and not self.start()):
            if late:
                return
            raise self._refusal()
        self._commands.append((command, drop))
        self.bell.ring()
        if self._over:  # it may have looked before this was there
            self._drop_rest()

    def post_from_finalizer(self, command: Command) -> None:
        """As `post`, but takes no lock and never raises. Nobody may wait for the command."""
        if os.getpid() == self.pid and self._thread is not None and not self._closing:
            self._commands.append((command, _nobody_waits))
            self.bell.ring()

    def start(self) -> bool:
        """False where it is closed; ResourceExhausted where no thread can be had: then the next post tries again."""
        with self._starting:
            if self._thread is None and not self._closing:
                self._thread = started(self._name, self._main)
            return self._thread is not None

    def let_go(self) -> None:
        """Begins to close, and waits for nothing; for finalizers. In a forked child it does nothing."""
        if os.getpid() != self.pid or self._closing:
            return
        self._closing = True
        if self._thread is None:
            self.bell.close()
        else:
            self._commands.append((self._last, _nobody_waits))
            self.bell.ring()

    def close(self, callbacks_s: float | None = None) -> None:
        """Posts the last command and waits for the end of the thread and, so long, of the last callback; a thread does
        not wait for itself, nor the library's for the callers'. In a forked child it does nothing."""
        if os.getpid() != self.pid:
            return
        with self._starting:
            self.let_go()
            thread = self._thread
        if thread is not None and not self.is_own_thread():
            thread.join()
            self.callbacks.join(callbacks_s)

    def take_commands(self) -> None:
        """The thread runs what was posted."""
        self.bell.hush()
        while self._commands:
            command, drop = self._commands.popleft()
            try:
                command()
            except Exception as error:
                _log.exception("a fault of the %s's thread", self._what)
                self._drop(drop, Internal(f"a fault of Windlass in the {self._what}'s thread: {error!r}"))

    def _main(self) -> None:
        self._ident = threading.get_ident()
        self._at_exit = weakref.finalize(self, self.close, EXIT_S)
        try:
            self._run()
        except BaseException as error:
            self._fault = Internal(f"the {self._what}'s thread has ended by a fault of Windlass: {error!r}")
            _log.critical("the %s's thread has ended by a fault", self._what, exc_info=True)
        try:
            self._end(self._fault)
        except Exception:
            _log.exception("the %s's thread ends by another fault", self._what)
        finally:
            self._closing = self._over = True
            self._drop_rest()
            self.callbacks.end()
            self._at_exit.detach()
            self._ident = None  # another thread may get it
            self.bell.close()

    def _drop_rest(self) -> None:
        while True:
            try:
                _, drop = self._commands.popleft()
            except IndexError:
                return
            self._drop(drop, self._refusal())

    def _drop(self, drop: Drop, why: WindlassError) -> None:
        run_callback(lambda: drop(why))

    def _refusal(self) -> WindlassError:
        if self._fault is not None:
            return Internal(f"{self._fault}. Open a new {self._what}")
        return FailedPrecondition(f"the {self._what} is closed; open a new one")


class Turn:
    """A lock that is held while answers of a Loop are waited for: its thread is refused, and never waits for it."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        self._loop.refuse_own_thread()
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

"""The threads of an async twin: what blocks is called there, and whoever awaits a call may be cancelled at any time.

A call that has not begun ends at once then; one that has is left to its end, and what it did may be taken back.
Closing has a thread of its own, for it is what ends the calls that hold the others.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import functools
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from ._errors import Cancelled, FailedPrecondition, WindlassError

THREADS_MAX = 32  # calls that wait for others at the same time; more wait for their turn
_BRIEF_MAX = 2  # threads for what takes processor time alone

_Result = TypeVar("_Result")


class Threads:
    """Of one client or bridge. Used in its event loop."""

    def __init__(self, close: Callable[[], None], what: str) -> None:
        """`close` ends whatever a call may wait for."""
        self._close_side, self._what = close, what
        self._waiting = concurrent.futures.ThreadPoolExecutor(THREADS_MAX, thread_name_prefix="windlass-aio")
        self._brief = concurrent.futures.ThreadPoolExecutor(_BRIEF_MAX, thread_name_prefix="windlass-aio-brief")
        self._closed: concurrent.futures.Future[None] | None = None

    @property
    def closed(self) -> bool:
        return self._closed is not None

    async def run(self, call: Callable[..., _Result], *args: Any, **options: Any) -> _Result:
        """A call that may wait for somebody; the caller sees to its end where it is cancelled."""
        return await asyncio.wrap_future(self._submit(self._waiting, functools.partial(call, *args, **options)))

    async def briefly(self, call: Callable[..., _Result], *args: Any, **options: Any) -> _Result:
        """A call that waits for nobody, so that it has its turn soon."""
        return await asyncio.wrap_future(self._submit(self._brief, functools.partial(call, *args, **options)))

    async def whole(
        self,
        call: Callable[..., _Result],
        *args: Any,
        undo: Callable[[_Result], Any] | None = None,
        brief: bool = False,
    ) -> _Result:
        """A call that is done to its end once it has begun; where the caller is cancelled, `undo` takes it back.

        A second cancellation does not wait for that, which is done nevertheless. `brief`: as of `briefly`.
        """
        whole = _Whole(functools.partial(call, *args), undo)
        work = self._submit(self._brief if brief else self._waiting, whole.run)
        ended = end_of(work)
        try:
            await asyncio.wait([ended])
        except asyncio.CancelledError:
            if not work.cancel():
                if whole.withdraw() and not self.closed:
                    ended = end_of(self._submit(self._waiting, whole.take_back))
                await asyncio.wait([ended])
            raise
        return work.result()

    async def close(self) -> None:
        """Ends what is waited for, then the threads. Calling it again waits for the same end."""
        if self._closed is None:
            self._closed = concurrent.futures.Future()
            self._closer = threading.Thread(target=self._close, args=(self._closed,), name="windlass-aio-close")
            self._closer.start()
        await asyncio.shield(asyncio.wrap_future(self._closed))
        self._closer.join()  # which was its last act

    def _close(self, closed: concurrent.futures.Future[None]) -> None:
        try:
            self._close_side()
            self._waiting.shutdown()  # what has not had its turn finds the door closed
            self._brief.shutdown()
        except BaseException as error:
            closed.set_exception(error)
        else:
            closed.set_result(None)

    def _submit(
        self, pool: concurrent.futures.Executor, call: Callable[[], _Result]
    ) -> concurrent.futures.Future[_Result]:
        def begin() -> _Result:
            self._require_open()
            return call()

        self._require_open()
        return pool.submit(begin)

    def _require_open(self) -> None:
        if self.closed:
            raise FailedPrecondition(f"the {self._what} is closed; open a new one")


class _Whole(Generic[_Result]):
    """One call of `whole`: the thread that does it and the loop that gives it up agree on who takes it back."""

    def __init__(self, call: Callable[[], _Result], undo: Callable[[_Result], Any] | None) -> None:
        self._call, self._undo = call, undo
        self._lock = threading.Lock()  # guards the two below; never held while anything is called
        self._withdrawn = False
        self._results: list[_Result] = []  # one at most

    def run(self) -> _Result:
        result = self._call()
        with self._lock:
            withdrawn = self._withdrawn
            self._results.append(result)
        if withdrawn:
            self.take_back()
            raise Cancelled("nobody waits for it any more")
        return result

    def withdraw(self) -> bool:
        """True where it is done already, so that another has to take it back."""
        with self._lock:
            self._withdrawn = True
            return bool(self._results) and self._undo is not None

    def take_back(self) -> None:
        if self._undo is not None:
            with contextlib.suppress(WindlassError):
                self._undo(self._results[0])


def end_of(work: concurrent.futures.Future[Any]) -> asyncio.Future[None]:
    """Done in this loop once the work is, whatever became of it; cancelling it cancels no work."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()

    def tell() -> None:
        if not ended.done():
            ended.set_result(None)

    def told(_: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed, and nobody waits
            loop.call_soon_threadsafe(tell)

    concurrent.futures.Future.add_done_callback(work, told)  # the plain one: it waits for nothing, in any thread
    return ended

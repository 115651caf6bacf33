"""The async twin of `Session`: the same calls, awaited, in threads of the client's."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterable
from typing import Any, TypeVar

from . import _session
from ._aio_threads import Threads
from ._errors import FailedPrecondition
from ._session_core import SessionOffer
from ._session_state import SessionResult

_Result = TypeVar("_Result")


class Session:
    """`windlass.Session`, awaited. A call that is cancelled is done to its end, once it has begun; a cancelled match is
    taken back."""

    def __init__(self, threads: Threads, session: _session.Session) -> None:
        self._threads, self._session = threads, session

    async def match(self, tasks: Any) -> SessionResult:
        """As `Session.match`."""
        return await self._whole(self._session.match, tasks, undo=self._take_back)

    async def add(self, offers: Any) -> None:
        """As `Session.add`."""
        await self._whole(self._session.add, offers)

    async def update(self, offers: Any) -> None:
        """As `Session.update`."""
        await self._whole(self._session.update, offers)

    async def remove(self, names: Iterable[Any]) -> int:
        """As `Session.remove`."""
        return await self._whole(self._session.remove, names)

    async def release(self, names: Iterable[Any]) -> int:
        """As `Session.release`."""
        return await self._whole(self._session.release, names)

    async def offers(self) -> list[SessionOffer]:
        """As `Session.offers`."""
        return await self._whole(self._session.offers)

    async def rescale(self) -> None:
        """As `Session.rescale`."""
        await self._whole(self._session.rescale)

    @property
    def version(self) -> int:
        """One more after each call that changed anything."""
        return self._session.version

    async def close(self) -> None:
        """As `Session.close`; it ends with its client or bridge, too."""
        with contextlib.suppress(FailedPrecondition):  # that was closed meanwhile
            await self._whole(self._session.close)

    async def __aenter__(self) -> Session:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def grants(self) -> dict[Any, str]:
        """As `grants` of a bridge's session, which waits for nobody."""
        return self._of_a_bridge("grants")

    async def missing(self) -> dict[Any, str]:
        """As `missing` of a bridge's session."""
        found: dict[Any, str] = await self._threads.run(self._of_a_bridge, "missing")
        return found

    async def left_out(self) -> dict[Any, str]:
        """As `left_out` of a bridge's session."""
        found: dict[Any, str] = await self._threads.run(self._of_a_bridge, "left_out")
        return found

    def _of_a_bridge(self, call: str) -> dict[Any, str]:
        asked = getattr(self._session, call, None)
        if asked is None:
            raise FailedPrecondition(f"{call}() is for a bridge's session: this one has no grants of nodes")
        found: dict[Any, str] = asked()
        return found

    def _take_back(self, result: SessionResult) -> None:
        self._session.release(list(result.assignments))

    async def _whole(
        self, call: Callable[..., _Result], *args: Any, undo: Callable[[_Result], None] | None = None
    ) -> _Result:
        return await self._threads.whole(call, *args, undo=undo)


class Opening:
    """A session that is about to be opened: ``await`` it, or use it with ``async with``."""

    def __init__(self, threads: Threads, call: Callable[[], _session.Session]) -> None:
        self._threads, self._call = threads, call
        self._opened: Session | None = None

    def __await__(self) -> Generator[Any, None, Session]:
        return self._open().__await__()

    async def __aenter__(self) -> Session:
        self._opened = await self._open()
        return self._opened

    async def __aexit__(self, *_: object) -> None:
        if self._opened is not None:
            await self._opened.close()

    async def _open(self) -> Session:
        session = await self._threads.whole(self._call, undo=_session.Session.close)
        return Session(self._threads, session)

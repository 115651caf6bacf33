"""`windlass.Session`: offers that stay between calls."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable
from typing import Any

from ._errors import Unavailable
from ._inputs._options import Options
from ._loop import Turn
from ._match import cutter, say_fallback
from ._session_backend import SessionBackend
from ._session_core import OpenBackend, SessionCore, SessionOffer
from ._session_state import SessionResult


class Session:
    """Keeps offers, and what is placed on them, between calls of `match` (docs/matching.md, "Sessions").

    Options are those of `windlass.match` but for `ties`. `Client.session` makes one in the daemon. Any thread may use
    it, one at a time. Every call is checked whole before anything changes.
    """

    def __init__(self, offers: Any, **options: Any) -> None:
        self._begin(SessionCore(open_here, cutter(), options), offers)

    def _begin(
        self, core: SessionCore, offers: Any, turn: contextlib.AbstractContextManager[Any] | None = None
    ) -> None:
        self._core = core
        self._lock = turn or threading.RLock()
        try:
            core.add(offers)
        except BaseException:
            core.close()
            raise
        core.version = 0

    def match(self, tasks: Any) -> SessionResult:
        """Places tasks on what is left and takes what they need, until `release`. Names must not be placed already."""
        with self._lock:
            return self._core.match(tasks)

    def add(self, offers: Any) -> None:
        """Takes new offers in, in any form, last in tie order."""
        with self._lock:
            self._core.add(offers)

    def update(self, offers: Any) -> None:
        """Replaces whole records by name; an offer keeps its place in tie order and its tasks."""
        with self._lock:
            self._core.update(offers)

    def remove(self, names: Iterable[Any]) -> int:
        """Forgets offers and their tasks; answers how many of the names were found."""
        with self._lock:
            return self._core.remove(names)

    def release(self, names: Iterable[Any]) -> int:
        """Ends tasks, by name; answers how many of the names were found."""
        with self._lock:
            return self._core.release(names)

    def offers(self) -> list[SessionOffer]:
        """The offers as they stand, in tie order, as `match` takes them; `tasks` of one are the names it holds."""
        with self._lock:
            return self._core.offers()

    def rescale(self) -> None:
        """Measures from now on against the largest records present; what `scale` fixed stays."""
        with self._lock:
            self._core.rescale()

    @property
    def version(self) -> int:
        """One more after each call that changed anything."""
        return self._core.version

    def close(self) -> None:
        """Ends the session; calling it again does nothing."""
        with self._lock:
            self._core.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class ClientSession(Session):
    """A Session whose offers a daemon keeps; `Client.session` makes it."""

    def __init__(self, open_backend: OpenBackend, offers: Any, options: dict[str, Any], turn: Turn) -> None:
        self._begin(SessionCore(open_backend, cutter(), options), offers, turn)


def open_here(options: Options) -> SessionBackend:
    """The library in this process; where it can't be had, Python."""
    from ._native_session import NativeSession

    try:
        return NativeSession(options)
    except Unavailable as error:
        from ._session_legacy import LegacySession

        say_fallback(error)
        return LegacySession()

"""`Bridge.session`: a session in the scheduler's process whose offers are those that the nodes report.

Before each call it follows the nodes. Offers of a dead node, and those that a node lists no longer, are removed with
their tasks. A node that is suspect, drains, or has not reported since it came back keeps its tasks and gets no more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ._errors import FailedPrecondition, Unimplemented
from ._match import cutter
from ._nodes import Reported
from ._session import Session, open_here
from ._session_core import SessionCore, SessionOffer
from ._session_state import SessionResult

CLOSED: dict[str, Any] = {"node.state": {"in": []}}  # a condition that no task's tags meet


class BridgeSession(Session):
    """A Session that follows the nodes of a bridge; `Bridge.session` makes it."""

    def __init__(self, look: Callable[[], list[Reported]], options: dict[str, Any]) -> None:
        if options.pop("restore", None) is not None:
            raise Unimplemented("Bridge.session(restore=...) is not served by this version of windlass")
        self._look = look
        self._seen: dict[Any, dict[str, Any]] = {}  # records as the core has them
        self._begin(SessionCore(open_here, cutter(), options), [])
        self._follow()
        self._core.version = 0

    def match(self, tasks: Any) -> SessionResult:
        """Places tasks on what is left of the nodes that are alive."""
        with self._lock:
            self._follow()
            return super().match(tasks)

    def offers(self) -> list[SessionOffer]:
        """The offers as they stand; those of nodes that take no new tasks let nobody in."""
        with self._lock:
            self._follow()
            return super().offers()

    def add(self, offers: Any) -> None:
        """Refused: nodes bring the offers."""
        raise _theirs("add")

    def update(self, offers: Any) -> None:
        """Refused: nodes bring the offers."""
        raise _theirs("update")

    def remove(self, names: Iterable[Any]) -> int:
        """Refused: nodes bring the offers."""
        raise _theirs("remove")

    def _follow(self) -> None:
        wanted = self._wanted()
        gone = [name for name in self._seen if name not in wanted]
        if gone:
            self._core.remove(gone)
            self._seen = {name: record for name, record in self._seen.items() if name in wanted}
        changed = [record for name, record in wanted.items() if name in self._seen and self._seen[name] != record]
        fresh = [record for name, record in wanted.items() if name not in self._seen]
        for apply, records in ((self._core.update, changed), (self._core.add, fresh)):
            if records:
                apply(records)
                self._seen.update((record["name"], record) for record in records)

    def _wanted(self) -> dict[Any, dict[str, Any]]:
        found = {}
        for node in self._look():
            own = node.offers
            if own is None:
                own = [record for name, record in self._seen.items() if name == node.name or _on(name, node.name)]
            for record in own:
                if not node.alive or node.offers is None:
                    record = {**record, "only": {**(record.get("only") or {}), **CLOSED}}
                found[record["name"]] = record
        return found


def _on(offer: Any, node: str) -> bool:
    """Names of offers are NODE or NODE/k."""
    return str(offer).startswith(f"{node}/")


def _theirs(call: str) -> FailedPrecondition:
    return FailedPrecondition(f"{call}() is not for a bridge's session: its offers are what the nodes report")

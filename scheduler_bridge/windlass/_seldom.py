"""Lines of the log that come at most once a minute each, however often there is reason for them."""

from __future__ import annotations

PERIOD_S = 60.0
REASONS_MAX = 1000  # that are remembered; above that only those of the last minute


class Seldom:
    """One thread at a time. Reasons are few, or as many as there are nodes in a minute."""

    def __init__(self) -> None:
        self._said: dict[str, tuple[float, int]] = {}  # by reason: when, and how often not since

    def due(self, reason: str, now: float) -> int | None:
        """How often it was left out since it was said last, where it is to be said now."""
        since, unsaid = self._said.get(reason, (now - PERIOD_S, 0))
        if now - since < PERIOD_S:
            self._said[reason] = since, unsaid + 1
            return None
        self._said[reason] = now, 0
        if len(self._said) > REASONS_MAX:  # nodes come and go
            self._said = {each: said for each, said in self._said.items() if now - said[0] < PERIOD_S}
        return unsaid

"""What a daemon lets one client have under way: so many requests and so many bytes, as its WELCOME says.

A request of bulk holds its part from its sending to the daemon's first word on it: the RESULT, the ERROR, or the
PROGRESS by which a STAGE is accepted; also where its caller gave it up, since the daemon may be at work on it still. No
socket and no clock; used by the Channel's thread only.
"""

from __future__ import annotations

from typing import Any

from ._wire import Type

FEATURE = "credits"
BULK = frozenset({Type.MATCH, Type.SESSION, Type.STAGE})  # whatever else there is goes at once
LOST_S = 60.0  # a daemon keeps no answer for longer: one that has not come will not come


class Credits:
    """Without the feature there is no bound. One request may always be under way, however large it is."""

    def __init__(self) -> None:
        self.requests: int | None = None
        self.bytes: int | None = None
        self._held: dict[bytes, tuple[int, float]] = {}  # in the order of sending
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._held)

    def agree(self, welcome: dict[str, Any]) -> None:
        """A daemon has said how much it takes; what is under way is so still."""
        agreed = isinstance(welcome.get("features"), list) and FEATURE in welcome["features"]
        self.requests = _limit(welcome.get("credit_requests")) if agreed else None
        self.bytes = _limit(welcome.get("credit_bytes")) if agreed else None

    def fits(self, size: int) -> bool:
        if not self._held:
            return True
        if self.requests is not None and len(self._held) >= self.requests:
            return False
        return self.bytes is None or self._bytes + size <= self.bytes

    def take(self, request_id: bytes, size: int, now: float) -> None:
        self.free(request_id)  # sent anew
        self._held[request_id] = size, now
        self._bytes += size

    def free(self, request_id: bytes) -> bool:
        """True where it held any."""
        held = self._held.pop(request_id, None)
        if held is None:
            return False
        self._bytes -= held[0]
        return True

    def lost(self, now: float) -> list[bytes]:
        """Those of which no word will come, should nobody wait for one."""
        return [request_id for request_id, (_, since) in self._held.items() if now - since > LOST_S]

    def clear(self) -> None:
        """The connection is gone, and with it what was under way."""
        self._held.clear()
        self._bytes = 0


def _limit(value: Any) -> int | None:
    return value if type(value) is int and value > 0 else None

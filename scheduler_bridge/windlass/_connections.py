"""Connections of a listener that have not proved themselves yet, and which of them are to be cut: decisions alone.

As `worker/sockets/security_connections.hpp`: ZeroMQ buffers a whole frame before it asks whose it is, so a connection
that sends more than a greeting needs before its first message is cut, and so is one that stays silent, one too many
that has not spoken, and one too many at all.
"""

from __future__ import annotations

from collections.abc import Callable

CONNECTIONS_MAX = 65_536
SILENT_MAX = 512  # that have not said a whole message yet
GREETING_BYTES_MAX = 65_536
GREETING_S = 10.0


class Connections:
    """Connections by descriptor."""

    def __init__(self, connections_max: int = CONNECTIONS_MAX, silent_max: int = SILENT_MAX) -> None:
        self._connections_max = connections_max
        self._silent_max = silent_max
        self._open: set[int] = set()
        self._silent: dict[int, float] = {}  # since when

    def __len__(self) -> int:
        return len(self._open)

    @property
    def any_silent(self) -> bool:
        return bool(self._silent)

    def accepted(self, fd: int, now: float) -> bool:
        """False: it is one too many and to be cut at once."""
        self.closed(fd)  # whoever had the number before is gone
        self._open.add(fd)
        if len(self._open) > self._connections_max or len(self._silent) >= self._silent_max:
            return False
        self._silent[fd] = now
        return True

    def spoke(self, fd: int) -> None:
        self._silent.pop(fd, None)

    def closed(self, fd: int) -> None:
        self._silent.pop(fd, None)
        self._open.discard(fd)

    def due(self, now: float, received: Callable[[int], int]) -> list[int]:
        """Those that are to be cut now, each told once. `received` tells the bytes that came over a connection."""
        cut = [
            fd for fd, since in self._silent.items() if now - since >= GREETING_S or received(fd) > GREETING_BYTES_MAX
        ]
        for fd in cut:
            del self._silent[fd]
        return cut

"""The connections of a listener with keys, and which of them are to be cut: decisions alone.

As `worker/sockets/security_connections.hpp`: ZeroMQ buffers a whole frame before it asks whose it is, and every frame
of a message until its last. So a connection that sends more than a greeting needs before its first message is cut, and
so is one that stays silent, one too many that has not spoken, one too many at all, one that sends more than a message
may take without ending one, and whoever has sent most where all together hold too much.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ._wire import BODY_BYTES_MAX

CONNECTIONS_MAX = 65_536
SILENT_MAX = 512  # that have not said a whole message yet
GREETING_BYTES_MAX = 65_536
GREETING_S = 10.0
MESSAGE_BYTES_MAX = BODY_BYTES_MAX + 65_536  # nodes and observers send no columns
HELD_BYTES_MAX = 1 << 30  # of messages that have not come whole, of all
HELD_LOOK_S = 1.25  # between two looks at them: longer than a beat, so that nodes that report cost nothing
PING_BYTES_PER_S = 64  # of a connection, that are no message's
EXACT_S = 30.0  # between two looks at how much came over one that speaks


@dataclass(slots=True)
class _Spoken:
    counted: float = 0  # bytes received that are no longer held
    counted_at: float = 0.0
    held: float = 0  # at the last look; 0: a message has ended since
    ended_one: bool = True  # a message, since the last look


class Connections:
    """Connections by descriptor."""

    def __init__(self, connections_max: int = CONNECTIONS_MAX, silent_max: int = SILENT_MAX) -> None:
        self._connections_max = connections_max
        self._silent_max = silent_max
        self._open: set[int] = set()
        self._silent: dict[int, float] = {}  # since when
        self._spoken: dict[int, _Spoken] = {}
        self._looked = 0.0

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

    def spoke(self, fd: int, message_bytes: int) -> None:
        """A whole message came over it, which took so many bytes there."""
        self._silent.pop(fd, None)
        if fd in self._open:
            spoken = self._spoken.setdefault(fd, _Spoken())
            spoken.ended_one = True
            spoken.counted += message_bytes

    def closed(self, fd: int) -> None:
        self._silent.pop(fd, None)
        self._spoken.pop(fd, None)
        self._open.discard(fd)

    def due(self, now: float, received: Callable[[int], int]) -> list[int]:
        """Those that are to be cut now, each told once. `received` tells the bytes that came over a connection."""
        cut = [
            fd for fd, since in self._silent.items() if now - since >= GREETING_S or received(fd) > GREETING_BYTES_MAX
        ]
        for fd in cut:
            del self._silent[fd]
        return cut

    def holding(self, now: float, received: Callable[[int], int]) -> list[int]:
        """Likewise of those that have spoken; looks each HELD_LOOK_S, however often it is called. What is too much has
        to be so twice, with messages read in between: what came whole while nobody looked is nobody's fault."""
        if now - self._looked < HELD_LOOK_S:
            return []
        self._looked = now
        cut: list[int] = []
        held: list[tuple[float, int]] = []
        for fd, spoken in self._spoken.items():
            if spoken.ended_one and now - spoken.counted_at < EXACT_S:
                spoken.ended_one, spoken.held = False, 0
                continue
            pings, spoken.counted_at = (now - spoken.counted_at) * PING_BYTES_PER_S, now
            bytes_now = received(fd)
            spoken.counted = min(bytes_now, spoken.counted + pings)
            before, spoken.held = spoken.held, bytes_now - spoken.counted
            if spoken.ended_one:
                # What little is left may be the handshake, or the beginning of the next message: it does not add up.
                if spoken.held <= GREETING_BYTES_MAX:
                    spoken.counted = bytes_now
                spoken.ended_one, spoken.held = False, 0
            elif before > MESSAGE_BYTES_MAX:
                cut.append(fd)
            elif before:
                held.append((before, fd))
        excess = sum(size for size, _ in held) - HELD_BYTES_MAX
        for size, fd in sorted(held, reverse=True):
            if excess <= 0:
                break
            excess -= size
            cut.append(fd)
        for fd in cut:
            del self._spoken[fd]
        return cut

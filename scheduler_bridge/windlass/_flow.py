"""The bulk of a bridge (STAGE) on its way to the nodes: what a node has no credit for waits here, in order, by node.

Each node's HELLO says what may be under way there (`_credits`); a request holds its part from its sending to the node's
first word on it, so that control never queues behind bulk. A queue that takes no more for a moment (`pause`) is tried
again. No socket, no clock, no lock; used by the bridge's thread only.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple

from . import _wire
from ._credits import Credits
from ._requests import Request
from ._wire import Header, Message

WAITING_MAX = 10_000  # requests that wait for one node
_SWEEP_S = 1.0  # between two looks for credits of requests that nobody waits for


class Bulk(NamedTuple):
    """A request that may go out now. `frames` is an error where it cannot be written."""

    routing: bytes
    request: Request
    frames: list[bytes | memoryview] | Exception


class _Lane:
    """To one node, over whichever connection it has."""

    def __init__(self) -> None:
        self.routing = b""
        self.credits = Credits()
        self.waiting: OrderedDict[bytes, Request] = OrderedDict()


class Flow:
    def __init__(self) -> None:
        self._lanes: dict[str, _Lane] = {}
        self._by_routing: dict[bytes, _Lane] = {}
        self._waits: dict[bytes, _Lane] = {}  # by request
        self._due: dict[_Lane, None] = {}  # of which something may go out
        self._paused: dict[_Lane, None] = {}
        self._sweep_at = 0.0

    def connected(self, node: str, routing: bytes, hello: dict[str, Any]) -> None:
        """A node has said HELLO. Over a new connection it owes nothing, and what waits goes there."""
        lane = self._lanes.setdefault(node, _Lane())
        if lane.routing != routing:
            self._by_routing.pop(lane.routing, None)
            lane.routing, lane.credits = routing, Credits()
            self._by_routing[routing] = lane
        lane.credits.agree(hello)
        self._due[lane] = None

    def ended(self, node: str) -> list[bytes]:
        """A node is no more, or takes no new work: answers what waited for it, which is to end."""
        lane = self._lanes.pop(node, None)
        if lane is None:
            return []
        self._by_routing.pop(lane.routing, None)
        self._due.pop(lane, None)
        self._paused.pop(lane, None)
        waited = list(lane.waiting)
        for request_id in waited:
            self.drop(request_id)
        return waited

    def wait(self, node: str, request: Request) -> bool:
        """Puts a request in line; False where too many are. The node is connected."""
        lane = self._lanes[node]
        if len(lane.waiting) >= WAITING_MAX:
            return False
        lane.waiting[request.id] = request
        self._waits[request.id] = lane
        if lane not in self._paused:
            self._due[lane] = None
        return True

    def again(self, routing: bytes, request: Request) -> None:
        """It was sent and did not arrive: it goes out before all others."""
        lane = self._by_routing.get(routing)
        if lane is not None:
            lane.waiting[request.id] = request
            lane.waiting.move_to_end(request.id, last=False)
            self._waits[request.id] = lane
            self._due[lane] = None

    def drop(self, request_id: bytes) -> None:
        """It waits no longer."""
        lane = self._waits.pop(request_id, None)
        if lane is not None:
            del lane.waiting[request_id]

    def next(self) -> Bulk | None:
        """The next that may go out; it is then to be told of by `sent`, `pause` or `drop`."""
        while self._due:
            lane = next(iter(self._due))
            request = next(iter(lane.waiting.values()), None)
            if request is not None and lane.credits.fits(request.size):
                try:
                    frames = _wire.encode(Message(Header(request.kind, request.id), request.made()))
                except (ValueError, TypeError, OverflowError) as error:
                    return Bulk(lane.routing, request, error)
                request.size = sum(len(frame) for frame in frames[1:])
                if lane.credits.fits(request.size):
                    return Bulk(lane.routing, request, frames)
            del self._due[lane]
        return None

    def sent(self, request: Request, now: float) -> None:
        lane = self._waits[request.id]
        self.drop(request.id)
        lane.credits.take(request.id, request.size, now)

    def pause(self, request: Request) -> None:
        """The queue to its node takes nothing: to be tried again after `resume`."""
        lane = self._waits[request.id]
        self._due.pop(lane, None)
        self._paused[lane] = None

    def resume(self) -> None:
        if self._paused:
            self._due.update(self._paused)
            self._paused.clear()

    def heard(self, routing: bytes, request_id: bytes) -> None:
        """A node's word on a request."""
        lane = self._by_routing.get(routing)
        if lane is not None and lane.credits.free(request_id):
            self._due[lane] = None

    def sweep(self, now: float, is_known: Callable[[bytes], bool]) -> None:
        """Frees what requests that nobody waits for have held for so long that no word will come."""
        if now < self._sweep_at:
            return
        self._sweep_at = now + _SWEEP_S
        for lane in set(self._waits.values()):
            for request_id in lane.credits.lost(now):
                if not is_known(request_id) and lane.credits.free(request_id):
                    self._due[lane] = None

    def held(self, node: str) -> int:
        """How many credits are held at a node."""
        lane = self._lanes.get(node)
        return len(lane.credits) if lane is not None else 0

"""The requests under way, by id: who waits for them, until when, and when the daemon owes a sign of life.

No socket and no clock: the Channel tells the time. A request leaves the table before its sink is told, so each ends
exactly once whatever comes later.
"""

from __future__ import annotations

import copy
import heapq
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ._errors import Internal, Unavailable, WindlassError
from ._reply import Silence, Sink
from ._wire import Column, Message, Type

SIGN_OF_LIFE_S = 5.0  # how often a lasting request asks
ASK_AGAIN_S = 1.0  # how often one asks that is not accepted, where it may have been lost on its way
SILENCE_S = 30.0  # after which a daemon that does not answer them is held for dead
SPARE = 64  # entries of ended requests that may be kept, besides as many as are under way

_log = logging.getLogger("windlass.client")

Body = dict[str, Any] | Callable[[], dict[str, Any]]  # what tells of the time that remains is made when it is sent


@dataclass
class Request:
    id: bytes
    kind: Type
    body: Body
    columns: tuple[Column, ...]
    sink: Sink
    timeout: float | None  # seconds from `add`; of a lasting one until it is accepted
    lasting: bool = False
    detach: bool = False
    sent: bool = False
    accepted: bool = False
    greeted_again: bool = False
    asked_after: bool = False  # since it was sent, or sent anew
    size: int = 0  # bytes of body and columns, once known
    deadline: float = math.inf  # by the Channel's clock
    sign_at: float = math.inf

    def made(self) -> dict[str, Any]:
        """The body, as it is to be sent now."""
        return self.body() if callable(self.body) else self.body

    def remaining_ms(self, now: float) -> int | None:
        """What stands in the header as `dl`."""
        if self.lasting or self.deadline == math.inf:
            return None
        return max(int((self.deadline - now) * 1000), 1)

    def silence(self, endpoint: str) -> WindlassError:
        if self.accepted:
            return Unavailable(f"{endpoint} has been silent for {SILENCE_S:g} s in the middle of the call")
        return Silence(f"{endpoint} did not answer within {self.timeout:g} s", retryable=True)


class Requests:
    """Used by one thread only. `later` runs what tells a sink; `judge_silence` False: others do that."""

    def __init__(
        self, *, judge_silence: bool = True, later: Callable[[Callable[[], None]], None] | None = None
    ) -> None:
        self._judge_silence = judge_silence
        self._later = later or run_callback
        self._by_id: dict[bytes, Request] = {}
        self._deadlines: list[tuple[float, bytes]] = []  # a heap; entries of ended or moved requests are passed over
        self._lasting: dict[bytes, Request] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def get(self, request_id: bytes) -> Request | None:
        return self._by_id.get(request_id)

    def all(self) -> list[Request]:
        return list(self._by_id.values())

    def unsent(self) -> list[Request]:
        return [request for request in self._by_id.values() if not request.sent]

    def add(self, request: Request, now: float) -> None:
        self._by_id[request.id] = request
        if request.timeout is not None:
            self._due(request, now + request.timeout)

    def expect(self, request: Request, now: float) -> None:
        """It went out by a way that may lose it: asked after from now on, by `signs_due`."""
        request.sign_at = now + ASK_AGAIN_S
        self._lasting[request.id] = request

    def advance(self, request_id: bytes, body: dict[str, Any], now: float) -> None:
        """A PROGRESS has come: a lasting request is accepted, and the daemon alive."""
        request = self._by_id.get(request_id)
        if request is None or not request.lasting:
            return
        if not request.accepted:
            request.accepted = True
            request.sign_at = now + SIGN_OF_LIFE_S
            self._lasting[request_id] = request
        request.deadline = now + SILENCE_S if self._judge_silence else math.inf
        self._later(lambda: request.sink.advance(body))

    def end(self, request_id: bytes, outcome: Message | WindlassError) -> None:
        """Takes the request out and tells its sink; nothing where it has ended already."""
        request = self._by_id.pop(request_id, None)
        self._lasting.pop(request_id, None)
        if request is None:
            return
        sink = request.sink
        if isinstance(outcome, Message):
            result = outcome
            self._later(lambda: _finish(sink, result))
        else:
            error = outcome
            self._later(lambda: sink.fail(error))

    def fail_all(self, error: WindlassError) -> None:
        """Each caller gets an error object of its own: raising sets the traceback in it."""
        for request_id in list(self._by_id):
            self.end(request_id, copy.copy(error))

    def signs_due(self, now: float) -> list[Request]:
        """Lasting requests whose sign of life is due now, and expected ones that are to be asked after."""
        if not self._lasting:
            return []
        due = [request for request in self._lasting.values() if request.sign_at <= now]
        for request in due:
            request.sign_at = now + (SIGN_OF_LIFE_S if request.accepted else ASK_AGAIN_S)
            request.asked_after = True
        return due

    def silent(self, now: float) -> list[Request]:
        """The requests whose deadline has passed. They stay in the table until they are ended."""
        late = [request for request in self._lasting.values() if request.deadline <= now]
        while self._deadlines and self._deadlines[0][0] <= now:
            request = self._by_id.get(heapq.heappop(self._deadlines)[1])
            if request is None or request.id in self._lasting:
                continue
            if request.deadline <= now:
                late.append(request)
            else:
                heapq.heappush(self._deadlines, (request.deadline, request.id))
        return late

    def next_moment(self) -> float:
        """When `signs_due` or `silent` may have something to tell."""
        moments = [min(request.sign_at, request.deadline) for request in self._lasting.values()]
        if self._deadlines:
            moments.append(self._deadlines[0][0])
        return min(moments, default=math.inf)

    def excuse(self, seconds: float) -> None:
        """The thread did not run for so long (a stopped process, a stall): that counts against no running transfer."""
        if seconds > 1.0:
            for request in self._lasting.values():
                request.deadline += seconds

    def _due(self, request: Request, moment: float) -> None:
        request.deadline = moment
        heapq.heappush(self._deadlines, (moment, request.id))
        if len(self._deadlines) > 2 * len(self._by_id) + SPARE:
            self._forget_ended()

    def _forget_ended(self) -> None:
        """Those of which nothing is waited for any more; their time may be far off yet."""
        live = [
            (request.deadline, request.id)
            for request in self._by_id.values()
            if request.deadline < math.inf and request.id not in self._lasting
        ]
        heapq.heapify(live)
        self._deadlines = live


def _finish(sink: Sink, result: Message) -> None:
    try:
        sink.finish(result)
    except Exception as error:  # who waits is told all the same
        _log.exception("an answer cannot be handed over")
        sink.fail(Internal(f"a fault of Windlass at the answer: {error!r}"))


def run_callback(tell: Callable[[], None]) -> None:
    """A callback of the caller's must not end the thread."""
    try:
        tell()
    except Exception:
        _log.exception("a callback failed")

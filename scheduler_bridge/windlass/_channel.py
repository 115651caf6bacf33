"""The one background thread of a Client: it owns the socket, keeps requests by id, and ends each exactly once.

Callers hand work over through a queue and an eventfd and wait on futures; no lock is held across I/O. The connection
is made with the first request. When it breaks, what was under way ends UNAVAILABLE and the next request makes a new
one. What the daemon does not take yet (`_credits`) waits here, bulk alone; control goes ahead. A forked child is
refused by its pid.
"""

from __future__ import annotations

import errno
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import zmq

from . import __version__, _wire
from ._credits import BULK, FEATURE, Credits
from ._dial import Dial
from ._errors import (
    Cancelled,
    Code,
    FailedPrecondition,
    InvalidArgument,
    ResourceExhausted,
    Unavailable,
    Unimplemented,
    WindlassError,
)
from ._keys_curve import Credentials
from ._link import Link, no_sockets
from ._loop import Loop
from ._reply import Reply, Sink, error_of_body
from ._requests import SPARE, Body, Request, Requests, run_callback
from ._seldom import Seldom
from ._wire import Header, Message, Type

GREETING_S = 3.0  # from the attempt to connect until the WELCOME
CLOSE_S = 10.0  # what close() gives its transfers to end
REQUESTS_MAX = 10_000  # under way and waiting, of one client
_POLL_MAX_S = 60.0
_ANSWERS = frozenset({Type.RESULT, Type.ERROR, Type.PROGRESS})

_log = logging.getLogger("windlass.client")


class Channel:
    """Requests to one daemon (or bridge). Any thread of the process that made it may call; all calls return at once."""

    def __init__(self, endpoint: str, *, role: str = "client", credentials: Credentials | None = None) -> None:
        self.endpoint = endpoint
        self.loop = Loop(f"windlass-{role}", role, self._run, self._end_all, self._begin_close)
        self._role = role
        self._seldom = Seldom()  # from here on: the thread's
        self._requests = Requests()
        self._credits = Credits()
        self._waiting: deque[bytes] = deque()  # bulk that is not sent yet, in order; what has ended is passed over
        self._dial = Dial(endpoint, credentials)
        self._link: Link | None = None
        self._greeting_by = 0.0
        self._hello_id = b""
        self._close_by: float | None = None

    def submit(
        self,
        kind: Type,
        body: Body,
        sink: Sink,
        *,
        columns: Sequence[_wire.Column] = (),
        timeout: float | None = None,
        lasting: bool = False,
        detach: bool = False,
        request_id: bytes | None = None,
    ) -> bytes:
        """Hands a request over and answers its id, a new one where none is given.

        `timeout` (seconds): until the answer; of a `lasting` request (STAGE): until it is accepted, from then on it
        may take as long as it takes while signs of life go back and forth. `detach`: it goes on after close().
        """
        request = Request(request_id or _wire.new_id(), kind, body, tuple(columns), sink, timeout, lasting, detach)
        self.loop.post(lambda: self._add(request), sink.fail)
        return request.id

    def tell_from_finalizer(self, kind: Type, body: dict[str, Any], timeout: float) -> None:
        """Hands over a request whose answer nobody waits for. It takes no lock and never raises."""
        request = Request(_wire.new_id(), kind, body, (), Reply(), timeout)
        self.loop.post_from_finalizer(lambda: self._add(request))

    def cancel(self, request_id: bytes) -> None:
        """Sends CANCEL for a request; it ends as the daemon says."""
        self.loop.post(lambda: self._cancel(request_id), late=True)

    def abandon(self, request_id: bytes) -> None:
        """Sends CANCEL and waits for no answer: the request ends CANCELLED at once."""
        self.loop.post(lambda: self._abandon(request_id), late=True)

    def close(self) -> None:
        """Cancels what runs, says BYE and ends the thread. Calling it again, or in a forked child, does nothing."""
        self.loop.close()

    # ---- The thread --------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while self._close_by is None or not self._may_end():
            self._wait()
            self.loop.take_commands()
            self._take_messages()
            self._look_at_the_clock()

    def _end_all(self, fault: WindlassError | None) -> None:
        """Whatever ended the thread: nobody waits any more, and nothing stays open."""
        try:
            self._requests.fail_all(fault or Unavailable(f"the {self._role} was closed before the answer came"))
            self._drop_link(say_bye=True)
        finally:
            self._dial.close()

    def _may_end(self) -> bool:
        return not self._requests or time.monotonic() >= (self._close_by or 0.0)

    def _wait(self) -> None:
        poller = zmq.Poller()
        poller.register(self.loop.bell.fd, zmq.POLLIN)
        until = self._requests.next_moment()
        if self._link is not None:
            poller.register(self._link.socket, self._link.wanted)
            poller.register(self._link.monitor, zmq.POLLIN)
            if not self._link.ready:
                until = min(until, self._greeting_by)
        if self._close_by is not None:
            until = min(until, self._close_by)
        timeout = min(max(until - time.monotonic(), 0.0), _POLL_MAX_S)
        before = time.monotonic()
        poller.poll(int(timeout * 1000) + 1)
        self._requests.excuse(time.monotonic() - before - timeout)

    def _take_messages(self) -> None:
        link = self._link
        if link is None:
            return
        broken = link.broken()  # asked first: what had arrived before the break still counts
        while (frames := link.receive()) is not None:
            self._take(frames)
            if self._link is not link:
                return
        if broken and link.refusal:
            self._turned_away(link)
        elif broken:
            self._lose_link(f"the connection to {self.endpoint} was lost" if link.ready else self._unreachable())
        else:
            link.flush()

    def _take(self, frames: Sequence[zmq.Frame]) -> None:
        """One message. Whatever it is, it costs no more than the call that it answers."""
        message: Message | None = None
        try:
            message = _wire.decode([frame.buffer for frame in frames])
            self._serve(message)
        except _wire.WireError as error:
            self._unread(error.id, error)
        except Exception as error:
            self._unread(message.header.id if message is not None else None, error)

    def _unread(self, request_id: bytes | None, error: Exception) -> None:
        unsaid = self._seldom.due("unread", time.monotonic())
        if unsaid is not None:
            _log.warning("%s; %d more since the last time", self._odd_answer(error), unsaid)
        if request_id is None:
            return
        if self._credits.free(request_id):
            self._send_waiting()
        self._requests.end(request_id, self._odd_answer(error))
        if request_id == self._hello_id and self._link is not None and not self._link.ready:
            self._requests.fail_all(self._odd_answer(error))
            self._drop_link()

    def _serve(self, message: Message) -> None:
        kind, request_id = message.header.type, message.header.id
        if kind in _ANSWERS and self._credits.free(request_id):
            self._send_waiting()
        if request_id == self._hello_id:
            self._greeted(message)
        elif kind == Type.PROGRESS:
            self._requests.advance(request_id, message.body, time.monotonic())
        elif kind == Type.RESULT:
            self._requests.end(request_id, message)
        elif kind == Type.ERROR:
            self._refused(request_id, message.body)
        elif kind == Type.BYE:
            self._lose_link(f"the daemon at {self.endpoint} has ended")
        elif kind != Type.WELCOME:
            said = f"a {self._role} serves no message of type {kind}"
            self._send(Type.ERROR, request_id, {"code": int(Code.UNIMPLEMENTED), "message": said, "retryable": False})

    def _look_at_the_clock(self) -> None:
        now = time.monotonic()
        self._hang_up_on_doubt()
        link = self._link
        if link is not None and not link.ready and now >= self._greeting_by:
            self._lose_link(
                f"{self.endpoint} does not answer: nothing within {GREETING_S:g} s of the attempt to connect"
            )
            link = None
        if self._waiting and self._forget_lost(now):
            self._send_waiting()
        for request in self._requests.signs_due(now):
            if link is not None and link.ready:
                self._send(Type.PROGRESS, request.id, {})
        silent = self._requests.silent(now)
        for request in silent:
            if link is not None and link.ready:
                self._send(Type.CANCEL, _wire.new_id(), {"request": request.id})
            self._requests.end(request.id, request.silence(self.endpoint))
        if silent and not self._requests:
            self._drop_link()  # whoever comes next finds out soon whether the daemon lives

    # ---- Connecting --------------------------------------------------------------------------------------------------

    def _connect(self, make: Callable[[], Link]) -> None:
        try:
            self._link = make()
        except Unavailable as error:
            self._requests.fail_all(error)
        except zmq.ZMQError as error:
            out = error.errno in (errno.EMFILE, errno.ENFILE)
            self._requests.fail_all(no_sockets(error) if out else Unavailable(f"{self._unreachable()} ({error})"))
        else:
            self._hello()

    def _turned_away(self, link: Link) -> None:
        """What waits for the connection goes on waiting while there is another key to try."""
        if self._dial.has_next(link):
            self._drop_link()
            self._connect(self._dial.next)
        else:
            self._lose_link(self._dial.why(link))

    def _hang_up_on_doubt(self) -> None:
        doubt = "" if self._link is None else self._dial.doubts()
        if doubt:
            self._drop_link(say_bye=True)
            self._requests.fail_all(Unavailable(f"we hung up on {self.endpoint}: {doubt}"))

    def _hello(self) -> None:
        assert self._link is not None
        self._link.ready = False
        self._greeting_by = time.monotonic() + GREETING_S
        self._hello_id = _wire.new_id()
        software = f"windlass-python/{__version__}"
        versions = [_wire.VERSION, _wire.VERSION]
        self._send(
            Type.HELLO,
            self._hello_id,
            {
                "role": self._role,
                "versions": versions,
                "features": [FEATURE],
                "software": software,
                "pid": self.loop.pid,
            },
        )

    def _greeted(self, message: Message) -> None:
        assert self._link is not None
        version = message.body.get("version")
        if message.header.type == Type.WELCOME and type(version) is int and version == _wire.VERSION:
            self._link.ready = True
            self._dial.answered()
            self._credits.agree(message.body)
            unsent = self._requests.unsent()
            self._waiting = deque(request.id for request in unsent if request.kind in BULK)
            for request in unsent:
                if request.kind not in BULK:
                    self._send_request(request)
            self._send_waiting()
            return
        if message.header.type == Type.ERROR:
            error = error_of_body(message.body)
            if error.code == Code.FAILED_PRECONDITION:  # the versions do not meet
                error = Unimplemented(
                    f"{self.endpoint} does not speak version {_wire.VERSION} of the protocol: {error}"
                )
        else:
            error = Unimplemented(f"{self.endpoint} does not speak version {_wire.VERSION} of the protocol")
        self._requests.fail_all(error)
        self._drop_link()

    def _lose_link(self, why: str) -> None:
        self._drop_link()
        hint = "Is windlassd running there? `windlass doctor` tells more"
        if self._role == "observer":
            hint = "Does the scheduler's bridge listen there? Its `address` tells where"
        self._requests.fail_all(Unavailable(f"{why}. {hint}"))

    def _drop_link(self, say_bye: bool = False) -> None:
        link, self._link = self._link, None
        self._credits.clear()
        if link is None:
            return
        if say_bye and link.ready:
            link.send(_wire.encode(Message(Header(Type.BYE, _wire.new_id()))))
        link.close()

    def _unreachable(self) -> str:
        return f"no {'bridge' if self._role == 'observer' else 'daemon'} at {self.endpoint}"

    # ---- Requests ----------------------------------------------------------------------------------------------------

    def _add(self, request: Request) -> None:
        if self._close_by is not None:
            closed = FailedPrecondition(f"the {self._role} is closed; open a new one")
            run_callback(lambda: request.sink.fail(closed))
            return
        if len(self._requests) >= REQUESTS_MAX:
            full = ResourceExhausted(
                f"this client has {REQUESTS_MAX} requests under way, as many as one may: wait for answers",
                retryable=True,
                retry_after=1.0,
            )
            run_callback(lambda: request.sink.fail(full))
            return
        self._hang_up_on_doubt()  # first: what is new goes to whom we believe now
        self._requests.add(request, time.monotonic())
        if self._link is None:
            self._connect(self._dial.first)
        elif self._link.ready and request.kind in BULK:
            self._waiting.append(request.id)
            if len(self._waiting) > 2 * len(self._requests) + SPARE:
                self._waiting = deque(filter(self._requests.get, self._waiting))
            self._send_waiting()
        elif self._link.ready:
            self._send_request(request)

    def _send_waiting(self) -> None:
        """Sends bulk in its order, as far as the daemon takes it."""
        while self._waiting and self._link is not None and self._link.ready:
            request = self._requests.get(self._waiting[0])
            if request is not None and not request.sent and not self._send_request(request):
                return
            self._waiting.popleft()

    def _send_request(self, request: Request) -> bool:
        """False where it has to wait for the daemon to take more."""
        bulk = request.kind in BULK
        if bulk and not self._credits.fits(request.size):
            return False
        now = time.monotonic()
        header = Header(request.kind, request.id, request.remaining_ms(now))
        try:
            frames = _wire.encode(Message(header, request.made(), request.columns))
        except (_wire.WireError, ValueError, TypeError, OverflowError) as error:
            self._requests.end(request.id, InvalidArgument(f"the request cannot be sent: {error}"))
            return True
        request.size = sum(len(frame) for frame in frames[1:])
        if bulk and not self._credits.fits(request.size):
            return False
        if bulk:
            self._credits.take(request.id, request.size, now)
        assert self._link is not None
        request.sent = True
        self._link.send(frames)
        request.sink.going_out()
        return True

    def _forget_lost(self, now: float) -> bool:
        """Frees what requests that nobody waits for have held too long; True where there were any."""
        lost = [request_id for request_id in self._credits.lost(now) if self._requests.get(request_id) is None]
        for request_id in lost:
            self._credits.free(request_id)
        return bool(lost)

    def _send(self, kind: Type, request_id: bytes, body: dict[str, Any]) -> None:
        assert self._link is not None
        self._link.send(_wire.encode(Message(Header(kind, request_id), body)))

    def _refused(self, request_id: bytes, body: dict[str, Any]) -> None:
        request = self._requests.get(request_id)
        if request is None:
            return
        error = error_of_body(body)
        if (
            error.code == Code.FAILED_PRECONDITION
            and str(error).startswith("say HELLO first")
            and not request.greeted_again
        ):
            request.sent, request.greeted_again = False, True  # it was not begun: the daemon does not know us any more
            if self._link is not None and self._link.ready:
                self._hello()
            return
        self._requests.end(request_id, error)

    def _cancel(self, request_id: bytes) -> None:
        request = self._requests.get(request_id)
        if request is None:
            return
        if request.sent and self._link is not None:
            self._send(Type.CANCEL, _wire.new_id(), {"request": request_id})
        else:
            self._requests.end(request_id, Cancelled("cancelled before it was sent"))

    def _abandon(self, request_id: bytes) -> None:
        self._cancel(request_id)
        self._requests.end(request_id, Cancelled("the request was cancelled"))

    def _begin_close(self) -> None:
        self._close_by = time.monotonic() + CLOSE_S
        for request in self._requests.all():
            if request.detach and request.accepted:
                reason = "the client was closed; the detached transfers go on in the daemon"
                self._requests.end(request.id, Cancelled(reason))
            elif request.lasting:
                request.sink.closing()
                self._cancel(request.id)
            else:
                self._abandon(request.id)

    def _odd_answer(self, error: Exception) -> WindlassError:
        return Unavailable(f"{self.endpoint} sent an answer that the protocol does not allow: {error}")

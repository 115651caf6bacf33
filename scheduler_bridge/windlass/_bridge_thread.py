"""The bridge's thread: it owns the ROUTER, hands messages to the core, and sends what the core answers.

The socket is MANDATORY and never blocks: what a peer cannot take is refused, not queued without end. Before anyone is
judged dead, what has arrived is read.
"""

from __future__ import annotations

import copy
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence

import zmq

from . import _wire
from ._authority import ANSWERS
from ._bridge_core import BridgeCore
from ._door import Door, KeyedDoor, Refusal
from ._errors import (
    Cancelled,
    Code,
    FailedPrecondition,
    InvalidArgument,
    ResourceExhausted,
    Unavailable,
    WindlassError,
)
from ._grant import Asking, Grant, Send
from ._keys import Folder
from ._link import no_sockets
from ._listeners import bind, closed
from ._loop import Loop
from ._requests import Body, Request, run_callback
from ._stage_remote import RemoteStage
from ._wire import Header, Message, Type

ACCEPT_S = 30.0  # what a node may take to accept a staging call
CLOSE_S = 10.0  # what close() gives its transfers to end
_TURN_MAX = 5000  # messages read before the clock is looked at
_LINGER_MS = 200  # for the BYE
_PING_MS = 5000
_QUEUE_MAX = 10_000  # messages that wait for this thread, of each peer: what a node says in minutes

_log = logging.getLogger("windlass.bridge")


class BridgeThread:
    """`core` is guarded by `lock`, which is never held across I/O or while a caller is told."""

    def __init__(self, endpoint: str, core: BridgeCore, poll_s: float, keys: Folder | None = None) -> None:
        self.core = core
        self.lock = threading.Lock()
        self._poll_ms = max(int(poll_s * 1000), 1)
        self._close_by: float | None = None
        self._forgotten: deque[object] = deque()  # owners whose sessions were dropped
        self.address = ""  # once it is bound
        self.loop = Loop("windlass-bridge", "bridge", self._run, self._end_all, self._begin_close)
        try:
            self._open(endpoint, keys)
        except BaseException:
            self.loop.close()
            raise

    def _open(self, endpoint: str, keys: Folder | None) -> None:
        try:
            self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        except zmq.ZMQError as error:
            raise no_sockets(error) from None
        try:
            self._door = Door() if keys is None else KeyedDoor(self._context, keys)
            self._router = self._bound(endpoint)
            self.loop.start()
        except BaseException as error:
            self._context.destroy(linger=0)
            closed(self.address)
            if isinstance(error, zmq.ZMQError):
                raise no_sockets(error) from None
            raise

    def submit_stage(self, request_id: bytes, node: str, body: Body, remote: RemoteStage, detach: bool) -> None:
        """Sends a STAGE to a node; any thread."""
        request = Request(request_id, Type.STAGE, body, (), remote, ACCEPT_S, lasting=True, detach=detach)
        self.loop.post(lambda: self._add(node, request), remote.fail)

    def cancel(self, request_id: bytes) -> None:
        """Sends CANCEL; the request ends as the node says. Any thread."""
        self.loop.post(lambda: self._send_cancel(request_id), late=True)

    def ask_grants(self, grants: list[Grant], incarnations: dict[str, str], on_end: Callable[[], None]) -> Asking:
        """Sends GRANTs, one message a node; `on_end` is called in the bridge's thread. Any thread."""
        with self.lock:
            asking = self.core.grants.ask(grants, incarnations, on_end)
        try:
            self.loop.post(lambda: self._send_all(asking.sends), lambda error: self._end_asking(asking, str(error)))
        except WindlassError:
            self.release_grants([grant.id for grant in grants])
            raise
        return asking

    def release_grants(self, ids: Iterable[bytes]) -> None:
        """Gives grants back. Any thread; nothing once the bridge is closed: their leases end."""
        with self.lock:
            sends = self.core.grants.release(ids)
        self.loop.post(lambda: self._send_all(sends), late=True)

    def forget_grants(self, owner: object) -> None:
        """Gives back all that a session holds. Any thread, and nothing once the bridge is closed."""
        with self.lock:
            sends = self.core.grants.forget(owner)
        self.loop.post(lambda: self._send_all(sends), late=True)

    def forget_from_finalizer(self, owner: object) -> None:
        """The same, later, and without a lock: whoever runs this may hold it."""
        self._forgotten.append(owner)
        self.loop.post_from_finalizer(self.take_forgotten)

    def take_forgotten(self) -> None:
        """Does what finalizers left to do. Any thread; whoever looks at the grants does it before."""
        if not self._forgotten:
            return
        sends: list[Send] = []
        with self.lock:  # taken out beneath it, so that whoever holds it next finds it done
            while self._forgotten:
                sends += self.core.grants.forget(self._forgotten.popleft())
        self.loop.post(lambda: self._send_all(sends), late=True)

    def close(self) -> None:
        """Cancels what runs (but for what is detached), says BYE to the nodes and ends the thread."""
        self.loop.close()

    def _bound(self, endpoint: str) -> zmq.Socket[bytes]:
        router = self._context.socket(zmq.ROUTER)
        router.linger = 0
        router.setsockopt(zmq.ROUTER_MANDATORY, 1)
        router.setsockopt(zmq.MAXMSGSIZE, _wire.BODY_BYTES_MAX)  # nodes and observers send nothing larger
        router.setsockopt(zmq.RCVHWM, _QUEUE_MAX)
        router.setsockopt(zmq.HEARTBEAT_IVL, _PING_MS)  # finds out connections whose other end is gone
        router.setsockopt(zmq.HEARTBEAT_TIMEOUT, 3 * _PING_MS)
        router.setsockopt(zmq.TCP_KEEPALIVE, 1)
        router.setsockopt(zmq.IPV6, int("[" in endpoint))
        self._door.protect(router)
        try:
            self.address = bind(router, endpoint)
        except Unavailable:
            router.close()
            raise
        self._door.bound(router)
        return router

    # ---- The thread --------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        poller = zmq.Poller()
        poller.register(self.loop.bell.fd, zmq.POLLIN)
        for socket in (self._router, *self._door.sockets):
            poller.register(socket, zmq.POLLIN)
        while self._close_by is None or not self._may_end():
            poller.poll(self._poll_ms)
            self.loop.take_commands()
            self._turn()

    def _end_all(self, fault: WindlassError | None) -> None:
        """Whatever ended the thread: nobody waits any more, and nothing stays open."""
        try:
            self._fail_rest(fault or Unavailable("the bridge was closed before the node answered"))
            self._say_bye()
        finally:
            try:
                self._door.close()
            finally:
                self._router.close(linger=_LINGER_MS)
                self._context.destroy(linger=0)
                closed(self.address)

    def _may_end(self) -> bool:
        return not self.core.requests or time.monotonic() >= (self._close_by or 0.0)

    def _turn(self) -> None:
        """Reads what has arrived, then looks at the clock."""
        drained = False
        self._door.turn(time.monotonic())
        for _ in range(_TURN_MAX):
            try:
                frames = self._router.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                drained = True
                break
            self._take(frames)
        now = time.monotonic()
        with self.lock:
            sends = self.core.tick(now, drained)
        self._send_all(sends)
        for request in self.core.requests.silent(now):
            if request.sent:
                self._send_cancel(request.id)
            self._end(request.id, self.core.overdue(request))
        for request in self.core.requests.signs_due(now):
            self._send_to(self.core.route_of(request.id), Message(Header(Type.PROGRESS, request.id)))
        self._send_bulk()
        self._tell()

    def _take(self, frames: list[zmq.Frame]) -> None:
        """One message. Whatever it is, it costs nobody else anything."""
        routing, now = frames[0].bytes, time.monotonic()
        message: Message | None = None
        try:
            self._door.heard(frames, now)
            message = _wire.decode([frame.buffer for frame in frames[1:]])
            refused = self._refusal(frames, message, now)
            if refused is not None:
                self._refuse(routing, message, *refused)
                return
            with self.lock:
                answers = self.core.handle(routing, message, now)
        except _wire.WireError as error:
            with self.lock:
                answers = self.core.unread(routing, error.id, None, str(error), now)
        except Exception as error:
            with self.lock:
                known = message.header.id if message is not None else None
                answers = self.core.unread(routing, known, message, repr(error), now)
        self._send_all(answers)
        self._send_bulk()

    def _refusal(self, frames: list[zmq.Frame], message: Message, now: float) -> Refusal | None:
        try:
            return self._door.refusal(frames, message, now)
        except Exception:  # whose it is, is not known: it is served to nobody
            _log.exception("a message came of which the sender cannot be told")
            return Code.PERMISSION_DENIED, "the sender of this message cannot be told"

    def _send_all(self, sends: Iterable[Send]) -> None:
        """Sends; a GRANT or RELEASE that cannot leave is told to the book."""
        for routing, message in sends:
            error = self._send_to(routing, message)
            if error is not None and message.header.type in (Type.GRANT, Type.RELEASE):
                with self.lock:
                    more = self.core.grants.failed(message.header.id, str(error))
                self._send_all(more)
        self._tell()

    def _refuse(self, routing: bytes, message: Message, code: Code, why: str) -> None:
        if code == Code.UNAUTHENTICATED:  # it was somebody here until now
            with self.lock:
                self.core.handle(routing, Message(Header(Type.BYE, message.header.id)), time.monotonic())
        if message.header.type not in ANSWERS:
            body = {"code": int(code), "message": why, "retryable": False}
            self._send_to(routing, Message(Header(Type.ERROR, message.header.id), body))

    def _tell(self) -> None:
        untold = self.core.untold
        while untold:
            run_callback(untold.pop(0))

    def _send_to(self, routing: bytes | None, message: Message) -> WindlassError | None:
        """Sends, or answers why that cannot be done now. Never blocks."""
        if routing is None:
            return None
        try:
            frames = _wire.encode(message)
        except _wire.WireError as error:
            self._too_large(routing, message, error)
            return ResourceExhausted(str(error))
        return self._send_frames(routing, frames)

    def _send_frames(self, routing: bytes, frames: Sequence[bytes | memoryview]) -> WindlassError | None:
        try:
            self._router.send_multipart([routing, *frames], zmq.NOBLOCK)
        except zmq.Again:
            return ResourceExhausted("the node takes no more messages at present", retryable=True, retry_after=1.0)
        except zmq.ZMQError as error:
            return Unavailable(f"the node cannot be reached: {error.strerror}")
        return None

    def _too_large(self, routing: bytes, message: Message, error: Exception) -> None:
        if message.header.type == Type.RESULT:
            body = {"code": int(Code.RESOURCE_EXHAUSTED), "message": str(error), "retryable": False}
            self._send_to(routing, Message(Header(Type.ERROR, message.header.id), body))

    # ---- Requests ----------------------------------------------------------------------------------------------------

    def _add(self, node: str, request: Request) -> None:
        if self._close_by is not None:
            run_callback(lambda: request.sink.fail(FailedPrecondition("the bridge is closed; open a new one")))
            return
        with self.lock:
            error = self.core.submit(node, request, time.monotonic())
        if error is not None:
            self._end(request.id, error)
        self._send_bulk()
        self._tell()

    def _send_bulk(self) -> None:
        """Sends what the nodes have credit for. What a full queue does not take stays first in its line."""
        core = self.core
        while (bulk := core.flow.next()) is not None:
            request, frames = bulk.request, bulk.frames
            if isinstance(frames, Exception):
                large = isinstance(frames, _wire.WireError)
                told = ResourceExhausted(str(frames)) if large else InvalidArgument(f"it cannot be sent: {frames}")
                self._end(request.id, told)
                continue
            error = self._send_frames(bulk.routing, frames)
            if error is None:
                core.sent(request, bulk.routing, time.monotonic())
            elif isinstance(error, ResourceExhausted):
                core.flow.pause(request)
            else:
                self._end(request.id, error)

    def _send_cancel(self, request_id: bytes) -> None:
        request = self.core.requests.get(request_id)
        if request is not None and not request.sent:
            self._end(request_id, Cancelled("cancelled before it was sent"))
            self._tell()
            return
        cancel = Message(Header(Type.CANCEL, _wire.new_id()), {"request": request_id})
        self._send_to(self.core.route_of(request_id), cancel)

    def _end(self, request_id: bytes, outcome: WindlassError) -> None:
        self.core.end(request_id, outcome)

    def _begin_close(self) -> None:
        self._close_by = time.monotonic() + CLOSE_S
        for request in self.core.requests.all():
            if request.detach and request.accepted:
                self._end(request.id, Cancelled("the bridge was closed; the detached transfers go on at the node"))
            else:
                request.sink.closing()
                self._send_cancel(request.id)
        self._tell()

    def _fail_rest(self, why: WindlassError) -> None:
        for request in self.core.requests.all():
            self._end(request.id, copy.copy(why))
        with self.lock:
            self.core.grants.fail_all(str(why))
        self._tell()

    def _end_asking(self, asking: Asking, why: str) -> None:
        with self.lock:
            self.core.grants.end(asking, why)
        self._tell()

    def _say_bye(self) -> None:
        for routing in self.core.nodes.routings():
            self._send_to(routing, Message(Header(Type.BYE, _wire.new_id())))

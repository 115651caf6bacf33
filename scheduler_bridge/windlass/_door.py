"""Who gets through to the bridge's ROUTER: by keys, or everybody. The bridge's thread.

A `KeyedDoor` is the authenticator (ZAP) of the bridge's own ZeroMQ context, so another's in the same process is not
disturbed. It asks the list of keys at each handshake and again at each message, so that a revoked key is refused
within a second or two and its connection cut.
"""

from __future__ import annotations

import logging
import os
import resource
import socket
import struct
from collections import Counter

import zmq
from zmq.utils.monitor import parse_monitor_message

from ._authority import refusal
from ._connections import Connections
from ._errors import Code, WindlassError
from ._keys import LIST_PERIOD_S, AllowedFile, Folder, Role, load_own
from ._keys_curve import Context, check_pair, curve_bytes, protect_server
from ._keys_zap import answer_zap, bound_zap, test_refusal
from ._seldom import Seldom
from ._stats import count
from ._wire import Message

_BACKLOG = 128
_RECEIVED_AT = 128  # tcpi_bytes_received in struct tcp_info
_EVENTS = (
    zmq.Event.ACCEPTED
    | zmq.Event.DISCONNECTED
    | zmq.Event.HANDSHAKE_FAILED_NO_DETAIL
    | zmq.Event.HANDSHAKE_FAILED_PROTOCOL
)

_log = logging.getLogger("windlass.bridge")
Refusal = tuple[Code, str]


class Door:
    """Open to everybody: on loopback, or where `insecure` says so."""

    sockets: tuple[zmq.Socket[bytes], ...] = ()  # to be polled

    def protect(self, router: zmq.Socket[bytes]) -> None:
        """Before bind."""

    def bound(self, router: zmq.Socket[bytes]) -> None:
        """After bind."""

    def turn(self, now: float) -> None:
        """What there is to do besides messages."""

    def heard(self, frames: list[zmq.Frame], now: float) -> None:
        """A whole message came, behind its route, whatever it says."""

    def refusal(self, frames: list[zmq.Frame], message: Message, now: float) -> Refusal | None:
        """Why a message that was heard is not to be served."""
        return None

    def close(self) -> None:
        """Before the context ends."""


class KeyedDoor(Door):
    """Open to the keys of FOLDER/allowed, each as its role allows."""

    def __init__(self, context: Context, folder: Folder) -> None:
        self._own = check_pair(load_own(folder))
        self._allowed = AllowedFile(folder)
        self._connections = Connections(connections_max=_connections_max())
        self._expelled: set[int] = set()  # cut at the next turn, so that the answer may leave
        self._list_due = 0.0
        self._seldom = Seldom()
        self._port = 0
        self.refused: Counter[str] = Counter()
        self._router: zmq.Socket[bytes] | None = None
        self._monitor: zmq.Socket[bytes] | None = None
        test_refusal(self._own, self._is_allowed)
        self._zap = bound_zap(context)

    def protect(self, router: zmq.Socket[bytes]) -> None:
        protect_server(router, self._own)
        router.setsockopt(zmq.HANDSHAKE_IVL, 10_000)
        router.setsockopt(zmq.BACKLOG, _BACKLOG)
        self._router = router
        self._monitor = router.get_monitor_socket(_EVENTS)
        self.sockets = (self._zap, self._monitor)

    def bound(self, router: zmq.Socket[bytes]) -> None:
        self._port = int(router.getsockopt_string(zmq.LAST_ENDPOINT).rpartition(":")[2])

    def turn(self, now: float) -> None:
        if now >= self._list_due:
            self._list_due = now + LIST_PERIOD_S
            self._look_at_list(now)
        expelled, self._expelled = self._expelled, set()
        for fd in expelled:
            self._cut(fd)
        answer_zap(self._zap, lambda public: self._admit(public, now))
        self._take_events(now)
        flooding = self._connections.due(now, _bytes_received) + self._connections.holding(now, _bytes_received)
        for fd in flooding:
            self._refuse("flood", "", now)
            self._cut(fd)

    def heard(self, frames: list[zmq.Frame], now: float) -> None:
        self._take_events(now)  # its having been accepted comes first
        self._connections.spoke(_fd_of(frames), curve_bytes(len(frame) for frame in frames[1:]))

    def refusal(self, frames: list[zmq.Frame], message: Message, now: float) -> Refusal | None:
        header = frames[1]
        key = self._allowed.keys.get(bytes.fromhex(str(header.get("User-Id"))))
        if key is None or key.role == Role.REVOKED:
            self._refuse("revoked_key", "" if key is None else key.name, now)
            self._expelled.add(_fd_of(frames))
            return Code.UNAUTHENTICATED, "this key was revoked here"
        why = refusal(key, frames[0].bytes, message)
        if why is None:
            return None
        self._refuse("role", key.name, now, why)
        return Code.PERMISSION_DENIED, f"{why}; `windlass keys list` shows the roles"

    def close(self) -> None:
        if self._router is not None and self._monitor is not None:
            self._router.disable_monitor()
            self._monitor.close(linger=0)
        self._zap.close(linger=0)

    def _is_allowed(self, public: bytes) -> bool:
        key = self._allowed.keys.get(public)
        return key is not None and key.role != Role.REVOKED

    def _admit(self, public: bytes, now: float) -> bool:
        if self._is_allowed(public):
            return True
        key = self._allowed.keys.get(public)
        self._refuse("unknown_key" if key is None else "revoked_key", public.hex() if key is None else key.name, now)
        return False

    def _refuse(self, reason: str, who: str, now: float, what: str = "") -> None:
        self.refused[reason] += 1
        count("refused", reason)
        unsaid = self._seldom.due(reason, now)
        if unsaid is not None:
            said = what or who or "no key"
            _log.warning("a peer is refused (%s): %s; %d more since the last time", reason, said, unsaid)

    def _look_at_list(self, now: float) -> None:
        try:
            if self._allowed.refresh():
                _log.info("the list of keys was read, %d keys", len(self._allowed.keys))
        except WindlassError as error:  # what was known stays
            if self._seldom.due("list", now) is not None:
                _log.error("the list of keys is not taken: %s", error)

    def _take_events(self, now: float) -> None:
        assert self._monitor is not None
        while True:
            try:
                event = parse_monitor_message(self._monitor.recv_multipart(zmq.NOBLOCK))
            except zmq.Again:
                return
            fd = int(event["value"])
            if event["event"] == zmq.Event.ACCEPTED:
                if not self._connections.accepted(fd, now):
                    self._refuse("flood", "", now)
                    self._cut(fd)
            elif event["event"] == zmq.Event.DISCONNECTED:
                self._connections.closed(fd)
            else:
                self._refuse("handshake", "", now)

    def _cut(self, fd: int) -> None:
        """The number may be another's by now; none but a connection of this port is ever touched."""
        try:
            with socket.socket(fileno=os.dup(fd)) as connection:
                if connection.getsockname()[1] == self._port:
                    connection.shutdown(socket.SHUT_RDWR)
        except (OSError, IndexError, TypeError):
            pass


def _connections_max() -> int:
    """Half of the descriptors, or ZeroMQ would find none left and spin."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 65_536 if soft == resource.RLIM_INFINITY else max(soft // 2, 1)


def _fd_of(frames: list[zmq.Frame]) -> int:
    """Of the connection; some versions of ZeroMQ do not always give properties to the route."""
    return int(str(frames[1].get("__fd")))


def _bytes_received(fd: int) -> int:
    try:
        with socket.socket(fileno=os.dup(fd)) as connection:
            info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _RECEIVED_AT + 8)
    except OSError:
        return 0
    return int(struct.unpack_from("=Q", info, _RECEIVED_AT)[0]) if len(info) >= _RECEIVED_AT + 8 else 0

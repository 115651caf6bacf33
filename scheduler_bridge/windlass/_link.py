"""One connection over a ZeroMQ DEALER, and what becomes of it. Used by the thread of its Channel only.

A connection that broke is closed for good and a new one is made for the next request, so nothing that was queued for
one daemon ever reaches its successor.
"""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Sequence

import zmq
from zmq.utils.monitor import parse_monitor_message

from . import _wire
from ._errors import ResourceExhausted, Unavailable, WindlassError
from ._keys import OwnKey
from ._keys_curve import protect_client

_BROKEN = (
    zmq.Event.CONNECT_RETRIED
    | zmq.Event.DISCONNECTED
    | zmq.Event.HANDSHAKE_FAILED_NO_DETAIL
    | zmq.Event.HANDSHAKE_FAILED_PROTOCOL
    | zmq.Event.HANDSHAKE_FAILED_AUTH
)
_BROKEN_OFF = (
    zmq.Event.HANDSHAKE_FAILED_NO_DETAIL | zmq.Event.HANDSHAKE_FAILED_PROTOCOL | zmq.Event.HANDSHAKE_FAILED_AUTH
)
_LINGER_MS = 200  # for the BYE
_HEARTBEAT_MS = 5_000
_SILENCE_MS = 30_000  # as long as a daemon may be silent in the middle of a call


def no_sockets(error: zmq.ZMQError) -> WindlassError:
    """Why ZeroMQ gives neither context nor socket."""
    if error.errno in (errno.EMFILE, errno.ENFILE):
        said = "no descriptor is left for a socket: close files that are not needed, or raise the limit (ulimit -n)"
        return ResourceExhausted(said, retryable=True)
    return Unavailable(f"ZeroMQ gives no socket: {error.strerror}")


class Link:
    """`ready` is set by the Channel once the WELCOME has come."""

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], endpoint: str, keys: tuple[OwnKey, bytes] | None = None
    ) -> None:
        """`keys`: our own, and the other side's public one."""
        self.refusal = ""  # why the other side turned us away
        self.refuses_us = False  # by our key; its own is the one that was expected
        self._keyed = keys is not None
        self._local = endpoint.startswith("ipc:")
        self.ready = False
        self.connected = False
        self._outbox: deque[list[bytes | memoryview]] = deque()
        self.socket = context.socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.setsockopt(zmq.MAXMSGSIZE, _wire.COLUMN_BYTES_MAX)
        if endpoint.startswith("tcp:"):  # a host that went without a word is found out, if nobody asks it
            self.socket.setsockopt(zmq.TCP_KEEPALIVE, 1)
            self.socket.setsockopt(zmq.HEARTBEAT_IVL, _HEARTBEAT_MS)
            self.socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, _SILENCE_MS)
        self.socket.setsockopt(zmq.IPV6, int("[" in endpoint))
        if keys is not None:
            protect_client(self.socket, *keys)
        try:
            self.monitor = self.socket.get_monitor_socket(_BROKEN | zmq.Event.HANDSHAKE_SUCCEEDED)
        except zmq.ZMQError:
            self.socket.close()
            raise
        try:
            self.socket.connect(endpoint)
        except zmq.ZMQError:
            self.close()
            raise

    def send(self, frames: Sequence[bytes | memoryview]) -> None:
        """Sends at once, or keeps the message until the peer takes more. Never blocks."""
        self._outbox.append(list(frames))
        self.flush()

    def flush(self) -> None:
        while self._outbox:
            try:
                self.socket.send_multipart(self._outbox[0], zmq.NOBLOCK)
            except zmq.Again:
                return
            self._outbox.popleft()

    @property
    def wanted(self) -> int:
        """What to poll the socket for."""
        return zmq.POLLIN | (zmq.POLLOUT if self._outbox else 0)

    def receive(self) -> list[zmq.Frame] | None:
        """The next message, None where there is none now. Frames are views into what ZeroMQ holds."""
        try:
            return self.socket.recv_multipart(zmq.NOBLOCK, copy=False)
        except zmq.Again:
            return None

    def broken(self) -> bool:
        """Reads what the monitor tells; True once the connection could not be made or is gone."""
        while True:
            try:
                frames = self.monitor.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return False
            event = parse_monitor_message(frames)["event"]
            if event & _BROKEN:
                early = self._keyed and event == zmq.Event.DISCONNECTED and not self.connected
                if early or event & _BROKEN_OFF:
                    self._turned_away(event)
                return True
            self.connected = True

    def _turned_away(self, event: int) -> None:
        self.refuses_us = event == zmq.Event.HANDSHAKE_FAILED_AUTH
        if self.refuses_us:
            self.refusal = "it refuses this key: is it in the list there, and was it revoked?"
        elif self._keyed:
            self.refusal = "it has another key than we were told, or none"
        elif self._local:
            self.refusal = "it broke the handshake off: it serves its own user, and those of security.local_uids"
        else:
            self.refusal = "it broke the handshake off: does it ask for a key? Then give keys=FOLDER"

    def close(self) -> None:
        self.socket.disable_monitor()
        self.monitor.close(linger=0)
        self.socket.close(linger=_LINGER_MS if self.connected else 0)

"""ZMTP by hand: sockets that say what no ZeroMQ would."""

from __future__ import annotations

import contextlib
import select
import socket

from windlass import _wire
from windlass._wire import Header, Message, Type

from tests.integration.support import ID

GREETING = b"\xff" + bytes(7) + b"\x01\x7f\x03\x01NULL" + bytes(48)
READY = b"\x04\x29\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER\x08Identity\x00\x00\x00\x00"
ROUTERS_READY = b"\x04\x1c\x05READY\x0bSocket-Type\x00\x00\x00\x06ROUTER"
HELLO = {"role": "client", "versions": [1, 1], "features": [], "software": "x", "pid": 1}


def bare(address: str, *first: bytes) -> socket.socket:
    """A socket that has sent these bytes."""
    if address.startswith("ipc://"):
        made = socket.socket(socket.AF_UNIX)
        made.settimeout(10)
        made.connect(address.removeprefix("ipc://"))
    else:
        host, _, port = address.removeprefix("tcp://").rpartition(":")
        made = socket.create_connection((host.strip("[]"), int(port)), timeout=10)
    with contextlib.suppress(OSError):  # it may be hung up on already, which the test finds out by reading
        for part in first:
            made.sendall(part)
    return made


def read(peer: socket.socket, size: int) -> bytes:
    got = b""
    while len(got) < size:
        more = peer.recv(size - len(got))
        if not more:
            break
        got += more
    return got


def framed(frames: list[bytes]) -> bytes:
    out = b""
    for number, frame in enumerate(frames):
        flags = (number + 1 < len(frames)) | (2 if len(frame) > 255 else 0)
        out += bytes([flags]) + len(frame).to_bytes(8 if len(frame) > 255 else 1, "big") + frame
    return out


def message(kind: Type, body: dict, request_id: bytes = ID) -> list[bytes]:
    return [bytes(frame) for frame in _wire.encode(Message(Header(kind, request_id), body))]


def ask_until_held(peer: socket.socket, most: int = 100_000) -> int:
    """Asks for the load under the ids 1, 2, ... until the daemon reads no more; answers how often."""
    asked, rest = 0, b""
    while asked < most:
        rest = rest or framed(message(Type.LOAD, {"pad": bytes(300)}, (asked + 1).to_bytes(16, "big")))
        if not select.select([], [peer], [], 2.0)[1]:
            break
        rest = rest[peer.send(rest) :]
        asked += not rest
    return asked


def answered(peer: socket.socket, count: int) -> list[bytes]:
    """The ids of the next answers."""
    ids: list[bytes] = []
    while len(ids) < count:
        flags = read(peer, 1)[0]
        size = int.from_bytes(read(peer, 8 if flags & 2 else 1), "big")
        frame = read(peer, size)
        if flags & 1:
            ids.append(_wire.decode_header(frame).id)
    return ids

"""Floods a windlassd from a process of its own: MATCH at a fixed rate, whatever comes back, by peers that know no
credits.

    python -m tests.fault.flood ADDRESS REQUESTS_PER_S SECONDS ROWS    prints one line of JSON when all is answered

Counts what was sent, answered (done, refused RESOURCE_EXHAUSTED, otherwise), answered twice, and never.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter, deque
from typing import Any

import numpy as np
import zmq
from windlass._wire import Header, Message, Type, declare, decode, decode_header, encode

PEERS = 4
ANSWER_S = 60.0  # for the last answers


def heavy(rows: int, seed: int = 1) -> tuple[dict[str, Any], list[np.ndarray]]:
    """Body and columns of a MATCH that keeps a matcher busy for a while."""
    chance = np.random.default_rng(seed)
    columns = [chance.integers(1, 2**20, rows, dtype="<i8") for _ in range(2)]
    body = {"mode": "exclusive", "policy": "best_fit", "ties": "stable", "normalize": True, "dimensions": 1}
    return body | {
        "tasks": rows,
        "offers": rows,
        "columns": declare(columns),
        "task_amounts": [0],
        "offer_amounts": [1],
    }, columns


class Flood:
    """Several DEALERs in one thread, that never wait for each other."""

    def __init__(self, address: str, rows: int) -> None:
        body, columns = heavy(rows)
        self._payload = [bytes(frame) for frame in encode(Message(Header(Type.MATCH, b"0" * 16), body, tuple(columns)))]
        self._context = zmq.Context()
        self._sockets = deque(self._context.socket(zmq.DEALER) for _ in range(PEERS))
        self._poller = zmq.Poller()
        self.sent = 0
        self.answers: Counter[bytes] = Counter()
        self.kinds: Counter[str] = Counter()
        self._known: dict[bytes, str] = {}  # by body of an ERROR, what it says
        for socket in self._sockets:
            socket.linger = 0
            socket.connect(address)
            socket.send_multipart(
                encode(Message(Header(Type.HELLO, b"h" * 16), {"role": "client", "versions": [1, 1]}))
            )
            assert decode(socket.recv_multipart()).header.type == Type.WELCOME
            self._poller.register(socket, zmq.POLLIN)

    def ask(self) -> bool:
        """One more, by the next of the peers that ZeroMQ takes one of now; False where there is none."""
        header = bytes(encode(Message(Header(Type.MATCH, self.sent.to_bytes(16, "little"))))[0])
        for _ in range(PEERS):
            self._sockets.rotate()
            try:
                self._sockets[0].send_multipart([header, *self._payload[1:]], zmq.NOBLOCK)
            except zmq.Again:
                continue
            self.sent += 1
            return True
        return False

    def listen(self, seconds: float) -> None:
        """Takes what comes until so much time is over."""
        end = time.monotonic() + seconds
        while True:
            left = end - time.monotonic()
            for socket, _ in self._poller.poll(max(left, 0) * 1000):
                self._take(socket.recv_multipart())
            if left <= 0:
                return

    def _take(self, frames: list[bytes]) -> None:
        header = decode_header(frames[0])
        self.answers[header.id] += 1
        self.kinds["done" if header.type == Type.RESULT else self._kind_of(frames)] += 1

    def _kind_of(self, frames: list[bytes]) -> str:
        kind = self._known.get(frames[1])
        if kind is None:
            body = decode(frames).body
            refused = body.get("code") == 8 and body.get("retry_after_ms", 0) > 0
            kind = self._known[frames[1]] = "refused" if refused else f"other: {body}"
        return kind

    def told(self) -> dict[str, Any]:
        twice = sum(count > 1 for count in self.answers.values())
        return {"sent": self.sent, "answered": len(self.answers), "twice": twice, **self.kinds}


def main(address: str, rate: float, seconds: float, rows: int) -> None:
    flood = Flood(address, rows)
    begun = time.monotonic()
    while (now := time.monotonic() - begun) < seconds:
        while flood.sent < now * rate and time.monotonic() - begun < seconds and flood.ask():
            pass
        flood.listen(0.002)
    end = time.monotonic() + ANSWER_S
    while len(flood.answers) < flood.sent and time.monotonic() < end:
        flood.listen(0.1)
    flood.listen(0.3)  # what should not come
    print(json.dumps(flood.told()))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))

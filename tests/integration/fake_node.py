"""A node in a thread, for what a real one does not do: late, odd and missing answers to a bridge.

`answers` overrides by message type: a callable (node, message) that sends what it likes with `node.reply`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import zmq
from windlass import _wire
from windlass._wire import Header, Message, Type

BEAT_S = 0.1
Answer = Callable[["FakeNode", Message], None]


class FakeNode:
    """One offer of so many cores. It grants whatever it is asked for; staging it leaves to `answers`."""

    def __init__(self, address: str, name: str = "n", cpu: int = 4, answers: dict[int, Answer] | None = None) -> None:
        self.name = name
        self.seen: list[Message] = []
        self.version = 0
        self._cpu = cpu
        self._answers = answers or {}
        self._incarnation = "1" * 16
        self._context = zmq.Context()
        self._dealer = self._context.socket(zmq.DEALER)
        self._dealer.linger = 0
        self._dealer.routing_id = f"{name}/{self._incarnation}".encode()
        self._dealer.connect(address)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __enter__(self) -> FakeNode:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def reply(self, to: Message, kind: Type, body: dict[str, Any]) -> None:
        self._send(kind, body, to.header.id)

    def send_raw(self, *frames: bytes) -> None:
        self._dealer.send_multipart(frames)

    def grant(self, message: Message) -> None:
        """Grants all that is asked for."""
        self.version += 1
        self.reply(message, Type.RESULT, {"version": self.version, "refused": [], "unknown": []})

    def _send(self, kind: Type, body: dict[str, Any], request_id: bytes | None = None) -> None:
        self._dealer.send_multipart(_wire.encode(Message(Header(kind, request_id or _wire.new_id()), body)))

    def _run(self) -> None:
        hello = {"role": "node", "versions": [1, 1], "features": ["grant", "credits"], "software": "fake"}
        hello |= {"name": self.name, "incarnation": self._incarnation, "labels": {}, "process": self._incarnation}
        self._send(Type.HELLO, {**hello, "credit_requests": 100, "credit_bytes": 1 << 24})
        greeted = False
        while not self._stop.is_set():
            if self._dealer.poll(int(BEAT_S * 1000)):
                message = _wire.decode(self._dealer.recv_multipart())
                self.seen.append(message)
                answer = self._answers.get(message.header.type, FakeNode._usual)
                answer(self, message)
                if message.header.type == Type.WELCOME:
                    greeted = True
                    self._report(whole=True)
            elif greeted:
                self._report()
        self._dealer.close()
        self._context.term()

    def _report(self, whole: bool = False) -> None:
        body: dict[str, Any] = {"load": {"sequence": 1}, "offers_version": 1, "grants_version": self.version}
        if whole:
            body |= {"offers": [{"name": self.name, "resources": {"cpu": self._cpu}}], "grants": []}
        self._send(Type.LOAD, body)

    def _usual(self, message: Message) -> None:
        if message.header.type == Type.GRANT:
            self.grant(message)
        elif message.header.type == Type.RELEASE:
            self.version += 1
            self.reply(message, Type.RESULT, {"version": self.version, "released": len(message.body["grants"])})

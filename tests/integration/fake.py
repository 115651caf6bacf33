"""A daemon in a thread, for faults that a real one does not have: silence, odd answers, sudden ends.

It speaks the protocol by the package's own codec; matching it leaves to `windlass.legacy`. `answers` overrides by
message type: a callable (daemon, routing, message) that sends what it likes with `daemon.send`.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import zmq
from windlass import _wire
from windlass._problem import Problem
from windlass._wire import Header, Message, Type
from windlass.legacy import place

# What a daemon of the test's does with a message.
Answer = Callable[["FakeDaemon", bytes, Message], None]


class FakeDaemon:
    """Serves from its making until `stop()`; also a context manager."""

    def __init__(self, endpoint: str, answers: dict[int, Answer] | None = None) -> None:
        self.endpoint = endpoint
        self.seen: list[Message] = []
        self.running: tuple[bytes, Message] | None = None  # the last STAGE that was accepted
        self._answers = answers or {}
        self._context = zmq.Context()
        self._router = self._context.socket(zmq.ROUTER)
        self._router.linger = 0
        self._router.bind(endpoint)
        self.endpoint = self._router.getsockopt_string(zmq.LAST_ENDPOINT)
        self._stop = threading.Event()
        self._welcomed: set[bytes] = set()
        self._posted: deque[list[Any]] = deque()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __enter__(self) -> FakeDaemon:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def forget_everybody(self) -> None:
        self._welcomed.clear()

    def kinds(self) -> list[int]:
        return [message.header.type for message in self.seen]

    def send(self, routing: bytes, message: Message) -> None:
        """From the test's thread it is left to the daemon's, whose socket it is."""
        frames = [routing, *_wire.encode(message)]
        if threading.current_thread() is self._thread:
            self._router.send_multipart(frames)
        else:
            self._posted.append(frames)

    def send_raw(self, routing: bytes, *frames: bytes) -> None:
        self._router.send_multipart([routing, *frames])

    def reply(self, routing: bytes, to: Message, kind: Type, body: dict[str, Any], columns: Any = ()) -> None:
        self.send(routing, Message(Header(kind, to.header.id), body, tuple(columns)))

    def _run(self) -> None:
        while not self._stop.is_set():
            while self._posted:
                self._router.send_multipart(self._posted.popleft())
            if self._router.poll(5):
                routing, *frames = self._router.recv_multipart()
                message = _wire.decode(frames)
                self.seen.append(message)
                self._answers.get(message.header.type, FakeDaemon._usual)(self, routing, message)
        self._router.close()
        self._context.term()

    def _usual(self, routing: bytes, message: Message) -> None:
        kind = message.header.type
        if kind == Type.HELLO:
            self._welcomed.add(routing)
            self.reply(routing, message, Type.WELCOME, {"version": 1, "name": "fake", "incarnation": "0" * 16})
        elif routing not in self._welcomed:
            self.reply(routing, message, Type.ERROR, {"code": 9, "message": "say HELLO first", "retryable": False})
        elif kind == Type.MATCH:
            body, columns = answer_to_match(message)
            self.reply(routing, message, Type.RESULT, body, columns)
        elif kind == Type.LOAD:
            self.reply(routing, message, Type.RESULT, {"load": {"sequence": 7, "age_seconds": 0.5}})


def problem_of(message: Message) -> Problem:
    """The Problem that a MATCH without constraints asks for."""
    body, columns = message.body, message.columns
    column = lambda number: None if number is None else columns[number]  # noqa: E731
    return Problem(
        mode=body["mode"],
        policy=body["policy"],
        ties=body["ties"],
        normalize=body["normalize"],
        tasks=body["tasks"],
        offers=body["offers"],
        dimensions=[str(d) for d in range(body["dimensions"])],
        task_amounts=[column(n) for n in body["task_amounts"]],
        offer_amounts=[column(n) for n in body["offer_amounts"]],
        weights=body["weights"],
        scale=body["scale"],
        max_score=body.get("max_score"),
        max_price=body.get("max_price"),
        priority=column(body.get("priority")),
        price=column(body.get("price")),
    )


def answer_to_match(message: Message) -> tuple[dict[str, Any], list[np.ndarray]]:
    """Body and columns of the RESULT, by `windlass.legacy`."""
    placement = place(problem_of(message))
    names = ["offer_index", "order", "score_high", "score_low"]
    columns = [getattr(placement, name) for name in names]
    body: dict[str, Any] = {name: number for number, name in enumerate(names)}
    if placement.price_added is not None:
        body["price_added"] = len(columns)
        columns.append(placement.price_added)
    body |= {"placed": int((placement.offer_index >= 0).sum()), "engine": "fake", "columns": _wire.declare(columns)}
    return body, columns


# ---- Answers that several tests use --------------------------------------------------------------------------------


def silent(*_: object) -> None:
    """An answer that never comes."""


def refusing(code: int, message: str = "no", **fields: object) -> Answer:
    """Answers ERROR."""

    def answer(daemon: FakeDaemon, routing: bytes, request: Message) -> None:
        body = {"code": code, "message": message, "retryable": False, **fields}
        daemon.reply(routing, request, Type.ERROR, body)

    return answer


def accepting(then: Answer | None = None) -> Answer:
    """Accepts each STAGE, and leaves it running unless `then` says more."""

    def answer(daemon: FakeDaemon, routing: bytes, request: Message) -> None:
        daemon.running = (routing, request)
        daemon.reply(routing, request, Type.PROGRESS, {"bytes": 0, "bytes_total": 10, "files": 0, "files_total": 1})
        if then is not None:
            then(daemon, routing, request)

    return answer


def end_of(state: str, **fields: object) -> dict[str, Any]:
    """The body of a STAGE's RESULT."""
    return {"seconds": 0.1, "transfers": [{"state": state, "bytes": 10, "files": 1, "engine": "threads", **fields}]}


def done(daemon: FakeDaemon, routing: bytes, request: Message) -> None:
    """Ends a STAGE well."""
    daemon.reply(routing, request, Type.PROGRESS, {"bytes": 10, "bytes_total": 10, "files": 1, "files_total": 1})
    daemon.reply(routing, request, Type.RESULT, end_of("done"))


def cancelled(daemon: FakeDaemon, routing: bytes, request: Message) -> None:
    """Answers a CANCEL, and ends the STAGE that runs."""
    daemon.reply(routing, request, Type.RESULT, {"cancelled": True})
    assert daemon.running is not None
    daemon.reply(*daemon.running, Type.RESULT, end_of("cancelled", bytes=0, files=0))

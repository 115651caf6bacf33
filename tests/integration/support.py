"""What the tests of this folder share: waiting by polling, problems to match, what a process holds."""

from __future__ import annotations

import os
import random
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgpack
import windlass
import zmq
from windlass import _wire
from windlass._wire import Header, Message, Type

T = TypeVar("T")
SANITIZED = "san" in os.environ.get("WINDLASSD", "")  # a sanitizer keeps what is freed
ID = bytes(range(16))
BODIES: list[dict[str, Any]] = [
    {"columns": [["i8", 1]], "tasks": 1, "offers": 1, "dimensions": 1, "task_amounts": [0], "offer_amounts": [0]},
    {"transfers": [{"source": b"/a", "target": b"/b"}], "detach": False},
    {"request": ID},
    {"role": "client", "versions": [1, 1]},
    {"role": "node", "versions": [1, 1], "name": "x", "incarnation": "0" * 16, "labels": {}},
    {"load": {"sequence": 1, "draining": True}, "offers": [{"name": "x"}, 7]},
]


def resident(pid: int | str) -> int:
    """Bytes of memory that the process has in use."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def metric(node: windlass.LocalNode, line: str) -> float:
    """What `/metrics` says of it, 0 where it says nothing."""
    with urllib.request.urlopen(f"{node.http_url}/metrics", timeout=5) as page:
        for row in page.read().decode().splitlines():
            if row.startswith(f"{line} "):
                return float(row.rpartition(" ")[2])
    return 0.0


def eventually(look: Callable[[], T], timeout: float = 10.0, what: str = "") -> T:
    """Looks until the answer is true, and answers it; fails after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() >= deadline:
            raise AssertionError(f"{what or look} did not come true within {timeout} s; last: {found!r}")
        time.sleep(0.005)


def problem(tasks: int, offers: int, seed: int = 1) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Tasks and offers of two dimensions, drawn from the seed."""
    chance = random.Random(seed)

    def rows(count: int, name: str, top: int) -> list[dict[str, Any]]:
        return [
            {
                "name": f"{name}-{row}",
                "resources": {"cpu": chance.randrange(1, top) / 4, "memory": chance.randrange(1, top)},
            }
            for row in range(count)
        ]

    made = rows(tasks, "task", 40)
    for task in made:
        task["priority"] = chance.randrange(3)
    return made, rows(offers, "offer", 64)


def same(one: windlass.MatchResult, other: windlass.MatchResult, tasks: list[dict[str, Any]]) -> bool:
    """The same assignments in the same order, with the same scores."""
    return (
        list(one.assignments.items()) == list(other.assignments.items())
        and one.unmatched == other.unmatched
        and all(one.score(task["name"]) == other.score(task["name"]) for task in tasks)
    )


def fallbacks(kind: str = "match") -> int:
    return windlass.stats()["fallbacks"][kind]


def held() -> tuple[int, int]:
    """Descriptors and threads (the kernel's count) of this process."""
    return len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))


def own_threads() -> list[str]:
    """Names of threads that are ours."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("windlass")]


class Raw:
    """A DEALER that sends what it likes."""

    def __init__(self, address: str, routing_id: bytes | None = None) -> None:
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.linger = 200
        if routing_id is not None:
            self._socket.routing_id = routing_id
        self._socket.connect(address)

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self._context.term()

    def send(self, *frames: bytes) -> None:
        self._socket.send_multipart(frames)

    def ask(self, kind: int, body: dict, request_id: bytes = ID) -> Message | None:
        self.send(*_wire.encode(Message(Header(kind, request_id), body)))
        return self.answer()

    def answer(self, timeout: float = 2.0) -> Message | None:
        if not self._socket.poll(int(timeout * 1000)):
            return None
        return _wire.decode(self._socket.recv_multipart())

    def hello(self) -> Message | None:
        return self.ask(Type.HELLO, {"role": "client", "versions": [1, 1], "features": [], "software": "x", "pid": 1})


def random_frames(chance: random.Random) -> list[bytes]:
    """A message with something wrong, as a rule."""
    kind = chance.choice([1, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13, 200])
    frames = [
        bytearray(msgpack.packb({"v": 1, "t": kind, "id": chance.randbytes(16), "dl": chance.randrange(2**40)})),
        bytearray(msgpack.packb(chance.choice(BODIES))),
        *(bytearray(chance.randbytes(chance.randrange(17))) for _ in range(chance.randrange(3))),
    ]
    for _ in range(chance.randrange(4)):
        frame = chance.choice(frames)
        if frame:
            frame[chance.randrange(len(frame))] = chance.randrange(256)
    return [bytes(frame) for frame in frames[: chance.randrange(1, len(frames) + 1)]]

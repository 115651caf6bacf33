"""A bridge's decisions with their time, without socket or clock: the test is its nodes and its thread."""

from __future__ import annotations

from windlass import WindlassError
from windlass._bridge_core import BridgeCore
from windlass._requests import Request
from windlass._wire import Header, Message, Type

ID = bytes(range(16))
OTHER = bytes(range(16, 32))


class World:
    """A core with its time; one `step` is what the bridge's thread does in a turn."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.core = BridgeCore(beat=1.0, suspect_after=3.0, dead_after=10.0, now=self.now)
        self.left: list[tuple[bytes, bytes]] = []  # STAGE calls that went out: to whom, and what

    def send(self, routing: bytes, kind: Type, body: dict | None = None, request_id: bytes = ID) -> list[Message]:
        sent = self.core.handle(routing, Message(Header(kind, request_id), body or {}), self.now)
        assert all(to == routing for to, _ in sent)
        return [message for _, message in sent]

    def hello(self, name: str, incarnation: str = "1" * 16, **fields: object) -> Message:
        body = {"role": "node", "versions": [1, 1], "name": name, "incarnation": incarnation, "labels": {"zone": "a"}}
        (answer,) = self.send(f"{name}/{incarnation}".encode(), Type.HELLO, {**body, "software": "w 1", **fields})
        return answer

    def load(self, name: str, incarnation: str = "1" * 16, **fields: object) -> Message:
        body = {"load": {"sequence": 3, "cores": 2.0}, "offers_version": 1, **fields}
        (answer,) = self.send(f"{name}/{incarnation}".encode(), Type.LOAD, body)
        return answer

    def pass_time(self, seconds: float, step: float = 0.25, drained: bool = True) -> None:
        end = self.now + seconds
        while self.now < end:
            self.now += step
            self.core.tick(self.now, drained)

    def stall(self, seconds: float) -> None:
        """The thread does not run for so long, then looks at the clock."""
        self.now += seconds
        self.core.tick(self.now, True)

    def state(self, name: str) -> str:
        return self.core.nodes.snapshot()[name].state

    def stage(self, routing: bytes, request_id: bytes = ID) -> Ends:
        """Hands one over for the node; it leaves where the node takes it."""
        ends = Ends()
        node = routing.rpartition(b"/")[0].decode()
        request = Request(request_id, Type.STAGE, {}, (), ends, None, lasting=True)
        error = self.core.submit(node, request, self.now)
        if error is not None:
            self.core.end(request_id, error)
        self.left += self.leave()
        self.tell()
        return ends

    def leave(self) -> list[tuple[bytes, bytes]]:
        """What may go out goes: to whom, and what."""
        gone = []
        while (bulk := self.core.flow.next()) is not None:
            self.core.sent(bulk.request, bulk.routing, self.now)
            gone.append((bulk.routing, bulk.request.id))
        return gone

    def tell(self) -> None:
        while self.core.untold:
            self.core.untold.pop(0)()


class Ends:
    """A sink that counts its ends."""

    def __init__(self) -> None:
        self.results: list[Message] = []
        self.errors: list[WindlassError] = []
        self.progress: list[dict] = []

    def going_out(self) -> None: ...

    def closing(self) -> None: ...

    def advance(self, body: dict) -> None:
        self.progress.append(body)

    def finish(self, message: Message) -> None:
        self.results.append(message)

    def fail(self, error: WindlassError) -> None:
        self.errors.append(error)

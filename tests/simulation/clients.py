"""Local clients of one daemon as the world plays them: they ask, repeat, cancel (also before they ask), vanish."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgpack

from .world import MS, SECOND, World

if TYPE_CHECKING:
    from .node import Node

HELLO, WELCOME, MATCH, STAGE, PROGRESS, CANCEL, RESULT, ERROR, BYE, SESSION = 1, 2, 4, 5, 6, 7, 8, 9, 11, 15
DEADLINE_EXCEEDED, NOT_FOUND, RESOURCE_EXHAUSTED, FAILED_PRECONDITION, UNAVAILABLE = 4, 5, 8, 9, 14
HELLO_BODY = msgpack.packb({"role": "client", "versions": [1, 1], "features": [], "software": "sim", "pid": 1})
MATCH_BODY = msgpack.packb(
    {
        "mode": "exclusive",
        "policy": "best_fit",
        "ties": "stable",
        "normalize": True,
        "tasks": 1,
        "offers": 1,
        "dimensions": 0,
        "task_amounts": [],
        "offer_amounts": [],
        "columns": [],
    }
)
OPEN_BODY = msgpack.packb({"op": "open"})
EMPTY = msgpack.packb({})
KEPT = 50 * SECOND  # the daemon keeps answers for 60 s; what is on its way counts, too


@dataclass
class Call:
    id: bytes
    kind: int
    frames: list[bytes]
    asked_at: int
    answer: tuple[int, bytes] | None = None  # the terminal one: type and body
    answered_at: int = 0
    life: int = 0  # of the daemon that gave it
    fleeting: bool = False
    refused: bool = False  # once; what came later may have been done before it
    session: int | None = None  # of a SESSION "change"


def header(kind: int, request_id: bytes, **more: Any) -> bytes:
    return msgpack.packb({"v": 1, "t": kind, "id": request_id, **more})  # type: ignore[no-any-return]


@dataclass
class Client:
    world: World
    node: Node
    route: bytes
    calls: dict[bytes, Call] = field(default_factory=dict)
    cancels: dict[bytes, bytes] = field(default_factory=dict)  # id of a CANCEL: what it names
    welcomed: bool = False
    gone: bool = False
    hello_at: int = 0
    credits: int = 0  # as WELCOME told
    sessions: list[int] = field(default_factory=list)
    offers: int = 0  # added so far, which numbers them
    versions: dict[bytes, tuple[int, int]] = field(default_factory=dict)  # of each change: session, version

    def send(self, *frames: bytes) -> None:
        if not self.gone:
            delay = self.world.between(1, 300)
            self.world.after(delay, self.node.from_client, self.route, list(frames), self.node.life)

    def hello(self) -> None:
        self.hello_at = self.world.now
        self.send(header(HELLO, self.world.bytes(16)), HELLO_BODY)

    # ---- What it does ------------------------------------------------------------------------------------------------

    def ask(self) -> Call:
        chance = self.world.chance
        kind = chance.choice([MATCH, STAGE, STAGE, SESSION])
        request_id = self.world.bytes(16)
        more = {"dl": chance.choice([0, 1, 30, 1000, 8000])} if chance.random() < 0.3 else {}
        body = MATCH_BODY
        if kind == STAGE:
            mark = request_id.hex()
            transfer = {"source": f"/from/{mark}".encode(), "target": f"/to/{mark}".encode()}
            body = msgpack.packb({"transfers": [transfer], "detach": chance.random() < 0.3})
        call = Call(request_id, kind, [header(kind, request_id, **more), body], self.world.now)
        if kind == SESSION:
            self._about_session(call)
        self.calls[request_id] = call
        if chance.random() < 0.15:  # its CANCEL overtakes it
            self.cancel(call)
            if chance.random() < 0.5:
                self.world.after(self.world.between(1, 2 * SECOND), self.repeat, call)
                return call
        self.repeat(call)
        return call

    def _about_session(self, call: Call) -> None:
        """Opens one, or adds an offer to one."""
        if not self.sessions or self.world.chance.random() < 0.2:
            call.frames[1] = OPEN_BODY
            return
        call.session = self.world.chance.choice(self.sessions[-2:])
        self.offers += 1
        columns = [["i8", 1], ["i8", 1]]
        body = {"op": "change", "session": call.session, "adds": 1, "dimensions": 1, "columns": columns}
        call.frames[1] = msgpack.packb({**body, "offer_amounts": [0], "offer_numbers": 1})
        call.frames += [(5).to_bytes(8, "little"), self.offers.to_bytes(8, "little")]

    def spend(self, count: int) -> list[Call]:
        """Asks for so many matches at once, which arrive in order before any of them begins."""
        calls = []
        for _ in range(count):
            request_id = self.world.bytes(16)
            call = Call(request_id, MATCH, [header(MATCH, request_id), MATCH_BODY], self.world.now)
            self.calls[request_id] = call
            self.world.after(300, self.node.from_client, self.route, call.frames, self.node.life)
            calls.append(call)
        return calls

    def repeat(self, call: Call) -> None:
        self.send(*call.frames)

    def cancel(self, call: Call) -> None:
        cancel_id = self.world.bytes(16)
        self.cancels[cancel_id] = call.id
        self.send(header(CANCEL, cancel_id), msgpack.packb({"request": call.id}))

    def act(self) -> None:
        """One thing at random, then again after a while."""
        chance = self.world.chance
        open_calls = [call for call in self.calls.values() if call.answer is None]
        known = list(self.calls.values())
        what = chance.random()
        if what < 0.4 or not known:
            self.ask()
        elif what < 0.6:
            self.repeat(chance.choice(known))
        elif what < 0.75 and open_calls:
            self.cancel(chance.choice(open_calls))
        elif what < 0.85:
            self.send(header(PROGRESS, chance.choice(known).id), EMPTY)
        elif what < 0.9:
            self.send(header(BYE, self.world.bytes(16)), EMPTY)
        elif what < 0.95:
            self._reach(chance.choice([1, 2]))
            self.world.after(self.world.between(1, 3 * SECOND), self._reach, 0)

    def _reach(self, how: int) -> None:
        """Its queue is full, or it is gone, or neither, as the daemon's socket finds."""
        if not self.node.daemon:
            return
        self.world.note(f"{self.route.decode()} can be reached: {how}")
        self.node.library.reach(self.node.daemon, self.route, len(self.route), how)
        if how == 2:
            self.node.hung_up(self)

    def settle(self) -> None:
        """Asks again for all that has no answer; to be called as often as it takes."""
        self._reach(0)
        for call in self.calls.values():
            if call.answer is None:
                self.repeat(call)

    def open(self) -> list[str]:
        return [call.id.hex() for call in self.calls.values() if call.answer is None]

    # ---- What it is told ---------------------------------------------------------------------------------------------

    def receive(self, head: dict[str, Any], frames: list[bytes], life: int) -> None:
        if self.gone:
            return
        kind = head["t"]
        self.world.note(f"{self.route.decode()} <- {kind} {head['id'].hex()}", *frames)
        if kind == WELCOME:
            self.welcomed = True
            self.credits = msgpack.unpackb(frames[1])["credit_requests"]
            return
        if kind not in (RESULT, ERROR):
            return
        call = self.calls.get(head["id"])
        body = msgpack.unpackb(frames[1])
        if kind == ERROR and body["message"] == "say HELLO first":
            if self.world.now - self.hello_at > 10 * MS:
                self.hello()
            if call is not None and call.answer is None:
                call.refused = True
                self.world.after(20 * MS, self.repeat, call)
            return
        if call is not None:
            self._answered(call, kind, frames[1], body, life)

    def _answered(self, call: Call, kind: int, raw: bytes, body: dict[str, Any], life: int) -> None:
        if kind == ERROR and body["code"] in (RESOURCE_EXHAUSTED, UNAVAILABLE):
            call.refused = True  # nothing was begun: to be asked again
            return
        if kind == ERROR and body["code"] == NOT_FOUND and "began anew" not in body["message"]:
            return  # of a PROGRESS that came before its request
        if kind == ERROR and body["code"] == DEADLINE_EXCEEDED and "on arrival" in body["message"]:
            call.fleeting = True  # nothing was begun, so nothing is kept: what comes now may be another answer
        if kind == ERROR and body["code"] == FAILED_PRECONDITION:
            call.fleeting = True  # its session is gone
        if kind == RESULT and call.kind == SESSION:
            self._about_version(call, body)
        if kind == RESULT and call.kind == STAGE:
            transfer = body["transfers"][0]
            self.world.demand(transfer["checksum"] == call.id.hex(), f"a request has its own answer: {call.id.hex()}")
            if transfer["state"] == "done":
                self.world.demand(
                    call.id.hex() in self.node.files,
                    f"no acknowledged file is missing: {call.id.hex()} at {self.node.name}",
                )
        if call.answer is None:
            call.answer, call.answered_at, call.life = (kind, raw), self.world.now, life
            return
        fresh = not call.fleeting and life == call.life and self.world.now - call.answered_at < KEPT
        self.world.demand(
            not fresh or call.answer == (kind, raw),
            f"the same id, the same answer: {call.id.hex()} was answered {call.answer} and then {(kind, raw)}",
        )

    def _about_version(self, call: Call, body: dict[str, Any]) -> None:
        if call.session is None:
            if body["session"] not in self.sessions:
                self.sessions.append(body["session"])
            return
        told = (call.session, body["version"])
        self.world.demand(
            self.versions.setdefault(call.id, told) == told and list(self.versions.values()).count(told) == 1,
            f"each change of a session is done once: {call.id.hex()} led to {told}",
        )
        order = self.node.arrived
        earlier = [
            version
            for other, (number, version) in self.versions.items()
            if number == call.session and order[other] < order[call.id] and not self.calls[other].refused
        ]
        self.world.demand(
            call.refused or all(version < body["version"] for version in earlier),
            "requests of one session are done in their order",
        )

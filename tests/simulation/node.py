"""One node: a process that may die, its daemon's decisions, its engines, and a disk that outlives the process."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import msgpack

from .ledger import GRANT, RELEASE, Ledger
from .native import Library, pack
from .world import MS, SECOND, World

if TYPE_CHECKING:
    from .bridge import BridgeProcess
    from .clients import Client

MATCH_RESULT = msgpack.packb({"placed": 0, "engine": "scalar", "columns": []})
ANSWER_KEPT = 60 * SECOND
HELLO, LOAD, RESULT = 1, 3, 8
UNITS = 10_000  # of one
GRANTS_KEY = msgpack.packb("grants")


def report_of(state: str, mark: str) -> bytes:
    """The body of a STAGE's RESULT; `checksum` tells whose report it is."""
    error = None
    if state != "done":
        error = {"code": 1 if state == "cancelled" else 13, "message": state, "source": b"", "target": b""}
        error.update({"retryable": False, "failures": [], "failure_count": 0})
    transfer = {"state": state, "bytes": 1, "files": 1, "seconds": 0.0, "checksum": mark, "engine": "threads"}
    transfer.update({"resumed_bytes": 0, "from_cache": False, "retries": 0, "error": error, "file_checksums": None})
    return msgpack.packb({"seconds": 0.0, "transfers": [transfer]})


def is_cancelled(body: bytes) -> bool:
    """Of the RESULT of a CANCEL."""
    return msgpack.unpackb(body).get("cancelled") is True


@dataclass
class Begun:
    """That a request's work has begun once; what it takes to know that it must not again."""

    life: int
    at: int
    recorded: bool  # in the file of ends, and no power was lost since
    ended: int | None = None


@dataclass
class Node:
    world: World
    library: Library
    name: str
    ends: str | None
    bridge: BridgeProcess = field(init=False)
    clients: dict[bytes, Client] = field(default_factory=dict)
    daemon: int = 0
    life: int = 0
    incarnation: bytes = b""
    files: set[str] = field(default_factory=set)  # staged, and synced
    begun: dict[str, Begun] = field(default_factory=dict)
    running: dict[int, str] = field(default_factory=dict)  # tag: id in hex
    cancelled: dict[str, int] = field(default_factory=dict)  # by id: when a CANCEL was told "true" in this life
    deadlines: dict[bytes, int] = field(default_factory=dict)
    arrived: dict[bytes, int] = field(default_factory=dict)  # requests of clients, in the order of their first coming
    greeted: set[bytes] = field(default_factory=set)  # routes of clients that said HELLO and did not hang up since
    cores: int = 0
    version: int = 0  # of the offers
    epoch: int = 0  # the version with which its offer last changed
    ledger: Ledger = field(init=False)
    _turn_at: int = 0

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.world, self.name)

    # ---- The process -------------------------------------------------------------------------------------------------

    def start(self) -> None:
        if self.daemon:
            return
        self.life += 1
        self.world.note(f"{self.name} starts")
        seed = self.world.chance.getrandbits(64)
        daemon = self.library.start(
            self.name.encode(), seed, self.world.now, self.ends.encode() if self.ends is not None else None
        )
        self.world.demand(bool(daemon), "a daemon starts with whatever its file of ends holds")
        self.daemon = daemon
        self.offer()
        self._turn_at = self.world.now
        self._turn(self.life)

    def offer(self) -> None:
        """It has so much to offer from now on."""
        if not self.daemon:
            return
        before, self.cores = self.cores, self.world.chance.randint(1, 8)
        record = msgpack.packb({"name": self.name, "resources": {"cpu": float(self.cores)}})
        self.version = self.library.offer(self.daemon, record, len(record))
        if self.version == 1 or self.cores != before:
            self.epoch = self.version
        self.world.note(f"{self.name} offers {self.cores} cores, version {self.version}")

    def fill_queue(self, full: bool) -> None:
        """Nothing more goes into its queue to the bridge, or something does again."""
        if self.daemon:
            self.world.note(f"{self.name}'s queue to the bridge is {'full' if full else 'free'}")
            self.library.reach_bridge(self.daemon, int(full))

    def unlink(self) -> None:
        """Its connection to the bridge breaks."""
        if self.daemon:
            self.world.note(f"the connection of {self.name} breaks")
            self._call(self.library.unlink, self.world.now)

    def kill(self, power_lost: bool = False) -> None:
        if not self.daemon:
            return
        self.world.note(f"{self.name} {'loses power' if power_lost else 'is killed'}")
        self.library.kill(self.daemon)
        self.daemon = 0
        self.running.clear()
        self.cancelled.clear()
        self.deadlines.clear()
        self.greeted.clear()
        self.ledger.clear()
        self.bridge.connection_lost(self)
        if power_lost and self.ends is not None and os.path.exists(self.ends):
            size = os.path.getsize(self.ends)
            os.truncate(self.ends, self.world.chance.randint(0, size))
            for begun in self.begun.values():
                begun.recorded = False

    def terminate(self) -> None:
        """SIGTERM, and its end at once."""
        if not self.daemon:
            return
        self.world.note(f"{self.name} drains and ends")
        self._call(self.library.drain, self.world.now)
        self._call(self.library.end, self.world.now)
        self.kill()

    # ---- What it is told ---------------------------------------------------------------------------------------------

    def from_client(self, route: bytes, frames: list[bytes], life: int) -> None:
        if not self._lives(life):
            return
        self.world.note(f"{self.name} <- {route.decode()}", *frames)
        header = msgpack.unpackb(frames[0])
        self.arrived.setdefault(header["id"], len(self.arrived))
        if header["t"] == HELLO:
            self.greeted.add(route)
        if "dl" in header:
            self.deadlines[header["id"]] = self.world.now + header["dl"] * MS
        message = pack(frames)
        self._call(self.library.local, route, len(route), message, len(message), self.world.now)

    def hung_up(self, client: Client) -> None:
        """A client's connection ends, and the next one is a stranger's until its HELLO."""
        self.greeted.discard(client.route)
        self.library.hung_up(self.daemon, client.route, len(client.route))
        known = self.library.kept(self.daemon, 2)
        self.world.demand(
            known <= len(self.greeted),
            f"who hangs up is forgotten: {self.name} knows {known} clients, {len(self.greeted)} of which are there",
        )

    def from_bridge(self, header: dict[str, Any], frames: list[bytes], life: int, incarnation: bytes) -> None:
        if not self._lives(life) or incarnation != self.incarnation:
            return
        self.world.note(f"{self.name} <- bridge", *frames)
        if header["t"] in (GRANT, RELEASE):
            epochs = range(self.epoch, self.version + 1)
            self.ledger.asked(header["t"], header["id"], frames[1], self.cores * UNITS, epochs)
        message = pack(frames)
        self._call(self.library.bridge, message, len(message), self.world.now)

    def _call(self, function: Callable[..., int], *arguments: Any) -> None:
        """Calls the daemon, does what it wishes, and sees to it that it is called when it wants to be."""
        size = function(self.daemon, *arguments)
        told = self.library.told
        due = told.due
        if size:
            disk_works = told.disk_works
            for kind, first, second in self.library.events(size):
                self._EVENTS[kind](self, first, second, disk_works)
        if due < self.world.now:
            due = self.world.now
        if due < self._turn_at:
            self._turn_at = due
            self.world.at(due, self._turn, self.life)

    def _lives(self, life: int) -> bool:
        return self.daemon != 0 and life == self.life

    def _turn(self, life: int) -> None:
        now = self.world.now
        if now < self._turn_at or not self._lives(life):
            return
        self._turn_at = now + 3600 * SECOND
        self._call(self.library.turn, now)

    def wake(self) -> None:
        """An engine rang: the daemon turns soon."""
        self._turn_at = min(self._turn_at, self.world.now + MS)
        self.world.at(self.world.now + MS, self._turn, self.life)

    # ---- What it wishes ----------------------------------------------------------------------------------------------

    def _dial(self, incarnation: bytes, _: bytes, __: bool) -> None:
        self.bridge.connection_lost(self)
        self.incarnation = incarnation
        self.world.note(f"{self.name} dials as {incarnation.decode()}")

    def _hang_up(self, _: bytes, __: bytes, ___: bool) -> None:
        self.bridge.connection_lost(self)
        self.incarnation = b""

    def _to_bridge(self, _: bytes, frames: list[bytes], __: bool) -> None:
        header = msgpack.unpackb(frames[0])
        if header["t"] == RESULT:
            self.ledger.answered(header["id"], frames[1])
        elif header["t"] == LOAD and GRANTS_KEY in frames[1]:  # most have no list of them
            listed = msgpack.unpackb(frames[1], strict_map_key=False).get("grants")
            if listed is not None:
                self.ledger.reported(listed)
        self.bridge.carry_up(self, header, frames)

    def _to_client(self, route: bytes, frames: list[bytes], _: bool) -> None:
        client = self.clients.get(route)
        header = msgpack.unpackb(frames[0])
        if client is None:
            return
        if header["t"] == RESULT and header["id"] in client.cancels and is_cancelled(frames[1]):
            self.note_cancelled(client.cancels[header["id"]])
        self.world.after(self.world.between(1, 300), client.receive, header, frames, self.life)

    def note_cancelled(self, request: bytes) -> None:
        """A CANCEL of it was answered "true"."""
        self.cancelled.setdefault(request.hex(), self.world.now)

    def _may_begin(self, request: str, what: str) -> None:
        cancelled = self.cancelled.get(request)
        self.world.demand(
            cancelled is None or self.world.now - cancelled > ANSWER_KEPT,
            f"what was cancelled does not begin: {what} {request} at {self.name}",
        )

    def _stage_begins(self, tag: bytes, body: bytes, disk_works: bool) -> None:
        request = msgpack.unpackb(body)["transfers"][0]["source"].decode().removeprefix("/from/")
        self.world.note(f"{self.name} begins STAGE {request}")
        self._may_begin(request, "STAGE")
        before = self.begun.get(request)
        if before is not None:
            again = before.life == self.life and before.ended is not None and self._forgotten(before.ended)
            self.world.demand(
                again or (before.life != self.life and not before.recorded),
                f"nobody restarts a transfer unasked: STAGE {request} began twice at {self.name}",
            )
        recorded = disk_works and self.ends is not None
        self.begun[request] = Begun(self.life, self.world.now, recorded)
        self.running[int(tag)] = request
        lasts = self.world.chance.choice([5, 50, 500, 3000, 9000]) * MS
        self.world.after(self.world.between(1, lasts), self._stage_ends, int(tag), self.life, None)

    def _forgotten(self, when: int) -> bool:
        return self.world.now - when >= ANSWER_KEPT

    def _stage_cancelled(self, tag: bytes, _: bytes, __: bool) -> None:
        # The copy may be through before it hears of that.
        state = self.world.chance.choice(["cancelled", "cancelled", "done"])
        self.world.after(self.world.between(1, 100 * MS), self._stage_ends, int(tag), self.life, state)

    def _stage_ends(self, tag: int, life: int, state: str | None) -> None:
        if not self._lives(life) or tag not in self.running:
            return
        request = self.running.pop(tag)
        state = state or self.world.chance.choice(["done"] * 5 + ["failed"])
        self.world.note(f"{self.name} ends STAGE {request} {state}")
        if state == "done":
            self.files.add(request)
        self.begun[request].ended = self.world.now
        report = report_of(state, request)
        self.world.demand(
            self.library.end_stage(self.daemon, tag, report, len(report)), "a transfer that runs is known to the daemon"
        )
        self.wake()

    def _match_waits(self, request: bytes, _: bytes, __: bool) -> None:
        lasts = self.world.chance.choice([1, 20, 400, 4000]) * MS
        self.world.after(self.world.between(1, lasts), self._match_runs, request, self.life)

    def _match_runs(self, request: bytes, life: int) -> None:
        if not self._lives(life):
            return
        how = self.library.run_match(self.daemon, request, self.world.now)
        self.world.note(f"{self.name} takes MATCH {request.hex()}: {how}")
        if how != 1:
            self.wake()
            return
        self._may_begin(request.hex(), "MATCH")
        deadline = self.deadlines.get(request)
        self.world.demand(
            deadline is None or self.world.now < deadline + 2 * MS,
            f"expired work never begins: MATCH {request.hex()} at {self.name}",
        )
        self.world.after(self.world.between(1, 200 * MS), self._match_ends, request, life)

    def _match_ends(self, request: bytes, life: int) -> None:
        if not self._lives(life):
            return
        self.library.end_match(self.daemon, request, MATCH_RESULT, len(MATCH_RESULT))
        self.wake()

    def _registered(self, incarnation: bytes, _: bytes, __: bool) -> None:
        self.world.note(f"{self.name} is registered as {incarnation.decode()}")

    def _told(self, first: bytes, _: bytes, __: bool) -> None:
        self.world.note(f"{self.name}: {first.decode(errors='replace')}")

    _EVENTS: ClassVar = {
        ord("D"): _dial,
        ord("H"): _hang_up,
        ord("B"): _to_bridge,
        ord("L"): _to_client,
        ord("S"): _stage_begins,
        ord("C"): _stage_cancelled,
        ord("M"): _match_waits,
        ord("+"): _registered,
        ord("?"): _told,
        ord("!"): _told,
    }

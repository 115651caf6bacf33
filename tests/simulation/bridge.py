"""The scheduler's process: the real BridgeThread and BridgeCore on the world's clock, with a ROUTER that the world is.

What the thread would do in its loop (take commands, read, look at the clock, send) it does here when the world says so.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

import msgpack
import zmq
from windlass import _bridge_core, _bridge_thread, _grants, _wire
from windlass._bridge_core import BridgeCore
from windlass._bridge_thread import BridgeThread
from windlass._door import Door
from windlass._errors import WindlassError
from windlass._grant import Grant, Phase
from windlass._nodes import State
from windlass._requests import Request
from windlass._wire import Message, Type

from .node import UNITS, is_cancelled
from .world import MS, SECOND, Weather, World

if TYPE_CHECKING:
    from .node import Node

BEAT, SUSPECT, DEAD = 1.0, 3.0, 10.0
LEASE, LONG_LEASE = 8.0, 30.0
POLL = 250 * MS
STAGE, PROGRESS, CANCEL, RESULT, ERROR, BYE = 5, 6, 7, 8, 9, 11
CREDITS = 3  # what a simulated node tells in its HELLO
CREDIT_LOST = 60 * SECOND


IS_DEAD = State.DEAD  # an attribute is found sooner here than in an Enum
NOTHING_NOW = zmq.Again()  # making one takes longer than reading a message does


class Frame:
    """As much of a zmq.Frame as the thread looks at."""

    __slots__ = ("buffer", "bytes")

    def __init__(self, data: bytes) -> None:
        self.bytes = data
        self.buffer = data


class Mail(NamedTuple):
    header: dict[str, Any]
    frames: list[bytes]  # with the route


class Router:
    """As much of a ROUTER as the thread uses; the network behind it is the world's."""

    def __init__(self, process: BridgeProcess, inbox: deque[Mail]) -> None:
        self._process = process
        self._inbox = inbox

    def recv_multipart(self, flags: int, copy: bool = True) -> list[Frame]:
        if not self._inbox:
            raise NOTHING_NOW.with_traceback(None)
        mail = self._inbox.popleft()
        self._process.read(mail)
        return [Frame(frame) for frame in mail.frames]

    def send_multipart(self, frames: list[Any], flags: int) -> None:
        self._process.carry_down(bytes(frames[0]), [bytes(frame) for frame in frames[1:]])


class Thread(BridgeThread):
    """Without its thread, its socket and its clock."""

    def __init__(self, core: BridgeCore, process: BridgeProcess) -> None:
        self.core = core
        self.lock = threading.Lock()
        self.inbox: deque[Mail] = deque()
        self._router = Router(process, self.inbox)  # type: ignore[assignment]
        self._door = Door()
        self._close_by = None


class Caller:
    """Who asked the bridge for a STAGE, and is told its end once."""

    def __init__(self, world: World, node: Node, request: str) -> None:
        self._world = world
        self.node = node
        self.request = request
        self.begun_at = world.now
        self.ends = 0
        self.outcome = ""

    def going_out(self) -> None: ...

    def closing(self) -> None: ...

    def advance(self, body: dict[str, Any]) -> None:
        self._world.demand(self.ends == 0, f"no progress after the end: {self.request}")

    def finish(self, message: Message) -> None:
        transfer = message.body["transfers"][0]
        self._end(transfer["state"])
        self._world.demand(transfer["checksum"] == self.request, f"a request has its own answer: {self.request}")
        if transfer["state"] == "done":
            self._world.demand(
                self.request in self.node.files, f"no acknowledged file is missing: {self.request} at {self.node.name}"
            )

    def fail(self, error: WindlassError) -> None:
        self._end(f"{type(error).__name__}: {error}")

    def _end(self, outcome: str) -> None:
        self.ends += 1
        self.outcome = outcome
        self._world.note(f"bridge: STAGE {self.request} ended: {outcome}")
        self._world.demand(self.ends == 1, f"every request ends once: {self.request}")


class GrantCall:
    """What a session asked of a node; told once that nothing of it is open any more."""

    def __init__(self, world: World, grant: Grant) -> None:
        self._world = world
        self.grant = grant
        self.ends = 0

    def ended(self) -> None:
        self.ends += 1
        self._world.note(f"bridge: GRANT {self.grant.id.hex()} ended")
        self._world.demand(self.ends == 1, f"every request ends once: GRANT {self.grant.id.hex()}")


class Clock:
    def __init__(self, world: World) -> None:
        self.monotonic = lambda: world.now / SECOND


class Secrets:
    def __init__(self, world: World) -> None:
        self._world = world

    def token_hex(self, count: int) -> str:
        return self._world.bytes(count).hex()


class BridgeProcess:
    """`nodes` are those of the world. It may be killed, started anew, and stalled."""

    def __init__(self, world: World, weather: Weather, nodes: dict[str, Node], lease: float = LEASE) -> None:
        self.world = world
        self.weather = weather
        self.lease = lease
        self.nodes = nodes
        self.thread: Thread | None = None
        self.callers: dict[str, Caller] = {}
        self.askings: list[GrantCall] = []
        self.full: set[str] = set()  # nodes to whom the ROUTER takes no more
        self._cancels: dict[bytes, bytes] = {}  # id of a CANCEL: what it cancels
        self._under_way: dict[bytes, dict[bytes, int]] = {}  # STAGE by routing, without a word yet: sent when
        self._known: dict[bytes, tuple[Node, int]] = {}  # whom the ROUTER could reach: node and its life
        self._heard: dict[bytes, float] = {}  # routing: by the table's clock
        self._last: dict[tuple[str, str], int] = {}  # (node, way): when the latest message arrives
        self.torn: set[str] = set()  # over whose connection messages were lost, or out of order
        self._life = 0
        self._stalled_until = 0
        self._wakes: set[int] = set()
        _bridge_thread.time = Clock(world)  # type: ignore[assignment]
        _bridge_core.secrets = Secrets(world)  # type: ignore[assignment]
        _wire.new_id = _grants.new_id = lambda: world.bytes(16)

    # ---- The process -------------------------------------------------------------------------------------------------

    def start(self) -> None:
        if self.thread is not None:
            return
        self._life += 1
        self.world.note("bridge starts")
        now = self.world.now / SECOND
        self.thread = Thread(
            BridgeCore(beat=BEAT, suspect_after=SUSPECT, dead_after=DEAD, now=now, lease=self.lease), self
        )
        self._poll(self._life)

    def kill(self) -> None:
        if self.thread is None:
            return
        self.world.note("bridge is killed")
        self.thread = None
        self.callers.clear()
        self.askings.clear()
        self._known.clear()
        self._heard.clear()
        self._cancels.clear()
        self._under_way.clear()

    def stall(self, microseconds: int) -> None:
        """Its thread does not run for so long."""
        self.world.note(f"bridge stalls for {microseconds / SECOND:.1f} s")
        self._stalled_until = self.world.now + microseconds

    def _poll(self, life: int) -> None:
        if self.thread is None or life != self._life:
            return
        self.turn()
        self.world.after(POLL, self._poll, life)

    def turn(self) -> None:
        """What the thread does when it wakes, and then what must hold."""
        thread = self.thread
        if thread is None or self.world.now < self._stalled_until:
            return
        nodes = thread.core.nodes
        byes = set()
        for mail in thread.inbox:
            self._heard[mail.frames[0]] = nodes.clock
            if mail.header["t"] == BYE:
                byes.add(mail.frames[0])
        entries = list(nodes._by_routing.values())
        thread._turn()
        for entry in entries:
            if entry.state is IS_DEAD and entry.routing not in byes:
                silent = nodes.clock - self._heard.get(entry.routing, -DEAD)
                self.world.demand(silent >= DEAD, f"no false death: {entry.name} was heard {silent:.1f} s ago")
        self.check()

    def check(self) -> None:
        """What holds between two turns of the bridge's thread."""
        assert self.thread is not None
        core = self.thread.core
        nodes = core.nodes
        for entry in nodes._by_routing.values():
            if nodes.clock - entry.heard >= DEAD or nodes._by_name.get(entry.name) is not entry:
                self.world.broken(f"a node is told dead in time, and is there once: {entry.name}")
        for request_id, routing in core._at.items():
            if nodes.of(routing) is None:
                self.world.broken(f"a request waits for a node that will not answer: {request_id.hex()}")
            if core.requests.get(request_id) is None:
                self.world.broken("what waits for a node is under way")

    # ---- The callers -------------------------------------------------------------------------------------------------

    def stage(self, node: Node) -> Caller | None:
        if self.thread is None:
            return None
        request_id = self.world.bytes(16)
        mark = request_id.hex()
        caller = Caller(self.world, node, mark)
        self.world.note(f"bridge: STAGE {mark} for {node.name}")
        body = {"transfers": [{"source": f"/from/{mark}".encode(), "target": f"/to/{mark}".encode()}], "detach": False}
        self.callers[mark] = caller
        self.thread._add(node.name, Request(request_id, Type.STAGE, body, (), caller, 30.0, lasting=True))
        return caller

    def cancel(self, caller: Caller) -> None:
        if self.thread is not None and caller.ends == 0:
            self.world.note(f"bridge: CANCEL {caller.request}")
            self.thread._send_cancel(bytes.fromhex(caller.request))

    def ask_grant(self, node: Node, owner: object) -> None:
        """A session looks at what the bridge knows the node to offer, and asks for a part of it, be it free or not."""
        entry = self.thread.core.nodes.find(node.name) if self.thread is not None else None
        if self.thread is None or entry is None or not entry.offers:
            return
        cores = max(int(entry.offers[0]["resources"]["cpu"]), 1)
        units = self.world.chance.randint(1, cores) * UNITS
        grant = Grant(self.world.bytes(16), node.name, node.name, entry.offers_version, {"cpu": units}, {})
        grant.owner = owner
        node.ledger.matched[grant.id] = grant.epoch
        takes = self.world.between(1, 800 * MS)  # to match
        self.world.after(takes, self._ask_grant, grant, entry.incarnation, self._life)

    def _ask_grant(self, grant: Grant, incarnation: str, life: int) -> None:
        if self.thread is None or life != self._life:
            return
        call = GrantCall(self.world, grant)
        self.askings.append(call)
        self.world.note(f"bridge: GRANT {grant.id.hex()} of {grant.node}: {grant.amounts['cpu']}")
        asking = self.thread.core.grants.ask([grant], {grant.node: incarnation}, call.ended)
        self.thread._send_all(asking.sends)
        if self.world.chance.random() < 0.3:  # the session thinks better of it
            self.world.after(self.world.between(1, 300 * MS), self._release, grant, self._life)

    def release_grant(self) -> None:
        if self.askings:
            self._release(self.world.chance.choice(self.askings).grant, self._life)

    def _release(self, grant: Grant, life: int) -> None:
        if self.thread is None or life != self._life:
            return
        self.world.note(f"bridge: RELEASE {grant.id.hex()}")
        self.thread._send_all(self.thread.core.grants.release([grant.id]))

    def forget_grants(self, owner: object) -> None:
        """A session ends."""
        if self.thread is not None:
            self.thread._send_all(self.thread.core.grants.forget(owner))

    def offered(self, node: str) -> int:
        """So many cores, as the bridge believes."""
        entry = self.thread.core.nodes.find(node) if self.thread is not None else None
        return int(entry.offers[0]["resources"]["cpu"]) if entry is not None and entry.offers else 0

    def held(self, node: str) -> set[bytes]:
        """The grants that the bridge believes to be held on a node."""
        assert self.thread is not None
        own = self.thread.core.grants._by_node.get(node, {})
        return {grant.id for grant in own.values() if grant.phase is Phase.HELD}

    # ---- The network -------------------------------------------------------------------------------------------------

    def carry_up(self, node: Node, header: dict[str, Any], frames: list[bytes]) -> None:
        routing = f"{node.name}/".encode() + node.incarnation
        if header["t"] == RESULT and header["id"] in self._cancels and is_cancelled(frames[1]):
            node.note_cancelled(self._cancels[header["id"]])
        for arrival in self._arrivals(node.name, "up"):
            self.world.at(arrival, self._arrive_up, node, node.life, routing, header, frames)

    def _arrive_up(self, node: Node, life: int, routing: bytes, header: dict[str, Any], frames: list[bytes]) -> None:
        if (node.name, "up") in self.weather.cut:
            self.torn.add(node.name)
            return
        if self.thread is None:
            return
        self.world.note(f"bridge <- {routing.decode()}", *frames)
        self._known[routing] = (node, life)
        self.thread.inbox.append(Mail(header, [routing, *frames]))
        self.turn()

    def read(self, mail: Mail) -> None:
        """The thread reads a message."""
        if mail.header["t"] in (PROGRESS, RESULT, ERROR):
            self._under_way.get(mail.frames[0], {}).pop(mail.header["id"], None)

    def _send_bulk(self, node: Node, routing: bytes, request: bytes) -> None:
        under_way = self._under_way.setdefault(routing, {})
        under_way[request] = self.world.now
        count = sum(self.world.now - since < CREDIT_LOST for since in under_way.values())
        self.world.demand(count <= CREDITS, f"credits are conserved: {count} STAGE calls under way at {node.name}")

    def carry_down(self, routing: bytes, frames: list[bytes]) -> None:
        known = self._known.get(routing)
        if known is None:
            raise zmq.ZMQError(zmq.EHOSTUNREACH)
        node, life = known
        if node.name in self.full:
            raise NOTHING_NOW.with_traceback(None)
        header = msgpack.unpackb(frames[0])
        if header["t"] == STAGE:
            self._send_bulk(node, routing, header["id"])
        if header["t"] == CANCEL:
            self._cancels[header["id"]] = msgpack.unpackb(frames[1])["request"]
        incarnation = routing.rpartition(b"/")[2]
        for arrival in self._arrivals(node.name, "down"):
            self.world.at(arrival, self._arrive_down, node, life, incarnation, header, frames)

    def _arrive_down(
        self, node: Node, life: int, incarnation: bytes, header: dict[str, Any], frames: list[bytes]
    ) -> None:
        if (node.name, "down") in self.weather.cut:
            self.torn.add(node.name)
        else:
            node.from_bridge(header, frames, life, incarnation)

    def _arrivals(self, node: str, way: str) -> list[int]:
        """When a message that is sent now arrives: not at all, once, or twice."""
        chance, weather = self.world.chance, self.weather
        if (node, way) in weather.cut or chance.random() < weather.loss:
            self.torn.add(node)
            return []
        arrivals = []
        for _ in range(2 if chance.random() < weather.double else 1):
            arrival = self.world.now + self.world.between(50, weather.delay_max)
            last = self._last.get((node, way), 0)
            if arrival < last:
                if chance.random() < weather.reorder:
                    self.torn.add(node)
                else:
                    arrival = last
            self._last[node, way] = max(arrival, last)
            arrivals.append(arrival)
        return arrivals

    def connection_lost(self, node: Node) -> None:
        """The node's socket is closed; the ROUTER hears of it, unless nothing gets through."""
        routing = f"{node.name}/".encode() + node.incarnation
        if routing in self._known and (node.name, "up") not in self.weather.cut:
            self.world.after(self.world.between(1, 50 * MS), self._known.pop, routing, None)

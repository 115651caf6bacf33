"""Nodes that grant, made of calls: for tests of the bridge's book without socket or clock.

A connection carries messages in order, or is cut and what was on it is lost.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from windlass._bridge_core import BridgeCore
from windlass._grant import Grant, Phase, Send
from windlass._wire import Header, Message, Type, new_id

LEASE = 20.0
_numbers = count(1)


@dataclass
class Held:
    offer: str
    cpu: int
    exclusive: bool
    until: float
    body: dict[str, Any]


@dataclass
class Node:
    """A node with offers of one dimension. What it holds it counts anew each time."""

    name: str
    offers: dict[str, int]
    records: list[Any] | None = None  # what it tells of its offers, where it is something else
    held: dict[bytes, Held] = field(default_factory=dict)
    buried: set[bytes] = field(default_factory=set)
    version: int = 1
    told: int = 0
    offers_version: int = 1
    offers_told: bool = False
    process: str = ""
    incarnation: str = ""
    inbox: deque[Message] = field(default_factory=deque)
    outbox: deque[Message] = field(default_factory=deque)
    grants_seen: int = 0

    @property
    def routing(self) -> bytes:
        return f"{self.name}/{self.incarnation}".encode()

    def start(self) -> None:
        """A new process: it holds nothing."""
        self.held.clear()
        self.buried.clear()
        self.version, self.offers_version = 1, 1
        self.process = f"{next(_numbers):016x}"
        self.dial()

    def dial(self) -> None:
        """A new connection; what was on the older one is lost."""
        self.inbox.clear()
        self.outbox.clear()
        self.incarnation = f"{next(_numbers):016x}"
        self.offers_told, self.told = False, 0
        body = {"role": "node", "versions": [1, 1], "name": self.name, "incarnation": self.incarnation}
        body |= {"labels": {}, "features": ["grant"], "process": self.process}
        self.outbox.append(Message(Header(Type.HELLO, new_id()), body))

    def report(self, now: float) -> None:
        self.expire(now)
        body: dict[str, Any] = {"load": {"sequence": 1}, "offers_version": self.offers_version}
        if not self.offers_told:
            usual = [{"name": name, "resources": {"cpu": cpu}} for name, cpu in self.offers.items()]
            body["offers"] = usual if self.records is None else self.records
        body["grants_version"] = self.version
        if not self.offers_told or self.told != self.version:
            body["grants"] = [
                {**held.body, "id": key, "lease_ms": max(int((held.until - now) * 1000), 1)}
                for key, held in self.held.items()
            ]
        self.offers_told, self.told = True, self.version
        self.outbox.append(Message(Header(Type.LOAD, new_id()), body))

    def change(self, records: list[Any] | None) -> None:
        """From the next report on it tells these, or the usual ones."""
        self.records = records
        self.offers_version += 1
        self.offers_told = False

    def expire(self, now: float) -> None:
        for key in [key for key, held in self.held.items() if held.until <= now]:
            del self.held[key]
            self.version += 1

    def take(self, now: float) -> None:
        """Serves the next message."""
        message = self.inbox.popleft()
        self.expire(now)
        if message.header.type == Type.GRANT:
            self.grants_seen += 1
            answer = self._grant(message.body, now)
        elif message.header.type == Type.RELEASE:
            answer = self._release(message.body)
        else:
            return
        self.outbox.append(Message(Header(Type.RESULT, message.header.id), answer))

    def _grant(self, body: dict[str, Any], now: float) -> dict[str, Any]:
        refused = []
        until = now + body["lease_ms"] / 1000
        for row, each in enumerate(body["grants"]):
            why = self._why_not(each)
            if why:
                refused.append({"grant": row, "code": 9, "message": why})
                if each["id"] not in self.held:
                    self.buried.add(each["id"])
            elif each["id"] in self.held:
                self.held[each["id"]].until = until
            else:
                cpu = each["amounts"].get("cpu", 0)
                self.held[each["id"]] = Held(each["offer"], cpu, each["exclusive"], until, each)
                self.version += 1
        unknown = [key for key in body["renew"] if key not in self.held]
        for key in body["renew"]:
            if key in self.held:
                self.held[key].until = until
        return {"version": self.version, "refused": refused, "unknown": unknown}

    def _why_not(self, each: dict[str, Any]) -> str:
        if each["id"] in self.held:
            return ""
        if each["id"] in self.buried:
            return "refused or released before"
        if each["offer"] not in self.offers or each["epoch"] != self.offers_version:
            return "stale"
        others = [held for held in self.held.values() if held.offer == each["offer"]]
        if any(held.exclusive for held in others) or (each["exclusive"] and others):
            return "held by another"
        free = 10_000 * self.offers[each["offer"]] - sum(held.cpu for held in others)
        return "" if each["amounts"].get("cpu", 0) <= free else "not enough"

    def _release(self, body: dict[str, Any]) -> dict[str, Any]:
        self.buried.update(body["grants"])
        found = [key for key in body["grants"] if self.held.pop(key, None) is not None]
        self.version += len(found)
        return {"version": self.version, "released": len(found)}


class World:
    """A bridge's core and its nodes. `deliver` moves one message; `settle` all, with a report of each node."""

    def __init__(self, *nodes: Node) -> None:
        self.now = 1000.0
        self.nodes = {node.name: node for node in nodes}
        self.restart_bridge()
        for node in nodes:
            node.start()
        self.settle()

    def restart_bridge(self) -> None:
        self.core = BridgeCore(beat=1.0, suspect_after=3.0, dead_after=10.0, now=self.now, lease=LEASE)
        self.ended: set[int] = set()
        for node in self.nodes.values():
            if node.process:
                node.dial()

    def send(self, sends: list[Send]) -> None:
        for routing, message in sends:
            node = next((node for node in self.nodes.values() if node.routing == routing), None)
            if node is not None:
                node.inbox.append(message)
            else:
                self.send(self.core.grants.failed(message.header.id, "it cannot be reached"))
        while self.core.untold:
            self.core.untold.pop(0)()

    def deliver(self, node: Node, to_node: bool) -> None:
        if to_node and node.inbox:
            node.take(self.now)
        elif not to_node and node.outbox:
            routing = node.routing
            self.send(self.core.handle(routing, node.outbox.popleft(), self.now))

    def settle(self) -> None:
        for node in self.nodes.values():
            node.report(self.now)
        self.deliver_all()

    def deliver_all(self) -> None:
        while any(node.inbox or node.outbox for node in self.nodes.values()):
            for node in self.nodes.values():
                self.deliver(node, True)
                self.deliver(node, False)

    def pass_time(self, seconds: float, beats: bool = True) -> None:
        end = self.now + seconds
        while self.now < end - 1e-9:
            self.now += 0.5
            if beats:
                self.settle()
            self.send(self.core.tick(self.now, True))

    def grant(self, owner: object, offer: str, cpu: int, exclusive: bool = False) -> Grant:
        node = offer.partition("/")[0]
        entry = self.core.nodes.find(node)
        epoch = entry.offers_version if entry is not None else 0
        amounts = {"cpu": cpu * 10_000} if cpu else {}
        return Grant(new_id(), node, offer, epoch, amounts, {}, exclusive, owner=owner)

    def ask(self, *grants: Grant) -> Any:
        """Asks for grants as a session does; `ended` of the answer tells when the call has its answers."""
        incarnations = {name: node.incarnation for name, node in self.nodes.items()}
        ended: list[bool] = []
        asking = self.core.grants.ask(grants, incarnations, lambda: ended.append(True))
        asking.ended = ended
        self.send(asking.sends)
        return asking

    def release(self, *ids: bytes) -> None:
        self.send(self.core.grants.release(ids))

    def believed(self, phase: Phase = Phase.HELD) -> set[bytes]:
        return {each.id for each in self.core.grants._by_id.values() if each.phase is phase and each.owner is not None}

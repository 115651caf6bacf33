"""Sessions of one bridge that place tasks and give them back while links are cut, and a witness that no offer is ever
held by more grants than there is room for: by the nodes' own words on the wire, and by the bridge's book."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import windlass
from windlass._grant import Phase
from windlass._wire import Message, Type

UNITS = 10_000


@dataclass(frozen=True)
class Held:
    offer: str
    units: int
    exclusive: bool


def held_by(body: dict[str, Any]) -> Held:
    return Held(body["offer"], body.get("amounts", {}).get("cpu", 0), bool(body.get("exclusive")))


class Witness:
    """Reads along, in the bridge's thread, what is asked of the nodes and what they answer and report.

    `there` is by node what it has granted, as it says itself. Leases are to be longer than the test: that one has run
    out a node tells by its next report only.
    """

    def __init__(self, bridge: windlass.Bridge) -> None:
        self._thread = bridge._thread
        self._core = bridge._thread.core
        self._units: dict[str, int] = {}  # by offer
        self._asked: dict[bytes, Message] = {}
        self._routing: dict[str, bytes] = {}  # by node, the connection it said HELLO over last
        self.there: dict[str, dict[bytes, Held]] = {}
        self.faults: list[str] = []
        self.granted = 0
        self._handle, self._send_to = self._core.handle, self._thread._send_to
        self._core.handle = self._heard  # type: ignore[method-assign]
        self._thread._send_to = self._sent  # type: ignore[method-assign]

    def _sent(self, routing: bytes | None, message: Message) -> windlass.WindlassError | None:
        if message.header.type in (Type.GRANT, Type.RELEASE):
            self._asked[message.header.id] = message
        return self._send_to(routing, message)

    def _heard(self, routing: bytes, message: Message, now: float) -> Any:
        node = routing.rpartition(b"/")[0].decode()
        there = self.there.setdefault(node, {})
        body = message.body
        if message.header.type == Type.HELLO:
            self._routing[node] = routing
        elif self._routing.get(node) != routing:
            return self._handle(routing, message, now)  # what an older connection still carried
        elif message.header.type == Type.LOAD:
            self._units |= {each["name"]: int(each["resources"]["cpu"] * UNITS) for each in body.get("offers") or []}
            if body.get("grants") is not None:
                self.there[node] = {each["id"]: held_by(each) for each in body["grants"]}
        elif message.header.type == Type.RESULT:
            self._answered(there, body, self._asked.pop(message.header.id, None))
        self._judge(node, "the node", self.there[node].values())
        sends = self._handle(routing, message, now)
        book = self._core.grants._by_node.get(node, {}).values()
        held = [Held(each.offer, each.amounts["cpu"], each.exclusive) for each in book if each.phase is Phase.HELD]
        self._judge(node, "the bridge", held)
        return sends

    def _answered(self, there: dict[bytes, Held], body: dict[str, Any], asked: Message | None) -> None:
        if asked is not None and asked.header.type == Type.GRANT:
            refused = {row["grant"] for row in body["refused"]}
            fresh = {each["id"]: held_by(each) for row, each in enumerate(asked.body["grants"]) if row not in refused}
            self.granted += len(fresh)
            there.update(fresh)
        elif asked is not None:
            for each in asked.body["grants"]:
                there.pop(each, None)

    def _judge(self, node: str, who: str, held: Iterable[Held]) -> None:
        sums: dict[str, int] = {}
        holders: dict[str, list[Held]] = {}
        for each in held:
            sums[each.offer] = sums.get(each.offer, 0) + each.units
            holders.setdefault(each.offer, []).append(each)
        for offer, units in sums.items():
            if units > self._units[offer]:
                self.faults.append(f"{who}: {units} units of {offer} are granted, of {self._units[offer]}")
            if len(holders[offer]) > 1 and any(each.exclusive for each in holders[offer]):
                self.faults.append(f"{who}: {offer} is given away whole, and to another: {holders[offer]}")

    def books(self) -> dict[str, tuple[set[bytes], set[bytes]]]:
        """By node, what it says that it holds, and what the bridge believes."""
        with self._thread.lock:
            book = self._core.grants._by_id.values()
            return {
                node: (set(there), {each.id for each in book if each.node == node and each.phase is Phase.HELD})
                for node, there in self.there.items()
            }


class Placing:
    """Sessions with a thread each: two that share offers, one that takes them whole."""

    def __init__(self, bridge: windlass.Bridge, witness: Witness, seed: int) -> None:
        self._witness = witness
        self._stop = threading.Event()
        self._failed: list[BaseException] = []
        self._sessions = [bridge.session(mode=mode) for mode in ("packing", "packing", "exclusive")]
        self._threads = [
            threading.Thread(target=self._place, args=(session, random.Random(f"{seed} {number}"), f"{number}-"))
            for number, session in enumerate(self._sessions)
        ]
        for thread in self._threads:
            thread.start()

    def _place(self, session: windlass.Session, chance: random.Random, prefix: str) -> None:
        count = 0
        try:
            while not self._stop.is_set():
                count += 1
                asked = [
                    {"name": f"{prefix}{count}-{row}", "resources": {"cpu": chance.randrange(1, 5) / 2}}
                    for row in range(chance.randrange(1, 4))
                ]
                session.match(asked)
                held = list(session.grants())
                session.release(chance.sample(held, chance.randrange(len(held) + 1)))
                self._stop.wait(chance.random() * 0.02)
        except BaseException as error:
            self._failed.append(error)

    def stop(self) -> None:
        """No task is placed or released any more; what is held stays so."""
        self._stop.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive(), "a call of a session has not ended"
        assert not self._failed, self._failed

    def agreed(self) -> bool:
        """The nodes hold what the bridge believes, and that is what the sessions have."""
        for session in self._sessions:
            session.offers()  # it follows the nodes
        own = self.own()
        books = self._witness.books()
        return all(there == believed for there, believed in books.values()) and own == {
            each for _, believed in books.values() for each in believed
        }

    def own(self) -> set[bytes]:
        """The grants that the sessions have."""
        return {bytes.fromhex(each) for session in self._sessions for each in session.grants().values()}

    def close(self) -> None:
        self.stop()
        for session in self._sessions:
            session.close()

"""What a node has granted, by its own words on the wire: kept apart from the daemon's own books, to judge them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgpack

from .world import MS, World

GRANT, RELEASE = 13, 14


@dataclass
class Held:
    offer: str
    units: int
    until: int


@dataclass
class Asked:
    """As it was when the message came; its answer may have to wait."""

    kind: int
    body: dict[str, Any]
    at: int
    units: int
    epochs: range


@dataclass
class Ledger:
    world: World
    node: str
    held: dict[bytes, Held] = field(default_factory=dict)
    gone: set[bytes] = field(default_factory=set)  # released or refused: not to be granted any more
    _asked: dict[bytes, Asked] = field(default_factory=dict)  # by message

    def asked(self, kind: int, message: bytes, body: bytes, units: int, epochs: range) -> None:
        """A GRANT or RELEASE has come to a node whose offer has so many `units`, and is the same since `epochs`."""
        told = msgpack.unpackb(body, strict_map_key=False)
        self._asked[message] = Asked(kind, told, self.world.now, units, epochs)

    def answered(self, message: bytes, body: bytes) -> None:
        """It was answered RESULT."""
        asked = self._asked.pop(message, None)
        if asked is None:
            return
        if asked.kind == GRANT:
            self._granted(asked, {row["grant"] for row in msgpack.unpackb(body)["refused"]})
        elif asked.kind == RELEASE:
            for each in asked.body["grants"]:
                self.held.pop(each, None)
                self.gone.add(each)

    def live(self) -> dict[bytes, Held]:
        """What is held now."""
        self.held = {each: held for each, held in self.held.items() if held.until > self.world.now}
        return self.held

    def _granted(self, asked: Asked, refused: set[int]) -> None:
        held = self.live()
        until = asked.at + asked.body["lease_ms"] * MS
        for row, each in enumerate(asked.body["grants"]):
            if row in refused:
                if each["id"] not in held:
                    self.gone.add(each["id"])
                continue
            if each["id"] in held:
                held[each["id"]].until = until
                continue
            name = f"{each['id'].hex()} at {self.node}"
            self.world.demand(each["id"] not in self.gone, f"what was released or refused is not granted: {name}")
            self.world.demand(each["epoch"] in asked.epochs, f"a grant of a stale epoch is refused: {name}")
            held[each["id"]] = Held(each["offer"], each["amounts"]["cpu"], until)
            given = sum(one.units for one in held.values() if one.until > self.world.now)
            self.world.demand(given <= asked.units, f"no offer is given twice: {given} of {asked.units} units, {name}")
        for each in asked.body["renew"]:
            if each in held:
                held[each].until = until

    def clear(self) -> None:
        """The process has ended, and its grants with it."""
        self.held.clear()
        self._asked.clear()
        self.gone.clear()

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
    matched: dict[bytes, int] = field(default_factory=dict)  # grants not given yet: the version they were matched on
    gone: set[bytes] = field(default_factory=set)  # released or refused: not to be granted any more
    _asked: dict[bytes, Asked] = field(default_factory=dict)  # by message
    _last: dict[bytes, Asked] = field(default_factory=dict)  # by grant: how it was asked for last

    def asked(self, kind: int, message: bytes, body: bytes, units: int, epochs: range) -> None:
        """A GRANT or RELEASE has come to a node whose offer has so many `units`, and is the same since `epochs`."""
        asked = Asked(kind, msgpack.unpackb(body, strict_map_key=False), self.world.now, units, epochs)
        self._asked[message] = asked
        if kind == GRANT:
            self._last.update((each["id"], asked) for each in asked.body["grants"])

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

    def reported(self, listed: list[dict[str, Any]]) -> None:
        """A report says what is held: also what an answer told of that never left, as where the queue was full."""
        ids = {each["id"] for each in listed}
        for each in [each for each in self.held if each not in ids]:
            del self.held[each]
        for told in listed:
            until = self.world.now + told["lease_ms"] * MS
            if told["id"] in self.held:
                self.held[told["id"]].until = until
                continue
            self.world.demand(
                told["id"] in self._last, f"what is held was asked for: {told['id'].hex()} at {self.node}"
            )
            there = max(
                self._last[each].units for each in ids if each in self._last
            )  # the offer may have changed since
            self._take(self._last[told["id"]], told, until, there)

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
            self._take(asked, each, until, asked.units)
        for each in asked.body["renew"]:
            if each in held:
                held[each].until = until

    def _take(self, asked: Asked, each: dict[str, Any], until: int, there: int) -> None:
        name = f"{each['id'].hex()} at {self.node}"
        self.world.demand(each["id"] not in self.gone, f"what was released or refused is not granted: {name}")
        epochs = {each["epoch"], self.matched.pop(each["id"], each["epoch"])}
        self.world.demand(epochs <= set(asked.epochs), f"a grant of a stale epoch is refused: {name}")
        self.held[each["id"]] = Held(each["offer"], each["amounts"]["cpu"], until)
        given = sum(one.units for one in self.held.values() if one.until > self.world.now)
        self.world.demand(given <= there, f"no offer is given twice: {given} of {there} units, {name}")

    def clear(self) -> None:
        """The process has ended, and its grants with it."""
        self.held.clear()
        self._asked.clear()
        self._last.clear()
        self.gone.clear()

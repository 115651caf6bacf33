"""The bridge's table of nodes: who lives, who is suspected, who is dead, and what they offer.

Decisions only: no socket, no clock, no lock. The time is told; time in which nobody told it (the bridge's thread did
not run) counts against no node, beyond one step of `step_s`.
"""

from __future__ import annotations

import enum
import itertools
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

from ._records import Record
from ._roster import Roster

DEAD_KEPT_MAX = 1000  # dead nodes that are still told of
LEFT_OUT_TOLD_MAX = 10  # offers of a node; an observer is told of all nodes in one message

_log = logging.getLogger("windlass.bridge")


class State(str, enum.Enum):
    """What a node's `state` says; a str, so it compares with plain words."""

    ALIVE = "alive"
    SUSPECT = "suspect"
    DEAD = "dead"
    DRAINING = "draining"

    def __str__(self) -> str:
        return self.value


@dataclass
class Entry:
    """One registered node. `routing` is what the bridge's ROUTER knows it by."""

    name: str
    incarnation: str
    routing: bytes
    version: str
    labels: dict[str, str]
    heard: float  # by the table's own clock
    state: State = State.ALIVE
    draining: bool = False
    load: dict[str, Any] = field(default_factory=dict)
    reported: float | None = None
    offers: list[dict[str, Any]] = field(default_factory=list)  # those that count
    left_out: dict[str, str] = field(default_factory=dict)  # by name, why others do not
    offers_version: int = 0
    process: str = ""  # the same for each registration of one process; "" where it does not tell
    grants: bool = False  # whether it serves GRANT
    grants_known: bool = False  # whether it has told what is held of its offers
    stale: bool = False  # it refused a grant: what was matched on is no longer so; until its next report
    connected: bool = True
    change: int = 0  # another number after each change that a session minds
    changed_by: object | None = None  # the session whose own doing the last change was, and those before it back to
    before: int = 0  # this one

    @property
    def takes_work(self) -> bool:
        return self.state == State.ALIVE and not self.stale


class Reported(NamedTuple):
    """A node that is not dead. `offers` is None before its first report, and where `change` is the one known;
    `left_out` tells by name why others of its offers do not count."""

    name: str
    alive: bool
    change: int
    incarnation: str
    offers_version: int
    reported: bool
    offers: list[dict[str, Any]] | None
    left_out: Mapping[str, str] = MappingProxyType({})


class NodeTable:
    """`clock` is the table's own time: it advances by at most `step_s` between two calls of `tick`."""

    def __init__(self, *, beat: float, suspect_after: float, dead_after: float, now: float) -> None:
        self.suspect_after = suspect_after
        self.dead_after = dead_after
        self.step_s = beat / 2
        self.clock = 0.0
        self._told = now
        self._by_name: dict[str, Entry] = {}
        self._by_routing: dict[bytes, Entry] = {}
        self._roster = Roster()
        self._changes = 0

    def touch(self, entry: Entry, by: object | None = None) -> None:
        """Something that sessions go by has changed; `by`: all but this one, which did it."""
        if by is None or by is not entry.changed_by:
            entry.changed_by, entry.before = by, entry.change
        self._changes += 1
        entry.change = self._changes

    def register(
        self, routing: bytes, name: str, incarnation: str, version: str, labels: dict[str, str]
    ) -> Entry | None:
        """A HELLO: the node is alive, and an older incarnation of it gone. Answers that one, whose futures end."""
        older = self._by_name.pop(name, None)
        if older is not None:
            self._by_routing.pop(older.routing, None)
            if older.routing == routing:
                older = None  # the same one once more
        entry = Entry(name, incarnation, routing, version, labels, self.clock)
        self._by_name[name] = entry
        self._by_routing[routing] = entry
        self.touch(entry)
        return older

    def __len__(self) -> int:
        return len(self._by_name)

    def find(self, name: str) -> Entry | None:
        return self._by_name.get(name)

    def of(self, routing: bytes) -> Entry | None:
        """The registered node behind a routing id, None for a dead one or a stranger: they are to say HELLO."""
        return self._by_routing.get(routing)

    def heard(self, entry: Entry) -> None:
        """Any message counts as a sign of life."""
        entry.heard = self.clock
        if entry.state == State.SUSPECT:
            _log.info("node %s is heard again", entry.name)
        self._become(entry, State.DRAINING if entry.draining else State.ALIVE)

    def _become(self, entry: Entry, state: State) -> None:
        if entry.state != state:
            entry.state = state
            self.touch(entry)

    def report(self, entry: Entry, load: dict[str, Any], offers: list[Any] | None, offers_version: int = 0) -> None:
        """A LOAD; `offers` None where they did not change."""
        if entry.reported is None or entry.stale or offers is not None:
            self.touch(entry)
        entry.load = load
        entry.reported = self.clock
        entry.offers_version = offers_version
        entry.stale = False
        entry.draining = entry.draining or load.get("draining") is True
        if offers is not None:
            before = self._roster.left_out(entry.name)
            self._take_in(self._roster.tell(entry.name, offers))
            entry.offers, entry.left_out = self._roster.offers(entry.name), self._roster.left_out(entry.name)
            if entry.left_out and entry.left_out != before:
                _log.warning("node %s: %s", entry.name, _said_of(entry))
        self.heard(entry)

    def _take_in(self, names: list[str]) -> None:
        """More of the offers of these nodes count now."""
        for entry in map(self._by_name.get, names):
            if entry is not None and entry.reported is not None:
                entry.offers, entry.left_out = self._roster.offers(entry.name), self._roster.left_out(entry.name)
                self.touch(entry)
                _log.info("node %s: what kept its offers out is gone; %d left out", entry.name, len(entry.left_out))

    def drain(self, entry: Entry) -> None:
        entry.draining = True
        self.heard(entry)

    def end(self, entry: Entry) -> None:
        """The node is dead: it said BYE, or nothing for too long. It has to register anew."""
        self._become(entry, State.DEAD)
        entry.connected = False
        entry.offers, entry.left_out = [], {}
        self._by_routing.pop(entry.routing, None)
        self._take_in(self._roster.forget(entry.name))
        dead = [name for name, known in self._by_name.items() if known.state == State.DEAD]
        for name in dead[: max(len(dead) - DEAD_KEPT_MAX, 0)]:
            del self._by_name[name]

    def tick(self, now: float, drained: bool = True) -> list[Entry]:
        """Tells the time; answers those who have just died. Where `drained` is False, messages may still be waiting
        to be read, and nobody is judged."""
        self.clock += min(max(now - self._told, 0.0), self.step_s)
        self._told = now
        if not drained:
            return []
        dead = []
        for entry in list(self._by_routing.values()):
            silent = self.clock - entry.heard
            if silent >= self.dead_after:
                _log.warning("node %s is dead: nothing heard for %.1f s", entry.name, silent)
                self.end(entry)
                dead.append(entry)
            elif silent >= self.suspect_after and entry.state != State.SUSPECT:
                _log.warning("node %s is suspect: nothing heard for %.1f s", entry.name, silent)
                self._become(entry, State.SUSPECT)
        return dead

    def snapshot(self) -> dict[str, Record]:
        """What `bridge.nodes()` and observers are told."""
        return {name: self._told_of(entry) for name, entry in self._by_name.items()}

    def offers(self) -> list[dict[str, Any]]:
        """The offers of the nodes that are alive, in the order in which the nodes registered."""
        return [dict(offer) for entry in self._by_name.values() if entry.state == State.ALIVE for offer in entry.offers]

    def reported(self, known: Mapping[str, int] = MappingProxyType({}), owner: object | None = None) -> list[Reported]:
        """The nodes that are not dead, in the order in which they registered; without the offers of those whose
        `change` is `known`, and with that number where the session `owner` alone has changed anything since."""
        return [
            Reported(
                entry.name,
                entry.takes_work,
                change := _change_for(entry, owner, known.get(name)),
                entry.incarnation,
                entry.offers_version,
                reported := entry.reported is not None and (entry.grants_known or not entry.grants),
                [dict(offer) for offer in entry.offers] if reported and known.get(name) != change else None,
                entry.left_out,
            )
            for name, entry in self._by_name.items()
            if entry.state != State.DEAD
        ]

    def routings(self) -> list[bytes]:
        return list(self._by_routing)

    def _told_of(self, entry: Entry) -> Record:
        load = None
        if entry.reported is not None:
            load = Record(entry.load)
            load["age_seconds"] = self.clock - entry.reported
        return Record(
            state=entry.state.value,
            incarnation=entry.incarnation,
            version=entry.version,
            labels=dict(entry.labels),
            load=load,
            left_out=dict(itertools.islice(entry.left_out.items(), LEFT_OUT_TOLD_MAX)),
            left_out_count=len(entry.left_out),
        )


def _change_for(entry: Entry, owner: object | None, known: int | None) -> int:
    mine = owner is not None and entry.changed_by is owner and known == entry.before
    return entry.before if mine else entry.change


def _said_of(entry: Entry) -> str:
    name, why = next(iter(entry.left_out.items()))
    count, others = len(entry.left_out), len(entry.left_out) - 1
    told = len(entry.offers) + count
    return f"{count} of its {told} offers left out: {name!r}: {why}" + (f"; and {others} more" if others else "")

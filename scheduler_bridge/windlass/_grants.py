"""What the sessions of a bridge hold of the nodes' offers, and what others hold there: the bridge's side of GRANT.

Decisions only: no socket, no clock, no lock. The time is told, messages are answered to be sent. The node is the judge
of what is free; this book is what the bridge goes by meanwhile. It rests on one thing: messages over one connection
arrive in order or not at all. So a RELEASE that was sent is as good as done for a GRANT sent after it, and whatever
the end of a connection leaves open is told by the first report over the next one.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ._errors import Code
from ._fields import Odd
from ._grant import Asking, Grant, Phase, Send
from ._listed_grants import GrantsTold, read_granted
from ._reply import error_of_body
from ._wire import Header, Message, Type, new_id

if TYPE_CHECKING:
    from ._nodes import Entry, NodeTable

PER_MESSAGE_MAX = 2000  # grants in one GRANT
IDS_PER_MESSAGE_MAX = 10_000  # ids to renew or release in one message
RENEWALS = 4  # so many renewals are sent in the time of one lease

_log = logging.getLogger("windlass.bridge")


@dataclass(eq=False)
class _Sent:
    """A GRANT under way. `deadline` is by the table's clock."""

    routing: bytes
    grants: list[Grant]
    renewed: list[Grant]
    deadline: float
    asking: Asking | None  # None: nobody waits


class GrantBook:
    """Used with the table of nodes, under the same lock. `later` runs what tells a caller."""

    def __init__(
        self, nodes: NodeTable, *, lease: float, now: float, later: Callable[[Callable[[], None]], None]
    ) -> None:
        self.nodes = nodes
        self.lease = lease
        self._later = later
        self._now = now
        self._renew_at = now + lease / RENEWALS
        self._by_id: dict[bytes, Grant] = {}
        self._by_node: dict[str, dict[bytes, Grant]] = {}
        self._placed: dict[str, dict[object | None, dict[bytes, Grant]]] = {}  # the same by who placed them
        self._sent: dict[bytes, _Sent] = {}  # by the id of the request
        self._askings: set[Asking] = set()  # of which something is open
        self._releasing: dict[bytes, tuple[bytes, list[Grant]]] = {}  # likewise: to whom, what
        self._claims: dict[bytes, object] = {}  # ids to come back: whose
        self._unwanted: dict[bytes, float] = {}  # given up or back unheard: until when a node may still hold them
        self._dropped: dict[object, list[Grant]] = {}  # by owner, until it asks
        self._untold: set[str] = set()  # nodes that have told of no grants since they registered

    # ---- What sessions ask -------------------------------------------------------------------------------------------

    def ask(self, grants: list[Grant], incarnations: dict[str, str], on_end: Callable[[], None]) -> Asking:
        """Books the grants and tells what to send, one message a node as a rule. `incarnations` are those of the nodes
        that were matched on: one that has started anew since grants nothing."""
        asking = Asking(grants, on_end)
        by_node: dict[str, list[Grant]] = {}
        for grant in grants:
            by_node.setdefault(grant.node, []).append(grant)
        for node, own in by_node.items():
            entry = self.nodes.find(node)
            if entry is None or not entry.takes_work or entry.incarnation != incarnations.get(node):
                asking.refused.update(
                    (grant.id, f"node {node} is not what it was when it was matched on") for grant in own
                )
                continue
            self._put(node, own)
            if not entry.grants:  # an older windlassd: this bridge alone keeps count
                for grant in own:
                    grant.phase = Phase.HELD
            self._touch(entry, own)
            if entry.grants:
                for part in _parts(own, PER_MESSAGE_MAX):
                    asking.sends.append(self._message(entry, part, [], asking))
        if asking.open:
            self._askings.add(asking)
        else:
            self._later(asking.on_end)
        return asking

    def release(self, ids: Iterable[bytes]) -> list[Send]:
        """Gives grants back; those that are not known are passed over."""
        known = map(self._by_id.get, ids)
        return self._released([grant for grant in known if grant is not None and grant.phase is not Phase.LEAVING])

    def _released(self, gone: list[Grant]) -> list[Send]:
        by_node: dict[str, list[Grant]] = {}
        for grant in gone:
            grant.phase = Phase.LEAVING
            by_node.setdefault(grant.node, []).append(grant)
        sends = []
        for node, own in by_node.items():
            sends += self._releases(node, own)
        return sends

    def claim(self, owner: object, ids: Iterable[bytes]) -> list[bytes]:
        """Grants that a session wants back, now or once a node reports them. Answers those that another has."""
        taken = []
        for each in ids:
            known = self._by_id.get(each)
            if each in self._claims or (known is not None and known.owner is not None):
                taken.append(each)
        if not taken:
            for each in ids:
                self._claims[each] = owner
                known = self._by_id.get(each)
                if known is not None:
                    self._adopt(known, owner)
        return taken

    def give_up(self, ids: Iterable[bytes]) -> None:
        """Claims of grants that no node has told of are no more; should one be told of yet, it is released."""
        self._disown([each for each in ids if self._claims.pop(each, None) is not None])

    def _disown(self, ids: Iterable[bytes]) -> None:
        self._unwanted.update(dict.fromkeys(ids, self._now + 2 * self.lease))

    def forget(self, owner: object) -> list[Send]:
        """A session has ended: all that it holds is given back."""
        self.give_up([each for each, whose in self._claims.items() if whose is owner])
        self._dropped.pop(owner, None)
        return self.release([grant.id for grant in self._by_id.values() if grant.owner is owner])

    def dropped(self, owner: object) -> list[Grant]:
        """The grants that a session has lost since it asked last: a lease that ended, upon which another was faster."""
        return self._dropped.pop(owner, [])

    def beside(self, node: str, owner: object) -> list[Grant]:
        """What is held on a node beside what this session has placed there."""
        return [
            grant
            for session, own in self._placed.get(node, {}).items()
            if session is None or session is not owner
            for grant in own.values()
            if grant.phase is not Phase.LEAVING
        ]

    def __len__(self) -> int:
        return len(self._by_id)

    # ---- What nodes say ----------------------------------------------------------------------------------------------

    def registered(self, entry: Entry) -> None:
        """A node is new, or has registered anew: what is not ours is told by its first report."""
        self._untold.add(entry.name)
        for grant in list(self._by_node.get(entry.name, {}).values()):
            grant.version = 0
            if grant.owner is None and grant.phase is not Phase.LEAVING:
                self._remove(grant)

    def report(self, entry: Entry, version: int, listed: list[dict[str, Any]] | None) -> list[Send]:
        """A LOAD; `listed` None where nothing changed. The list is checked already (`listed_fault`)."""
        if listed is None:
            return []
        there = {each["id"]: each for each in listed}
        first = entry.name in self._untold
        self._untold.discard(entry.name)
        again: list[Grant] = []
        leaving: list[Grant] = []  # though it was released
        for grant in list(self._by_node.get(entry.name, {}).values()):
            if grant.id in there:
                if grant.phase is Phase.LEAVING:
                    leaving.append(grant)
                elif grant.phase is Phase.HELD and grant.owner is None:
                    grant.until = self._now + there[grant.id].get("lease_ms", 0) / 1000
            elif grant.phase is Phase.LEAVING:
                if first:  # else its GRANT may be under way yet; that is over with the answer to its RELEASE
                    self._remove(grant)
            elif grant.phase is Phase.HELD and grant.owner is None:
                self._remove(grant)
            elif grant.phase is Phase.HELD and version >= grant.version:
                again.append(grant)
        for told in there.values():
            if told["id"] not in self._by_id:
                grant = self._found(entry, told, version)
                if grant.phase is Phase.LEAVING:
                    leaving.append(grant)
                else:
                    self.nodes.touch(entry)
        return self._releases(entry.name, leaving) + self._ask_again(entry, again)

    def _found(self, entry: Entry, told: dict[str, Any], version: int) -> Grant:
        """A grant that a node tells of and the book did not know."""
        grant = Grant(
            told["id"],
            entry.name,
            told["offer"],
            told.get("epoch", 0),
            told.get("amounts") or {},
            told.get("devices") or {},
            bool(told.get("exclusive")),
            told.get("about") or {},
            phase=Phase.HELD,
            version=version,
            until=self._now + told.get("lease_ms", 0) / 1000,
        )
        self._put(entry.name, [grant])
        if self._unwanted.pop(grant.id, None) is not None:
            grant.phase = Phase.LEAVING
        elif grant.id in self._claims:
            self._adopt(grant, self._claims[grant.id])
        return grant

    def _adopt(self, grant: Grant, owner: object) -> None:
        grant.owner, grant.restored = owner, True
        self._claims.pop(grant.id, None)
        self._renew_at = min(self._renew_at, self._now)  # its lease may be nearly over
        entry = self.nodes.find(grant.node)
        if entry is not None:
            self.nodes.touch(entry)

    def _ask_again(self, entry: Entry, lost: list[Grant]) -> list[Send]:
        """Leases that ended though the session lives, as after a restart of the node: first come, first served."""
        for grant in lost:
            grant.phase, grant.epoch = Phase.ASKED, entry.offers_version
        return [self._message(entry, part, [], None) for part in _parts(lost, PER_MESSAGE_MAX)]

    def answered(self, routing: bytes, message: Message) -> list[Send] | None:
        """A RESULT or ERROR of a node; None where it answers neither GRANT nor RELEASE of this book."""
        request_id, body = message.header.id, message.body
        releasing = self._releasing.get(request_id)
        if releasing is not None and releasing[0] == routing:
            del self._releasing[request_id]
            for grant in releasing[1]:
                self._remove(grant)
            return []
        sent = self._sent.get(request_id)
        if sent is None or sent.routing != routing:
            return None
        del self._sent[request_id]
        if message.header.type == Type.ERROR:
            self._end(sent, error_of_body(body).args[0], certain=True)
            return []
        try:
            told = read_granted(body, len(sent.grants))
        except Odd as error:
            return self._end(sent, f"its answer cannot be read: {error}", certain=False)
        self._settle(sent, told)
        again = [grant for grant in sent.renewed if grant.id in told.unknown and grant.phase is Phase.HELD]
        entry = self.nodes.of(routing)
        return self._ask_again(entry, again) if again and entry is not None else []

    def _settle(self, sent: _Sent, told: GrantsTold) -> None:
        refused = set()
        for row, code, why in told.refused:
            grant = sent.grants[row]
            refused.add(grant.id)
            if code == Code.FAILED_PRECONDITION:
                self._went_by_old_news(grant.node)
            self._refuse(sent, grant, why, certain=True)
        for grant in sent.grants:
            if grant.id not in refused and grant.phase is Phase.ASKED:
                grant.phase = Phase.HELD
                grant.version = told.version
        self._close(sent.asking)

    def unread(self, routing: bytes, request_id: bytes, why: str) -> list[Send] | None:
        """An answer that cannot be read, as `answered`."""
        sent = self._sent.get(request_id)
        if self._releasing.get(request_id, (b"",))[0] == routing:
            del self._releasing[request_id]  # it is said again later
            return []
        if sent is None or sent.routing != routing:
            return None
        del self._sent[request_id]
        return self._end(sent, why, certain=False)

    def failed(self, request_id: bytes, why: str) -> list[Send]:
        """A message could not be sent."""
        self._releasing.pop(request_id, None)  # it is said again later
        sent = self._sent.pop(request_id, None)
        return self._end(sent, why, certain=True) if sent is not None else []

    def lost(self, routing: bytes, why: str) -> None:
        """A connection is gone, with what was under way on it. Whether the node took it, its next report tells."""
        for request_id in [request_id for request_id, (at, _) in self._releasing.items() if at == routing]:
            del self._releasing[request_id]
        for request_id in [request_id for request_id, sent in self._sent.items() if sent.routing == routing]:
            sent = self._sent.pop(request_id)
            if sent.asking is not None:
                self._end(sent, why, certain=False)
                continue
            for grant in sent.grants:  # to be asked for once more
                grant.phase, grant.version = Phase.HELD, 0

    def gone(self, node: str) -> None:
        """A node is dead; should it come back, it registers."""
        self._untold.discard(node)

    def end(self, asking: Asking, why: str) -> None:
        """No answer will come: what is open is refused, also where the book has lost sight of it."""
        if asking not in self._askings:
            return
        for request_id in [request_id for request_id, sent in self._sent.items() if sent.asking is asking]:
            self._end(self._sent.pop(request_id), why, certain=False)
        if asking.open:
            for grant in asking.grants:
                if grant.phase is Phase.ASKED:
                    asking.refused.setdefault(grant.id, f"node {grant.node}: {why}")
            asking.open = 1
            self._close(asking)

    def fail_all(self, why: str) -> None:
        """The bridge closes: whoever waits is told."""
        for routing in {sent.routing for sent in self._sent.values()}:
            self.lost(routing, why)
        for asking in list(self._askings):
            self.end(asking, why)

    def tick(self, now: float) -> list[Send]:
        """Tells the time; to be called after the table's own tick."""
        self._now = now
        sends: list[Send] = []
        clock = self.nodes.clock
        for request_id, sent in list(self._sent.items()):
            if clock >= sent.deadline:
                del self._sent[request_id]
                for grant in sent.grants:
                    self._went_by_old_news(grant.node)
                sends += self._end(sent, "it did not answer in time", certain=False)
        if now >= self._renew_at:
            self._renew_at = now + self.lease / RENEWALS
            self._unwanted = {each: until for each, until in self._unwanted.items() if now < until}
            for node in list(self._by_node):
                sends += self._tend(node, now)
        return sends

    def _tend(self, node: str, now: float) -> list[Send]:
        """Renews what is held on a node, and says again what it has not confirmed to be released."""
        own = list(self._by_node[node].values())
        entry = self.nodes.find(node)
        if entry is None or not entry.connected:
            for grant in own:
                if now >= grant.until and (grant.phase is Phase.LEAVING or grant.owner is None):
                    self._remove(grant)
            return []
        held = [grant for grant in own if grant.phase is Phase.HELD and grant.owner is not None]
        leaving = [grant for grant in own if grant.phase is Phase.LEAVING]
        sends = self._releases(node, leaving)
        if entry.grants and entry.grants_known:
            sends += [self._message(entry, [], part, None) for part in _parts(held, IDS_PER_MESSAGE_MAX)]
        return sends

    # ---- The parts of it ---------------------------------------------------------------------------------------------

    def _put(self, node: str, grants: list[Grant]) -> None:
        by_node, placed = self._by_node.setdefault(node, {}), self._placed.setdefault(node, {})
        for grant in grants:
            self._by_id[grant.id] = by_node[grant.id] = grant
            placed.setdefault(grant.placed_by, {})[grant.id] = grant

    def _remove(self, grant: Grant) -> None:
        there = self._by_id.pop(grant.id, None)  # another one of its id, where that came again
        if there is None:
            return
        own, placed = self._by_node[there.node], self._placed[there.node]
        del own[there.id], placed[there.placed_by][there.id]
        if not placed[there.placed_by]:
            del placed[there.placed_by]
        if not own:
            del self._by_node[there.node], self._placed[there.node]
        entry = self.nodes.find(there.node)
        if entry is not None and there.phase is not Phase.LEAVING:  # nobody counted that any more
            self._touch(entry, [there])

    def _touch(self, entry: Entry, grants: list[Grant]) -> None:
        """What is held beside has changed, but for the session whose grants these are."""
        sessions = {grant.placed_by for grant in grants}
        self.nodes.touch(entry, by=sessions.pop() if len(sessions) == 1 else None)

    def _message(self, entry: Entry, grants: list[Grant], renew: list[Grant], asking: Asking | None) -> Send:
        request_id = new_id()
        deadline = self.nodes.clock + self.nodes.suspect_after
        self._sent[request_id] = _Sent(entry.routing, grants, renew, deadline, asking)
        if asking is not None:
            asking.open += 1
        for grant in itertools.chain(grants, renew):
            grant.until = self._now + 2 * self.lease  # from when the node reads it
        body = {
            "lease_ms": max(round(self.lease * 1000), 1),
            "grants": [grant.body() for grant in grants],
            "renew": [grant.id for grant in renew],
        }
        return entry.routing, Message(Header(Type.GRANT, request_id), body)

    def _releases(self, node: str, gone: list[Grant]) -> list[Send]:
        entry = self.nodes.find(node)
        if entry is None:  # dead: should it come back with them, they are released then
            self._disown([grant.id for grant in gone])
            for grant in gone:
                self._remove(grant)
            return []
        self._touch(entry, gone)
        if not entry.grants:
            for grant in gone:
                self._remove(grant)
            return []
        if not entry.connected:
            return []
        sends = []
        for part in _parts(gone, IDS_PER_MESSAGE_MAX):
            request_id = new_id()
            self._releasing[request_id] = entry.routing, part
            body = {"grants": [grant.id for grant in part]}
            sends.append((entry.routing, Message(Header(Type.RELEASE, request_id), body)))
        return sends

    def _end(self, sent: _Sent, why: str, certain: bool) -> list[Send]:
        """A GRANT that has no answer by which to go: all that it asks for is refused."""
        open_ = [grant for grant in sent.grants if grant.phase is Phase.ASKED]
        for grant in open_:
            self._refuse(sent, grant, why, certain)
        self._close(sent.asking)
        return [] if certain else self._released(open_)

    def _refuse(self, sent: _Sent, grant: Grant, why: str, certain: bool) -> None:
        told = f"node {grant.node}: {why}"
        if sent.asking is not None:
            sent.asking.refused[grant.id] = told
        elif grant.owner is not None and grant.phase is not Phase.LEAVING:
            _log.warning("a task's grant is lost: %s", told)
            self._dropped.setdefault(grant.owner, []).append(grant)
        if certain:
            self._remove(grant)

    def _close(self, asking: Asking | None) -> None:
        if asking is None:
            return
        asking.open -= 1
        if not asking.open:
            self._askings.discard(asking)
            self._later(asking.on_end)

    def _went_by_old_news(self, node: str) -> None:
        entry = self.nodes.find(node)
        if entry is not None:
            entry.stale = True
            self.nodes.touch(entry)


def _parts(items: list[Grant], size: int) -> list[list[Grant]]:
    return [items[begin : begin + size] for begin in range(0, len(items), size)]

"""`Bridge.session`: a session in the scheduler's process whose offers are those that the nodes report.

Before each call it follows the nodes. Offers of a dead node, and those that a node lists no longer, are removed with
their tasks. A node that is suspect, drains, or has not reported since it came back keeps its tasks and gets no more.
So does an offer that has become one which the bridge leaves out (`_roster.py`), or which does not go with the session's
options; where it was never another, it is not taken in at all.

What it places it takes by grants of the nodes (`_grants.py`), so that nobody else is given the same. A task that came
back by its grant (`restore`) is none of the core's: what it holds is taken off the records, as what others hold is, and
it counts for groups and quotas as `running` does.
"""

from __future__ import annotations

import dataclasses
import logging
import weakref
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from . import _inputs
from ._errors import FailedPrecondition, InvalidArgument
from ._fit import take_all_but, warning_of, words_of
from ._grant import Grant
from ._grant_desk import Answers, Desk
from ._held_beside import BY_OFFER, BY_STATE, about_of, as_running, closed, less_what_is_held
from ._inputs._groups import read_running
from ._match import cutter
from ._nodes import Reported
from ._session import Session, open_here
from ._session_core import SessionCore, SessionOffer, checked_names
from ._session_state import SessionResult
from ._wire import ID_BYTES, new_ids

ROUNDS = 3  # so often a call is matched anew where nodes refuse what it placed

_log = logging.getLogger("windlass.bridge")


class Offered(NamedTuple):
    """What a node offers, as it told; of that what a session can match on, and by name why not the others."""

    told: list[dict[str, Any]]
    fit: list[dict[str, Any]]
    unfit: Mapping[str, InvalidArgument]
    left_out: Mapping[str, str]  # by the bridge, for all sessions


NOTHING = Offered([], [], {}, {})


class BridgeSession(Session):
    """A Session that follows the nodes of a bridge; `Bridge.session` makes it."""

    def __init__(self, desk: Desk, options: dict[str, Any], bridge: object) -> None:
        restore = _ids_of(options.pop("restore", None))
        self._desk = desk
        self._bridge = bridge  # lives as long as its sessions
        self._owner = object()
        self._known: dict[str, int] = {}  # by node, the change that was seen last
        self._nodes: dict[str, Reported] = {}
        self._behind = False  # the core lacks something of what was seen
        self._offered: dict[str, Offered] = {}  # by node
        self._shown: dict[str, list[dict[str, Any]]] = {}  # by node, as the core is to have them
        self._seen: dict[Any, dict[str, Any]] = {}  # records as the core has them
        self._grants: dict[Any, Grant] = {}  # by task, of what is placed
        self._tasks: dict[bytes, Any] = {}  # the other way round
        self._restored: dict[Any, Grant] = {}  # by task, of what came back
        self._missing = dict(restore)  # by task, what no node has told of
        self._unminded = False  # of what came back the core was not told
        self._begin(SessionCore(open_here, cutter(), options), [], desk.turn())
        self._running = self._core.book.options.running
        self._finalizer = weakref.finalize(self, desk.forget_from_finalizer, self._owner)
        self._finalizer.atexit = False  # who ends without a word may come back for its grants
        try:
            self._claim(restore)
            self._mind_restored()
            self._follow()
            unfit = [error for each in self._offered.values() for error in each.unfit.values()]
            if unfit and not self._seen:  # not one is fit: the options are odd, and not the nodes
                raise unfit[0]
        except BaseException:
            self.close()
            raise
        self._core.version = 0

    def _claim(self, restore: dict[Any, bytes]) -> None:
        taken = self._desk.claim(self._owner, list(restore.values()))
        if taken:
            names = [name for name, each in restore.items() if each in taken]
            raise InvalidArgument(
                f"restore: the grants of {names!r} are another session's of this bridge",
                side="options",
                field="restore",
                value=names,
            )

    def match(self, tasks: Any) -> SessionResult:
        """Places tasks on what is left of the nodes that are alive, and takes it by grants of theirs."""
        with self._lock:
            version = self._core.version
            batch = self._core.read(tasks)  # once: what a generator has told, it tells no more
            for turn in range(1, ROUNDS + 1):
                with self._desk.placing:
                    self._follow()
                    result = self._core.place(batch)
                    granted = self._wanted(result)
                    answers = self._ask(granted)
                refused = self._answered(granted, answers)
                if refused and turn < ROUNDS:
                    self._take_back(granted, granted)
                    continue
                self._book(granted, self._refuse(result, granted, refused) if refused else ())
                break
            if self._core.version > version + 1:
                self._core.version = version + 1
            result.warnings += warning_of(self._left_out(), "session.left_out() tells of each")
            return result

    def _wanted(self, result: SessionResult) -> dict[Any, Grant]:
        """By task, what is to be asked for."""
        whole = self._core.book.options.mode == "exclusive"
        found = {}
        for each, took in zip(new_ids(len(result.placed_rows)), result.placed(about_of), strict=True):
            node = self._node_of[took.offer]
            found[took.name] = Grant(
                each,
                node.name,
                took.offer,
                node.offers_version,
                took.units,
                took.devices,
                whole,
                took.about,
                self._owner,
            )
        return found

    def _ask(self, granted: dict[Any, Grant]) -> Answers | None:
        if not granted:
            return None
        incarnations = {grant.node: self._nodes[grant.node].incarnation for grant in granted.values()}
        try:
            return self._desk.ask(list(granted.values()), incarnations)
        except BaseException:
            self._take_back(granted, granted)
            raise

    def _answered(self, granted: dict[Any, Grant], answers: Answers | None) -> dict[Any, str]:
        """Why, by name, of what was refused."""
        if answers is None:
            return {}
        try:
            why = answers.wait()
        except BaseException:  # Ctrl-C: nobody will know what was placed
            self._take_back(granted, granted)
            raise
        return {name: why[grant.id] for name, grant in granted.items() if grant.id in why}

    def _take_back(self, names: Iterable[Any], granted: Mapping[Any, Grant]) -> None:
        """Undoes placements of this call."""
        names = list(names)
        self._core.release(names)
        self._desk.release([granted[name].id for name in names])

    def _refuse(self, result: SessionResult, granted: dict[Any, Grant], refused: dict[Any, str]) -> Iterable[Any]:
        """Undoes what was refused, with the gangs that lack a member by that, and has the result tell so; answers what
        that is."""
        blocked = result.gangs_of(refused)
        self._take_back([*refused, *blocked], granted)
        result.refuse(refused, blocked)
        return {*refused, *blocked}

    def _book(self, granted: dict[Any, Grant], undone: Iterable[Any]) -> None:
        """The rest of what was granted holds: from here on `grants` tells of it."""
        held = {name: grant for name, grant in granted.items() if name not in undone}
        self._tasks.update((grant.id, name) for name, grant in held.items())
        self._grants.update(held)

    def release(self, names: Iterable[Any]) -> int:
        """Ends tasks, by name, and gives their grants back; answers how many of the names were found."""
        with self._lock:
            wanted = list(checked_names(names, "tasks"))
            count = self._core.release(wanted)
            back = [grant for name in wanted if (grant := self._grants.pop(name, None)) is not None]
            for grant in back:
                del self._tasks[grant.id]
            returned = [grant for name in wanted if (grant := self._restored.pop(name, None)) is not None]
            lost = [each for name in wanted if (each := self._missing.pop(name, None)) is not None]
            self._desk.give_up(lost)
            self._desk.release([grant.id for grant in back + returned])
            if returned or lost:
                self._mind_restored()
            if count == 0 and returned:
                self._core.version += 1
            return count + len(returned) + len(lost)

    def offers(self) -> list[SessionOffer]:
        """The offers as they stand, less what others hold; those of nodes that take no new tasks let nobody in."""
        with self._lock:
            self._follow()
            found = super().offers()
            by_offer: dict[Any, list[Any]] = {}
            for name, grant in self._restored.items():
                by_offer.setdefault(grant.offer, []).append(name)
            for offer in found:
                offer.tasks += by_offer.get(offer["name"], [])
            return found

    def grants(self) -> dict[Any, str]:
        """{task name: grant id} of the tasks that hold their place: what `restore` of a later session takes.

        Waits for nobody: where another thread is in a call, the tasks of that call may be there or not.
        """
        held = self._restored.copy(), self._grants.copy()  # nothing comes between a copy, so it needs no lock
        return {name: grant.id.hex() for each in held for name, grant in each.items()}

    def missing(self) -> dict[Any, str]:
        """{task name: grant id} of what was to be restored and no node has told of so far."""
        with self._lock:
            self._follow()
            return {name: each.hex() for name, each in self._missing.items()}

    def left_out(self) -> dict[Any, str]:
        """{offer name: why} of offers of the nodes that something is wrong with: they get no tasks of this session."""
        with self._lock:
            self._follow()
            return self._left_out()

    def _left_out(self) -> dict[Any, str]:
        found: dict[Any, str] = {}
        for each in self._offered.values():
            found.update(each.left_out)
            found.update((name, words_of(error)) for name, error in each.unfit.items())
        return found

    def close(self) -> None:
        """Gives all grants back and ends the session; calling it again does nothing."""
        with self._lock:
            self._core.close()
            if self._finalizer.detach() is not None:
                self._desk.forget(self._owner)

    def add(self, offers: Any) -> None:
        """Refused: nodes bring the offers."""
        raise _theirs("add")

    def update(self, offers: Any) -> None:
        """Refused: nodes bring the offers."""
        raise _theirs("update")

    def remove(self, names: Iterable[Any]) -> int:
        """Refused: nodes bring the offers."""
        raise _theirs("remove")

    # ---- Following the nodes -----------------------------------------------------------------------------------------

    def _follow(self) -> None:
        _ = self._core.backend  # a closed session is told before anything else
        seen = self._desk.look(self._owner, self._known)
        self._forget_dropped(seen.dropped)
        there = {node.name for node in seen.nodes}
        for name in [name for name in self._nodes if name not in there]:
            self._behind = True
            del self._nodes[name]
            self._known.pop(name, None)
            self._offered.pop(name, None)
            self._shown.pop(name, None)
        changed = [node for node in seen.nodes if self._known.get(node.name) != node.change]
        if changed or self._behind:
            self._behind = True  # what is not in the core at the end, whatever ends this, the next call brings in
            self._sort_out(changed)
            for node in changed:
                held = seen.beside[node.name]
                self._take_restored(held)
                self._nodes[node.name] = node
                self._show(node, held)
            self._bring_in()
            if self._unminded:
                self._mind_restored()
            self._known.update((node.name, node.change) for node in changed)
            self._behind = False

    def _sort_out(self, nodes: list[Reported]) -> None:
        """Finds out which offers of nodes can be matched on here; of those that are as they were that is known."""
        told = {node.name: (node.offers, node.left_out) for node in nodes if node.offers is not None}
        fresh = {name: own for name, (own, _) in told.items() if own != self._offered.get(name, NOTHING).told}
        records = [(name, record) for name, own in fresh.items() for record in own]
        unfit: dict[str, dict[str, InvalidArgument]] = {name: {} for name in fresh}
        for (name, record), error in take_all_but(records, lambda part: self._core.admit([each for _, each in part])):
            unfit[name][record["name"]] = error
        for name, (own, left_out) in told.items():
            errors = unfit[name] if name in fresh else self._offered.get(name, NOTHING).unfit
            fit = [record for record in own if record["name"] not in errors]
            self._offered[name] = Offered(own, fit, errors, left_out)
        odd = [each for errors in unfit.values() for each in errors.items()]
        if odd:
            told_of = f"{odd[0][0]!r}: {words_of(odd[0][1])}"
            _log.warning("a session leaves out %d offers that do not go with it, the first %s", len(odd), told_of)

    def _show(self, node: Reported, held: list[Grant]) -> None:
        book, offered = self._core.book, self._offered.get(node.name, NOTHING)
        records = less_what_is_held(offered.fit, held, book, book.options.mode == "exclusive")
        if not node.alive or not node.reported:
            records = [closed(record, BY_STATE) for record in records]
        names = {record["name"] for record in records}
        kept = [name for name in (*offered.left_out, *offered.unfit) if name in self._seen and name not in names]
        self._shown[node.name] = records + [closed(self._seen[name], BY_OFFER) for name in kept]

    def _bring_in(self) -> None:
        wanted = {record["name"]: record for name in self._nodes for record in self._shown[name]}
        gone = [name for name in self._seen if name not in wanted]
        if gone:
            self._give_back_what_was_on(set(gone))
            self._core.remove(gone)
            self._seen = {name: record for name, record in self._seen.items() if name in wanted}
        self._node_of = {record["name"]: node for name, node in self._nodes.items() for record in self._shown[name]}
        fresh = {name for name in wanted if name not in self._seen}
        if fresh:  # whole at first: what is largest is the measure, whoever holds it
            fit = (record for node in self._nodes for record in self._offered.get(node, NOTHING).fit)
            whole = [record for record in fit if record["name"] in fresh]
            self._core.add(whole)
            self._seen.update((record["name"], record) for record in whole)
        changed = [record for name, record in wanted.items() if self._seen[name] != record]
        if changed:
            self._core.update(changed)
            self._seen.update((record["name"], record) for record in changed)

    def _give_back_what_was_on(self, offers: set[Any]) -> None:
        gone = [name for name, grant in self._grants.items() if grant.offer in offers]
        back = [self._grants.pop(name).id for name in gone]
        for each in back:
            del self._tasks[each]
        returned = [name for name, grant in self._restored.items() if grant.offer in offers]
        back += [self._restored.pop(name).id for name in returned]
        if returned:
            self._mind_restored()
        self._desk.release(back)

    def _forget_dropped(self, dropped: list[Grant]) -> None:
        names = [self._tasks.pop(grant.id) for grant in dropped if grant.id in self._tasks]
        for name in names:
            del self._grants[name]
        if names:
            self._core.release(names)
        ids = {grant.id for grant in dropped}
        returned = [name for name, grant in self._restored.items() if grant.id in ids]
        for name in returned:
            del self._restored[name]
        if returned:
            self._mind_restored()

    def _take_restored(self, held: list[Grant]) -> None:
        """A node may tell of grants that were missing."""
        awaited = {each: name for name, each in self._missing.items()}
        found = {awaited[grant.id]: grant for grant in held if grant.id in awaited}
        for name, grant in found.items():
            self._restored[name] = grant
            del self._missing[name]
            self._unminded = True

    def _mind_restored(self) -> None:
        """Tasks that came back count for groups and quotas, and their names are taken."""
        book = self._core.book
        self._unminded = False
        back = [as_running(grant, self._seen.get(grant.offer)) for grant in self._restored.values()]
        entries = [*(self._running or ()), *back]
        book.running = read_running(entries, book.cut)
        book.options = dataclasses.replace(book.options, running=entries or None)
        book.learn((), [kind for entry in back for kind in entry["devices"]])
        self._core.elsewhere = {**self._restored, **self._missing}


def _ids_of(restore: Any) -> dict[Any, bytes]:
    if restore is None:
        return {}
    if not isinstance(restore, Mapping):
        raise _inputs.fault("options", "restore", restore, "a mapping {task name: grant id}")
    found: dict[Any, bytes] = {}
    for name, given in restore.items():
        try:
            found[name] = bytes.fromhex(given)
        except (TypeError, ValueError):
            found[name] = b""
        if len(found[name]) != ID_BYTES:
            raise _inputs.fault("options", "restore", given, f"32 hex digits for {name!r}, as session.grants() tells")
    if len(set(found.values())) < len(found):
        raise _inputs.fault("options", "restore", dict(restore), "an id of its own for each task")
    return found


def _theirs(call: str) -> FailedPrecondition:
    return FailedPrecondition(f"{call}() is not for a bridge's session: its offers are what the nodes report")

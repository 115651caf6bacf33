"""What the bridge does with each message: takes it and the time, answers what is to be sent. No socket, no clock.

Used by the bridge's thread under the bridge's lock, which is why callers are not told here: `untold` collects that.
Requests of the bridge's own (STAGE) live in `requests`; only the node that a request went to can answer it.
"""

from __future__ import annotations

import logging
import secrets
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from . import __version__, _wire
from ._credits import FEATURE
from ._errors import Code, NotFound, ResourceExhausted, Unavailable, WindlassError
from ._flow import WAITING_MAX, Flow
from ._grant import Send
from ._grants import GrantBook
from ._listed_grants import listed_fault
from ._nodes import Entry, NodeTable, State
from ._reply import error_of_body
from ._requests import Request, Requests
from ._seldom import Seldom
from ._wire import Header, Message, Type

OBSERVERS_MAX = 1000
NODES_MAX = 65_536
NAME_BYTES_MAX = 255
LABELS_MAX = 1024

_ANSWERS = frozenset({Type.RESULT, Type.ERROR, Type.WELCOME})  # never answered, whatever is wrong with them
_SPOKEN = f"{_wire.VERSION} to {_wire.VERSION}"

_log = logging.getLogger("windlass.bridge")


class BridgeCore:
    """`handle` answers what to send; `untold` is to be run once the lock is released."""

    def __init__(
        self, *, beat: float, suspect_after: float, dead_after: float, now: float, lease: float = 120.0
    ) -> None:
        self.nodes = NodeTable(beat=beat, suspect_after=suspect_after, dead_after=dead_after, now=now)
        self.untold: list[Callable[[], None]] = []
        self.requests = Requests(judge_silence=False, later=self.untold.append)  # a node's beats tell whether it lives
        self.flow = Flow()
        self.grants = GrantBook(self.nodes, lease=lease, now=now, later=self.untold.append)
        self.incarnation = secrets.token_hex(8)
        self.dropped = 0
        self._seldom = Seldom()
        self._timing = {
            "beat_ms": round(beat * 1000),
            "suspect_ms": round(suspect_after * 1000),
            "dead_ms": round(dead_after * 1000),
        }
        self._observers: OrderedDict[bytes, None] = OrderedDict()
        self._at: dict[bytes, bytes] = {}  # request id -> routing id
        self._followed: set[bytes] = set()  # requests that were asked after over a new connection
        self._handlers: dict[int, Callable[[bytes, Message, float], list[Send]]] = {
            Type.HELLO: self._hello,
            Type.LOAD: self._load,
            Type.PROGRESS: self._progress,
            Type.RESULT: self._outcome,
            Type.ERROR: self._outcome,
            Type.DRAIN: self._drain,
            Type.BYE: self._bye,
            Type.NODES: self._nodes,
            Type.CANCEL: self._cancel,
        }

    def handle(self, routing: bytes, message: Message, now: float) -> list[Send]:
        kind = message.header.type
        if message.header.version != _wire.VERSION and kind != Type.HELLO:  # whose body tells the versions
            said = f"version {message.header.version} of the protocol is not spoken here, only {_SPOKEN}"
            return [] if kind in _ANSWERS else [_error(routing, message, Code.FAILED_PRECONDITION, said)]
        handler = self._handlers.get(kind)
        if handler is None:
            said = f"a bridge takes no message {kind}"
            return [] if kind in _ANSWERS else [_error(routing, message, Code.UNIMPLEMENTED, said)]
        return handler(routing, message, now)

    def tick(self, now: float, drained: bool) -> list[Send]:
        """Judges the nodes; requests to those who died end UNAVAILABLE. Answers what leases need."""
        for entry in self.nodes.tick(now, drained):
            self._gone(entry, f"node {entry.name} is dead: nothing was heard of it for too long")
        self.flow.resume()
        self.flow.sweep(now, lambda request_id: self.requests.get(request_id) is not None)
        return self.grants.tick(now)

    def submit(self, node: str, request: Request, now: float) -> WindlassError | None:
        """A STAGE for a node: it stands in line, to leave by `flow.next`; or why not."""
        self.requests.add(request, now)
        entry = self.nodes.find(node)
        if entry is None:
            return NotFound(f"there is no node {node!r} here; bridge.nodes() lists those that are")
        if entry.state == State.DEAD:
            return Unavailable(f"node {node} is dead")
        if entry.draining:
            return Unavailable(_drains(node))
        if not self.flow.wait(node, request):
            said = f"{WAITING_MAX} calls wait for node {node} already, as many as may: wait for some to be accepted"
            return ResourceExhausted(said, retryable=True, retry_after=1.0)
        return None

    def sent(self, request: Request, routing: bytes, now: float) -> None:
        """A request has gone to a node."""
        self.flow.sent(request, now)
        self._at[request.id] = routing
        request.sent = True
        request.sink.going_out()
        self.requests.expect(request, now)

    def overdue(self, request: Request) -> WindlassError:
        """How a request ends that was not accepted in its time."""
        if request.sent:
            return request.silence("the node")
        said = f"the node was still busy accepting other calls after {request.timeout:g} s, so this one was not sent"
        return ResourceExhausted(said, retryable=True, retry_after=1.0)

    def route_of(self, request_id: bytes) -> bytes | None:
        """The node a request under way went to."""
        return self._at.get(request_id)

    def end(self, request_id: bytes, outcome: Any) -> None:
        self._at.pop(request_id, None)
        self._followed.discard(request_id)
        self.flow.drop(request_id)
        self.requests.end(request_id, outcome)

    def lose(self, routing: bytes, why: str) -> None:
        """All requests to a node end: it will not answer."""
        self.grants.lost(routing, why)
        for request_id in [request_id for request_id, at in self._at.items() if at == routing]:
            self.end(request_id, Unavailable(why))

    def _gone(self, entry: Entry, why: str) -> None:
        """A node is no more: also what waited for it ends."""
        self.lose(entry.routing, why)
        self.grants.gone(entry.name)
        self._end_waiting(entry, why)

    def _end_waiting(self, entry: Entry, why: str) -> None:
        for request_id in self.flow.ended(entry.name):
            self.end(request_id, Unavailable(why))

    def unread(
        self, routing: bytes, request_id: bytes | None, message: Message | None, why: str, now: float
    ) -> list[Send]:
        """A message that cannot be read, or was not thought of: what it answers ends, and whoever asks is told."""
        self.dropped += 1
        entry = self.nodes.of(routing)
        who = f"node {entry.name}" if entry is not None else "a peer that is no node"
        unsaid = self._seldom.due(who, now)
        if unsaid is not None:
            _log.warning("%s sent what the protocol does not allow: %s; %d more since the last time", who, why, unsaid)
        if request_id is None:
            return []
        self.flow.heard(routing, request_id)
        sends = self.grants.unread(routing, request_id, f"its answer cannot be read: {why}")
        if sends is not None:
            return sends
        if self._at.get(request_id) == routing:
            self.end(request_id, Unavailable(f"{who} sent an answer that cannot be read: {why}"))
            return [(routing, Message(Header(Type.CANCEL, _wire.new_id()), {"request": request_id}))]
        if message is None:
            return [_error_to(routing, request_id, Code.INVALID_ARGUMENT, why)]
        return [] if message.header.type in _ANSWERS else [_error(routing, message, Code.INTERNAL, why)]

    # ---- Handlers ----------------------------------------------------------------------------------------------------

    def _hello(self, routing: bytes, message: Message, now: float) -> list[Send]:
        body = message.body
        wrong = _version_fault(body.get("versions"))
        if wrong:
            return [_error(routing, message, Code.FAILED_PRECONDITION, wrong)]
        role = body.get("role")
        questions: list[Send] = []
        if role == "observer":
            self._observers[routing] = None
            self._observers.move_to_end(routing)
            if len(self._observers) > OBSERVERS_MAX:
                self._observers.popitem(last=False)
        elif role == "node":
            answer = self._register(routing, body)
            if isinstance(answer, str):
                return [_error(routing, message, Code.INVALID_ARGUMENT, answer)]
            questions = answer
        else:
            return [_error(routing, message, Code.PERMISSION_DENIED, "a bridge serves nodes and observers")]
        welcome = {
            "version": _wire.VERSION,
            "features": [FEATURE],
            "software": f"windlass-python/{__version__}",
            "name": "bridge",
            "incarnation": self.incarnation,
            **self._timing,
        }
        return [(routing, Message(Header(Type.WELCOME, message.header.id), welcome)), *questions]

    def _register(self, routing: bytes, body: dict[str, Any]) -> str | list[Send]:
        """What is wrong, or what the node is to be asked."""
        name, incarnation, labels = body.get("name"), body.get("incarnation"), body.get("labels") or {}
        if not isinstance(name, str) or not 0 < len(name.encode()) <= NAME_BYTES_MAX:
            return f"a node's name is a str of 1 to {NAME_BYTES_MAX} bytes"
        if not isinstance(incarnation, str) or routing != f"{name}/{incarnation}".encode():
            return "a node's routing id is its name/incarnation"
        if not _are_labels(labels):
            return f"labels are at most {LABELS_MAX} str by str"
        if self.nodes.find(name) is None and len(self.nodes) >= NODES_MAX:
            return f"this bridge holds {NODES_MAX} nodes, which is all it takes"
        older = self.nodes.register(routing, name, incarnation, str(body.get("software", "")), labels)
        entry = self.nodes.find(name)
        assert entry is not None  # it has just registered
        features, entry.process = body.get("features"), str(body.get("process") or "")
        entry.grants = isinstance(features, list) and "grant" in features
        self.grants.registered(entry)
        self.flow.connected(name, routing, body)
        _log.info("node %s has registered, incarnation %s", name, incarnation)
        if older is None:
            return []
        if entry.process and entry.process == older.process:
            return self._follow(older.routing, routing, name)
        self.lose(older.routing, f"node {name} has started anew; what ran on its earlier incarnation is lost")
        return []

    def _follow(self, older: bytes, newer: bytes, name: str) -> list[Send]:
        """The connection was lost and not the node: what it had accepted runs on, and is asked after."""
        questions = []
        for request_id in [request_id for request_id, at in self._at.items() if at == older]:
            request = self.requests.get(request_id)
            if request is not None and request.accepted:
                self._at[request_id] = newer
                self._followed.add(request_id)
                questions.append((newer, Message(Header(Type.PROGRESS, request_id))))
        self.lose(older, f"the connection to node {name} was lost before it had accepted the call")
        return questions

    def _load(self, routing: bytes, message: Message, now: float) -> list[Send]:
        entry = self.nodes.of(routing)
        if entry is None:
            return [_say_hello(routing, message)]
        load, offers = message.body.get("load"), message.body.get("offers")
        if not isinstance(load, dict) or not (offers is None or isinstance(offers, list)):
            return [_error(routing, message, Code.INVALID_ARGUMENT, "a LOAD has a report, and offers in a list")]
        held, version = message.body.get("grants"), message.body.get("grants_version")
        wrong = listed_fault(held) if held is not None else None
        if wrong:
            return [_error(routing, message, Code.INVALID_ARGUMENT, wrong)]
        if held is not None and not entry.grants_known:
            entry.grants_known = True
            self.nodes.touch(entry)
        self.nodes.report(entry, load, offers, _count(message.body.get("offers_version")))
        sends = self.grants.report(entry, _count(version), held)
        if entry.draining:
            self._end_waiting(entry, _drains(entry.name))
        if _are_labels(load.get("labels")):
            entry.labels = load["labels"]  # a node may change them while it runs
        seen = {"sequence": load.get("sequence", 0)}
        return [(routing, Message(Header(Type.RESULT, message.header.id), seen)), *sends]

    def _progress(self, routing: bytes, message: Message, now: float) -> list[Send]:
        self.flow.heard(routing, message.header.id)
        if self._heard(routing, message) is not None:
            self.requests.advance(message.header.id, message.body, now)
        return []

    def _outcome(self, routing: bytes, message: Message, now: float) -> list[Send]:
        entry = self.nodes.of(routing)
        self.flow.heard(routing, message.header.id)
        if entry is not None:
            sends = self.grants.answered(routing, message)
            if sends is not None:
                self.nodes.heard(entry)
                return sends
        if self._heard(routing, message) is None:
            return []
        request = self.requests.get(message.header.id)
        unknown = message.header.type == Type.ERROR and message.body.get("code") == Code.NOT_FOUND
        if unknown and request is not None and request.asked_after and not request.accepted:
            request.asked_after = False  # it never came: ZeroMQ loses what a broken connection had in hand
            self.flow.again(routing, request)
            return []
        self.end(message.header.id, self._outcome_of(message))
        return []

    def _outcome_of(self, message: Message) -> Message | WindlassError:
        if message.header.type != Type.ERROR:
            return message
        if message.header.id in self._followed and message.body.get("code") == Code.NOT_FOUND:
            return Unavailable("the connection to the node was lost for so long that it has forgotten how this ended")
        return error_of_body(message.body)

    def _drain(self, routing: bytes, message: Message, now: float) -> list[Send]:
        entry = self.nodes.of(routing)
        if entry is None:
            return [_say_hello(routing, message)]
        self.nodes.drain(entry)
        self._end_waiting(entry, _drains(entry.name))
        return []

    def _bye(self, routing: bytes, message: Message, now: float) -> list[Send]:
        self._observers.pop(routing, None)
        entry = self.nodes.of(routing)
        if entry is not None:
            self.nodes.end(entry)
            self._gone(entry, f"node {entry.name} has ended")
            _log.info("node %s has ended", entry.name)
        return []

    def _nodes(self, routing: bytes, message: Message, now: float) -> list[Send]:
        if routing not in self._observers:
            return [_say_hello(routing, message)]
        return [(routing, Message(Header(Type.RESULT, message.header.id), {"nodes": self.nodes.snapshot()}))]

    def _cancel(self, routing: bytes, message: Message, now: float) -> list[Send]:
        return [(routing, Message(Header(Type.RESULT, message.header.id), {"cancelled": False}))]

    def _heard(self, routing: bytes, message: Message) -> Entry | None:
        """The node, where it is registered and the message belongs to a request that went to it."""
        entry = self.nodes.of(routing)
        if entry is None:
            self.dropped += 1
            return None
        self.nodes.heard(entry)
        if self._at.get(message.header.id) != routing:
            return None  # of a request that has ended, or the answer to a CANCEL
        return entry


def _version_fault(versions: Any) -> str | None:
    if not isinstance(versions, list) or len(versions) != 2 or not all(type(part) is int for part in versions):
        return "HELLO tells the versions as [lowest, highest]"
    lowest, highest = versions
    if not 0 <= lowest <= highest < 2**32:
        return f"versions {lowest} to {highest} are none: HELLO tells them as [lowest, highest]"
    if not lowest <= _wire.VERSION <= highest:
        return f"the other side speaks versions {lowest} to {highest}, this bridge {_SPOKEN}"
    return None


def _drains(node: str) -> str:
    return f"node {node} drains: it takes no new work"


def _count(value: Any) -> int:
    return value if type(value) is int and value >= 0 else 0


def _are_labels(labels: Any) -> bool:
    return (
        isinstance(labels, dict)
        and len(labels) <= LABELS_MAX
        and all(isinstance(key, str) and isinstance(value, str) for key, value in labels.items())
    )


def _say_hello(routing: bytes, message: Message) -> Send:
    return _error(routing, message, Code.FAILED_PRECONDITION, "say HELLO first")


def _error(routing: bytes, message: Message, code: Code, text: str) -> Send:
    return _error_to(routing, message.header.id, code, text)


def _error_to(routing: bytes, request_id: bytes, code: Code, text: str) -> Send:
    return routing, Message(Header(Type.ERROR, request_id), {"code": int(code), "message": text, "retryable": False})

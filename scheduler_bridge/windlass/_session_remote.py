"""A session in the daemon: SESSION messages (proto/protocol.md) over the client's channel.

No fallback: what the daemon keeps nobody else has. Where it is not known whether a change was done, the session is
given up; tasks of a match whose answer was lost are released before the next call.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from ._errors import (
    Code,
    FailedPrecondition,
    InvalidArgument,
    ResourceExhausted,
    Unavailable,
    Unimplemented,
    WindlassError,
)
from ._fields import Odd, maps, whole
from ._inputs._options import Options
from ._match_remote import Columns, Reader, check, odd, read_placement
from ._problem import I64, Placement
from ._session_backend import Ask, Change, View
from ._wire import Column, Message, Type, declare

_NOT_BEGUN = (InvalidArgument, ResourceExhausted, Unimplemented)


class Caller(Protocol):
    """The part of Client that is needed here."""

    def call(self, kind: Type, body: dict[str, Any], columns: Sequence[Column] = ()) -> Message:
        """Sends one request and waits for its RESULT."""

    def tell_from_finalizer(self, kind: Type, body: dict[str, Any]) -> None:
        """Sends one request whose answer nobody waits for. It takes no lock and never raises."""


class RemoteSession:
    """One session of one client. One thread at a time."""

    is_remote = True

    def __init__(self, client: Caller, options: Options) -> None:
        self._client = client
        body: dict[str, Any] = {
            "op": "open",
            "mode": options.mode,
            "policy": options.policy,
            "ties": options.ties,
            "normalize": options.normalize,
        }
        if options.max_score is not None:
            body["max_score"] = float(options.max_score)
        if options.max_price is not None:
            body["max_price"] = int(options.max_price)
        answer = client.call(Type.SESSION, body).body
        self._number = _count(answer, "session")
        self._version = _count(answer, "version")
        self._lost: str | None = None
        self._unsure: I64 | None = None  # numbers of tasks whose match was not answered
        self._finalizer = weakref.finalize(self, _forget, client, self._number)

    def require(self) -> None:
        if self._lost is not None:
            raise FailedPrecondition(f"the session is over, as {self._lost}. Open a new one")

    def apply(self, change: Change) -> None:
        self._settle()
        columns = Columns(change.columns)
        updates = len(change.numbers) - change.adds
        body: dict[str, Any] = {
            "op": "change",
            "adds": change.adds,
            "updates": updates,
            "removes": len(change.removes),
            "releases": len(change.releases),
            "dimensions": change.dimensions,
            "rescale": change.rescale,
            "weights": change.weights,
            "scale": change.scale,
            "constraints": change.constraints,
        }
        if len(change.numbers):
            body["offer_numbers"] = columns.add(change.numbers)
            body["offer_amounts"] = [columns.add(column) for column in change.amounts]
        for name, column in (("remove_numbers", change.removes), ("release_numbers", change.releases)):
            if len(column):
                body[name] = columns.add(column)
        if change.price is not None:
            body["price"] = columns.add(change.price)
        body["columns"] = declare(columns.all)
        try:
            answer = self._call(body, columns.all)
            self._version = _count(answer.body, "version")
        except _NOT_BEGUN:
            raise
        except BaseException as error:
            self._lose(f"it is not known whether a change was done: {error}")
            raise

    def match(self, ask: Ask) -> Placement:
        self._settle()
        problem = ask.problem
        columns = Columns(problem.columns)
        body: dict[str, Any] = {
            "op": "match",
            "tasks": problem.tasks,
            "dimensions": len(problem.dimensions),
            "task_numbers": columns.add(ask.numbers),
            "task_amounts": [columns.add(column) for column in problem.task_amounts],
            "constraints": problem.constraints or {},
        }
        if problem.priority is not None:
            body["priority"] = columns.add(problem.priority)
        body["columns"] = declare(columns.all)
        try:
            answer = self._call(body, columns.all)
            placement = read_placement(answer, problem)
            placement.offer_number = Reader(answer).wanted("offer_number", np.int64, problem.tasks)
            check(placement, problem)
            if np.any((placement.offer_number >= 0) != (placement.offer_index >= 0)):
                raise odd("offer_number and offer_index differ in what is placed")
            if problem.tasks:  # without any it may go untold: nothing has changed
                self._version = _count(answer.body, "version")
        except _NOT_BEGUN:
            raise
        except BaseException:
            self._unsure = ask.numbers
            raise
        return placement

    def view(self) -> View | None:
        self._settle()
        answer = self._call({"op": "offers"}, ())
        reader, count = Reader(answer), _count(answer.body, "offers")
        dimensions = _count(answer.body, "dimensions")
        free = answer.body.get("free_amounts")
        if not isinstance(free, list) or len(free) != dimensions:
            raise odd("free_amounts are not one for each dimension")
        devices = {}
        try:
            kinds = maps(answer.body, "devices")
        except Odd as error:
            raise odd(str(error)) from None
        for kind in kinds:
            own = Reader(Message(answer.header, kind, answer.columns))
            begin = own.wanted("begin", np.int64, count + 1)
            shares = own.wanted("shares", np.int64, int(begin[-1]))
            devices[_count(kind, "dimension")] = begin, shares
        return View(
            numbers=reader.wanted("offer_numbers", np.int64, count),
            free=[reader.numbered("free_amounts", each, np.int64, count) for each in free],
            scale=reader.wanted("scale", np.int64, dimensions),
            devices=devices,
        )

    def close(self) -> None:
        if self._finalizer.detach() is not None and self._lost is None:
            with contextlib.suppress(WindlassError):
                self._client.call(Type.SESSION, {"op": "close", "session": self._number})
        self._lose("it was closed")

    # ---- One request -------------------------------------------------------------------------------------------------

    def _lose(self, why: str) -> None:
        self._lost = self._lost or why
        self._finalizer.detach()

    def _settle(self) -> None:
        """Takes back what a match may have placed that was not answered."""
        self.require()
        numbers = self._unsure
        if numbers is None:
            return
        body: dict[str, Any] = {"op": "change", "expect": -1, "releases": len(numbers), "release_numbers": 0}
        body["columns"] = declare([numbers])
        self._version = _count(self._call(body, [numbers]).body, "version")
        self._unsure = None

    def _call(self, body: dict[str, Any], columns: Sequence[Column]) -> Message:
        """A request of this session. One that was lost with its connection is asked again: the daemon knows no session
        of a new connection, and says so."""
        body = {"session": self._number, "expect": self._version, **body}
        try:
            try:
                return self._client.call(Type.SESSION, body, columns)
            except Unavailable:
                return self._client.call(Type.SESSION, body, columns)
        except FailedPrecondition as error:
            self._lose("the daemon does not know it any more")
            raise FailedPrecondition(f"the session is gone with its daemon or connection: {error}") from error
        except Unavailable:
            self._lose("its daemon went away")
            raise
        except WindlassError as error:
            if error.code != Code.ABORTED:
                raise
            self._lose("the daemon holds another version of it")
            raise FailedPrecondition(f"the session is not as this client left it: {error}") from error


def _forget(client: Caller, number: int) -> None:
    """Ends a session that nobody refers to any more."""
    client.tell_from_finalizer(Type.SESSION, {"op": "close", "session": number})


def _count(body: dict[str, Any], name: str) -> int:
    try:
        return whole(body, name, None)
    except Odd as error:
        raise odd(str(error)) from None

"""A Problem as a MATCH message, and the RESULT as a Placement. No socket here; no answer is trusted."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from . import _native, _wire
from ._errors import Unavailable
from ._fields import Odd, text
from ._problem import Placement, Problem
from ._wire import Column, Message


class Columns:
    """Collects the column frames of a message; `add` answers a column's number."""

    def __init__(self, first: list[Column]) -> None:
        self.all = list(first)

    def add(self, column: Column | None) -> int | None:
        if column is None:
            return None
        self.all.append(column)
        return len(self.all) - 1


def encode_problem(problem: Problem) -> tuple[dict[str, Any], list[Column]]:
    """The body and the columns of MATCH. The problem's own columns come first, so `constraints` needs no change."""
    columns = Columns(problem.columns)
    body: dict[str, Any] = {
        "mode": problem.mode,
        "policy": problem.policy,
        "ties": problem.ties,
        "normalize": problem.normalize,
        "tasks": problem.tasks,
        "offers": problem.offers,
        "dimensions": len(problem.dimensions),
        "weights": [int(weight) for weight in problem.weights],
        "scale": [int(amount) for amount in problem.scale],
        "task_amounts": [columns.add(column) for column in problem.task_amounts],
        "offer_amounts": [columns.add(column) for column in problem.offer_amounts],
    }
    if problem.max_score is not None:
        body["max_score"] = float(problem.max_score)
    if problem.max_price is not None:
        body["max_price"] = int(problem.max_price)
    priority, price = problem.priority, problem.price
    if priority is None and problem.tasks > _wire.BARE_ROWS_MAX:  # so many need a column, whatever it says
        priority = np.zeros(problem.tasks, np.int32)
    if price is None and problem.offers > _wire.BARE_ROWS_MAX:
        price = np.full(problem.offers, -1, np.int64)
    if priority is not None:
        body["priority"] = columns.add(priority)
    if price is not None:
        body["price"] = columns.add(price)
    if problem.constraints:
        body["constraints"] = problem.constraints
    body["columns"] = _wire.declare(columns.all)
    return body, columns.all


def decode_placement(message: Message, problem: Problem) -> Placement:
    """The Placement of a RESULT; Unavailable (so that the call falls back) where it cannot be one for this problem."""
    placement = read_placement(message, problem)
    check(placement, problem)
    return placement


def read_placement(message: Message, problem: Problem) -> Placement:
    """The columns of a RESULT; what they say is not looked at."""
    reader = Reader(message)
    tasks = problem.tasks
    placement = Placement(
        offer_index=reader.wanted("offer_index", np.int32, tasks),
        order=reader.wanted("order", np.int32, tasks),
        score_high=reader.wanted("score_high", np.int64, tasks),
        score_low=reader.wanted("score_low", np.uint64, tasks),
        engine=_engine(message),
    )
    if problem.policy == "cost":
        placement.price_added = reader.wanted("price_added", np.int64, tasks)
    placement.device_begin = reader.column("device_begin", np.int64, tasks + 1)
    if placement.device_begin is not None:
        entries = int(placement.device_begin[-1])
        placement.device_dimension = reader.wanted("device_dimension", np.int32, entries)
        placement.device_index = reader.wanted("device_index", np.int32, entries)
    return placement


def _engine(message: Message) -> str:
    try:
        return text(message.body, "engine")
    except Odd as error:
        raise odd(str(error)) from None


class Reader:
    """Reads the columns that a body names; Unavailable where they are not what they should be."""

    def __init__(self, message: Message) -> None:
        self._body = message.body
        self._columns = message.columns

    def column(self, name: str, dtype: npt.DTypeLike, size: int | None = None) -> npt.NDArray[Any] | None:
        """A column of the body, None where it has none."""
        number = self._body.get(name)
        return None if number is None else self.numbered(name, number, dtype, size)

    def numbered(self, name: str, number: Any, dtype: npt.DTypeLike, size: int | None = None) -> npt.NDArray[Any]:
        """A column by its number."""
        if type(number) is not int or not 0 <= number < len(self._columns):
            raise odd(f"{name} is no number of a column")
        column = self._columns[number]
        if column.dtype != np.dtype(dtype).newbyteorder("<") or (size is not None and column.size != size):
            raise odd(f"{name} is a column of {column.size} {column.dtype}")
        return column.astype(np.dtype(dtype), copy=False)  # the host's byte order

    def wanted(self, name: str, dtype: npt.DTypeLike, size: int) -> npt.NDArray[Any]:
        """A column that there has to be."""
        column = self.column(name, dtype, size)
        if column is not None:
            return column
        if size != 0:
            raise odd(f"{name} is missing")
        return np.empty(0, dtype)  # an empty column need not be sent


def check(placement: Placement, problem: Problem) -> None:
    """Whether an answer can be one to this problem."""
    told = _odd_indices(placement, problem)
    if told:
        raise odd(told)
    begin, dimension, which = placement.device_begin, placement.device_dimension, placement.device_index
    if begin is None or dimension is None or which is None:
        return
    if int(begin[0]) != 0 or bool(np.any(np.diff(begin) < 0)):
        raise odd("device_begin does not lead through device_dimension")
    if dimension.size and not (int(dimension.min()) >= 0 and int(dimension.max()) < len(problem.dimensions)):
        raise odd("device_dimension names a dimension that does not exist")
    if which.size and int(which.min()) < 0:
        raise odd("device_index is negative")


def _odd_indices(placement: Placement, problem: Problem) -> str:
    """Why the columns of all answers cannot be right; by the library in one go, else by numpy."""
    index, order = placement.offer_index, placement.order
    if not problem.tasks:
        return ""
    if _native.available():
        return _native.odd_placement(index, order, problem.tasks, problem.offers, problem.mode)
    if not (int(index.min()) >= -1 and int(index.max()) < problem.offers):
        return "offer_index names an offer that does not exist"
    if not (int(order.min()) >= 0 and int(order.max()) < problem.tasks):
        return "order names a task that does not exist"
    if int(np.bincount(order, minlength=problem.tasks).max()) != 1:
        return "order names a task twice"
    placed = index[index >= 0] if problem.mode == "exclusive" else index[:0]
    if placed.size and int(np.bincount(placed, minlength=problem.offers).max()) > 1:
        return "an offer is given twice"
    return ""


def odd(what: str) -> Unavailable:
    """The error for an answer that makes no sense."""
    return Unavailable(f"the daemon's answer cannot be right: {what}", retryable=False)

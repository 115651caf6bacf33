"""The caller's tasks, offers and options, in any of their forms, as one `Problem` and the names to put back.

Everything is checked here; a fault names side, row, name, field and value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .._problem import I64, Problem
from ..legacy._amounts import Cut
from . import _tables
from ._devices import Devices
from ._encoder import Encoder
from ._groups import Groups
from ._labels import Labels
from ._locality import Locality
from ._numbers import all_amounts, integers, plain, prices
from ._options import Options, read_options
from ._rows import read_rows
from ._side import DIMENSIONS_MAX, Side, check_names, fault, text
from ._width import too_many

__all__ = ["Cut", "Inputs", "Options", "Side", "combine", "compose", "fault", "read", "read_options", "read_side"]

FORMS = (
    "a sequence of mappings or objects, {name: mapping}, a mapping of columns, a numpy structured array, "
    "a pandas DataFrame or an Arrow table"
)


@dataclass
class Inputs:
    """A call as asked; `warnings` are sentences."""

    problem: Problem
    tasks: Side
    offers: Side
    options: Options
    cut: Cut
    warnings: list[str] = field(default_factory=list)

    @property
    def task_names(self) -> Sequence[Any]:
        """By row."""
        return self.tasks.names

    @property
    def offer_names(self) -> Sequence[Any]:
        """By row."""
        return self.offers.names

    @property
    def is_named(self) -> bool:
        """Whether `check_names` has anything to do."""
        return self.tasks.is_named or self.offers.is_named

    def check_names(self) -> None:
        """The names of both sides, if that was not done yet."""
        check_names(self.tasks)
        check_names(self.offers)


def read(tasks: Any, offers: Any, *, cut: Cut, **options: Any) -> Inputs:
    """Checks and converts a whole call, but for `Inputs.check_names`. `options` are those of `windlass.match`, all of
    them."""
    checked = read_options(cut=cut, **options)
    task_side = _read_side("tasks", tasks, checked.dimensions)
    offer_side = _read_side("offers", offers, checked.dimensions)
    return _problem_of(task_side, offer_side, checked, cut)


def combine(
    inputs: Inputs, task_rows: list[dict[str, Any]], offer_rows: list[dict[str, Any]], offer_names: Sequence[Any]
) -> Inputs:
    """A call with the options of another; rows are records (`Side.records`), offers under the names given."""
    dimensions = inputs.options.dimensions
    tasks = read_rows("tasks", task_rows, dimensions)
    return compose(tasks, offer_rows, offer_names, inputs.options, inputs.cut)


def compose(
    tasks: Side, offer_rows: list[dict[str, Any]], offer_names: Sequence[Any], options: Options, cut: Cut
) -> Inputs:
    """A call of tasks that were read before on records of offers, under the names given."""
    offers = read_rows(
        "offers", [{**row, "name": None} for row in offer_rows], options.dimensions, names=list(offer_names)
    )
    return _problem_of(tasks, offers, options, cut)


def read_side(side: str, given: Any, dimensions: list[str] | None) -> Side:
    """One side in any form, as columns; its names are checked."""
    found = _read_side(side, given, dimensions)
    check_names(found)
    return found


def _read_side(side: str, given: Any, dimensions: list[str] | None) -> Side:
    if _tables.is_frame(given):
        return _tables.read_frame(side, given, dimensions)
    if _tables.is_arrow(given):
        return _tables.read_arrow(side, given, dimensions)
    if isinstance(given, np.ndarray) and given.dtype.names:
        return _tables.read_structured(side, given, dimensions)
    if isinstance(given, Mapping):
        if given and all(isinstance(value, Mapping) for value in given.values()):
            return read_rows(side, list(given.values()), dimensions, names=list(given))
        return _tables.read_mapping(side, given, dimensions)
    scalar = isinstance(given, np.ndarray) and given.ndim == 0
    if scalar or isinstance(given, str | bytes | bytearray) or not isinstance(given, Iterable):
        raise fault(side, side, given, FORMS)
    return read_rows(side, given.tolist() if isinstance(given, np.ndarray) else list(given), dimensions)


def _problem_of(tasks: Side, offers: Side, options: Options, cut: Cut) -> Inputs:
    task_columns = all_amounts(tasks, cut, "task")
    offer_columns = all_amounts(offers, cut, "offer")
    labels = Labels(tasks, offers)
    devices = Devices(tasks, offers, cut)
    groups = Groups(tasks, offers, cut, options.quotas, options.running)
    locality = Locality(tasks, offers)
    names = _dimensions(task_columns, offer_columns, options)
    _check_kinds(names, [*devices.kinds, *groups.running_kinds()], tasks, offers)
    names += devices.kinds
    task_columns.update(devices.task_amounts)
    offer_columns.update(devices.offer_amounts)
    _check_count(names, tasks, offers)
    problem = Problem(
        mode=options.mode,
        policy=options.policy,
        ties=options.ties,
        normalize=options.normalize,
        tasks=tasks.count,
        offers=offers.count,
        dimensions=names,
        task_amounts=[task_columns.get(name) for name in names],
        offer_amounts=[offer_columns.get(name) for name in names],
        weights=[options.weights.get(name, 65536) for name in names],
        scale=[options.scale.get(name, 0) for name in names],
        max_score=options.max_score,
        max_price=options.max_price,
    )
    if "priority" in tasks.fields:
        priority = integers(tasks, "priority", tasks.fields["priority"], -(2**31), 2**31 - 1)
        problem.priority = priority.astype(np.int32)
    if "price" in offers.fields or options.policy == "cost" or options.max_price is not None:
        problem.price = _price(offers, options)
    _check_scale(problem, offers)
    encoder = Encoder()
    groups.encode(encoder, names)
    labels.encode(encoder, bool(groups.spread_keys))
    devices.encode(encoder, names)
    locality.encode(encoder, options.locality)
    if encoder.constraints:
        encoder.constraints["keys"] = list(encoder.keys.all)
        problem.constraints, problem.columns = encoder.constraints, encoder.columns
    return Inputs(problem, tasks, offers, options, cut, _warnings(problem))


def _dimensions(
    task_columns: dict[str, I64 | None], offer_columns: dict[str, I64 | None], options: Options
) -> list[str]:
    if options.dimensions is not None:
        return list(options.dimensions)
    names = dict.fromkeys(name for name, column in offer_columns.items() if column is not None)
    names.update(dict.fromkeys(name for name, column in task_columns.items() if column is not None))
    return [text(name) for name in names]


def _check_kinds(names: list[str], kinds: list[str], tasks: Side, offers: Side) -> None:
    """A kind of device can't be an amount in the same call."""
    for kind in kinds:
        if kind not in names:
            continue
        for side in (tasks, offers):
            values = side.dims[kind].values if kind in side.dims else ()
            for row, value in enumerate(values):
                if value is not None:
                    raise side.fault(
                        row, kind, plain(value), f"{kind!r} either as an amount or under `devices`, not both"
                    )
        raise fault("options", "dimensions", kind, f"{kind!r} either as an amount or under `devices`, not both")


def _price(offers: Side, options: Options) -> I64 | None:
    required = "policy='cost'" if options.policy == "cost" else "max_price" if options.max_price is not None else None
    column = offers.fields.get("price")
    if column is not None:
        return prices(offers, "price", column, required)
    if offers.count:
        raise offers.fault(0, "price", None, f"a price of each offer, which {required} needs")
    return None


def _check_count(names: list[str], tasks: Side, offers: Side) -> None:
    if len(names) > DIMENSIONS_MAX:
        raise too_many(offers if names[DIMENSIONS_MAX] in offers.dims else tasks, names[DIMENSIONS_MAX])


def _check_scale(problem: Problem, offers: Side) -> None:
    for name, column, scale in zip(problem.dimensions, problem.offer_amounts, problem.scale, strict=True):
        if not scale or column is None:
            continue
        limit = scale << 24
        if int(column.max(initial=0)) > limit:
            over = column > limit
            row = int(np.argmax(over))
            value = plain(offers.dims[name].values[row]) if name in offers.dims else None
            raise offers.fault(row, name, value, f"at most 2**24 times the scale, {scale / 10000:g}")


def _warnings(problem: Problem) -> list[str]:
    found = []
    for name, asked, had in zip(problem.dimensions, problem.task_amounts, problem.offer_amounts, strict=True):
        if not _any(had) and _any(asked):
            found.append(f"tasks ask for {name!r}, which no offer has")
    return found


def _any(column: I64 | None) -> bool:
    """Whether a row is not 0; as a rule one of the first is."""
    return column is not None and bool(column[:64].any() or column.any())

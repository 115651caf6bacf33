"""Labels, tags, the conditions on them, and preferences."""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ._encoder import Encoder, Sets
from ._numbers import integer
from ._options import weight
from ._side import Side, text

VALUE = "a str of whole characters, a bool or an int64"
CONDITION = (
    "a value (str, bool or int64), a list of values, or a mapping of "
    "'in': [values], 'not_in': [values], 'exists': bool, 'min': int64, 'max': int64"
)
PREFER = "a list of at most 64 mappings {'labels': {key: condition}, 'weight': 0 or 2**-16 to 16384}"
PREFER_MAX = 64
_INT64 = range(-(2**63), 2**63)

Frozen = tuple[tuple[str, Any], ...]


def is_list(value: Any) -> bool:
    """Whether a value counts as a list of things."""
    return isinstance(value, Iterable) and not isinstance(value, str | bytes | bytearray | Mapping)


def _is_unicode(value: str) -> bool:
    """Whether it can be told to others: half of a surrogate pair is no character."""
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def label_value(value: Any) -> str | None:
    """A label's value as text; None where it is none."""
    if isinstance(value, str):
        return text(value) if _is_unicode(value) else None
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    number = integer(value)
    return str(number) if number is not None and number in _INT64 else None


def mapping_items(side: Side, row: int, field: str, value: Any, what: str) -> list[tuple[str, Any]]:
    """The items of a mapping whose keys are non-empty str, without absent ones."""
    if not isinstance(value, Mapping):
        raise side.fault(row, field, value, what)
    for key in value:
        if not isinstance(key, str) or not key:
            raise side.fault(row, f"{field}.{key}" if key else field, key, "a non-empty str as each key")
        if not _is_unicode(key):
            raise side.fault(row, f"{field}.{key}", key, "a str of whole characters as each key")
    return [(text(key), each) for key, each in value.items() if each is not None]


def labels_of(side: Side, row: int, field: str, value: Any) -> Frozen | None:
    """{key: value} in canonical form."""
    found = []
    for key, each in mapping_items(side, row, field, value, f"a mapping {{key: {VALUE}}}"):
        own = label_value(each)
        if own is None:
            raise side.fault(row, f"{field}.{key}", each, VALUE)
        found.append((key, own))
    return tuple(sorted(found)) or None


def conditions_of(side: Side, row: int, field: str, value: Any) -> Frozen | None:
    """{key: condition} in canonical form: ((key, ((part, wanted), ...)), ...)."""
    found = []
    for key, each in mapping_items(
        side, row, field, value, f"a mapping {{key: condition}}, a condition being {CONDITION}"
    ):
        condition = _condition(side, row, f"{field}.{key}", each)
        if condition:
            found.append((key, condition))
    return tuple(sorted(found)) or None


def _condition(side: Side, row: int, field: str, value: Any) -> Frozen:
    if not isinstance(value, Mapping):
        if is_list(value):
            return (("in", _values(side, row, field, value)),)
        single = label_value(value)
        if single is None:
            raise side.fault(row, field, value, CONDITION)
        return (("in", (single,)),)
    parts: dict[str, Any] = {}
    for part, wanted in value.items():
        if part not in ("in", "not_in", "exists", "min", "max"):
            raise side.fault(row, f"{field}.{part}", wanted, CONDITION)
        if wanted is None:
            continue
        if part in ("in", "not_in"):
            if not is_list(wanted):
                raise side.fault(row, f"{field}.{part}", wanted, f"a list of values, each {VALUE}")
            parts[part] = _values(side, row, f"{field}.{part}", wanted)
        elif part == "exists":
            if not isinstance(wanted, bool | np.bool_):
                raise side.fault(row, f"{field}.exists", wanted, "True or False")
            parts[part] = bool(wanted)
        else:
            number = integer(wanted)
            if number is None or number not in _INT64:
                raise side.fault(row, f"{field}.{part}", wanted, "an int64")
            parts[part] = number
    return tuple(sorted(parts.items()))


def _values(side: Side, row: int, field: str, values: Any) -> tuple[str, ...]:
    found = set()
    for value in values:
        one = label_value(value)
        if one is None:
            raise side.fault(row, field, value, f"a list of values, each {VALUE}")
        found.add(one)
    return tuple(sorted(found))


def _prefer(side: Side, row: int, value: Any) -> Hashable | None:
    if not is_list(value):
        raise side.fault(row, "prefer", value, PREFER)
    entries = list(value)
    if len(entries) > PREFER_MAX:
        raise side.fault(row, "prefer", len(entries), PREFER)
    found = []
    for entry in entries:
        if not isinstance(entry, Mapping):
            raise side.fault(row, "prefer", entry, PREFER)
        for key in entry:
            if key not in ("labels", "weight"):
                raise side.fault(row, f"prefer.{key}", entry[key], PREFER)
        for key in ("labels", "weight"):
            if entry.get(key) is None:
                raise side.fault(row, f"prefer.{key}", None, f"both labels and weight in each: {PREFER}")
        conditions = conditions_of(side, row, "prefer.labels", entry["labels"]) or ()
        found.append((conditions, weight("prefer.weight", entry["weight"], side, row)))
    return tuple(found) or None


class Labels:
    """The label fields of both sides, checked; `encode` puts down those that can matter."""

    def __init__(self, tasks: Side, offers: Side) -> None:
        def sets(side: Side, field: str, parse: Any) -> Sets:
            return Sets(side.listed(field), side.count, lambda row, value: parse(side, row, field, value))

        self.offer_labels = sets(offers, "labels", labels_of)
        self.task_labels = sets(tasks, "labels", conditions_of)
        self.task_tags = sets(tasks, "tags", labels_of)
        self.offer_only = sets(offers, "only", conditions_of)
        self.prefer = Sets(tasks.listed("prefer"), tasks.count, lambda row, value: _prefer(tasks, row, value))

    def taken(self, rows: Sequence[int]) -> Labels:
        """Those of some offers."""
        made = copy.copy(self)
        made.offer_labels, made.offer_only = self.offer_labels.taken(rows), self.offer_only.taken(rows)
        return made

    def encode(self, encoder: Encoder, spread_by_label: bool) -> None:
        """`spread_by_label`: some task's max_per names a label."""
        constraints = encoder.constraints

        def put(name: str, sets: Sets, wire: Callable[[Encoder, Any], Any]) -> None:
            if sets:
                constraints[name] = encoder.sets([wire(encoder, each) for each in sets.all], sets.of)

        put("task_labels", self.task_labels, wire_conditions)
        put("prefer", self.prefer, wire_prefer)
        if self.task_labels or self.prefer or spread_by_label:
            put("offer_labels", self.offer_labels, wire_labels)
        put("offer_only", self.offer_only, wire_conditions)
        if self.offer_only:
            put("task_tags", self.task_tags, wire_labels)


def wire_prefer(encoder: Encoder, entries: Any) -> list[list[Any]]:
    """A set of `prefer` as on the wire."""
    return [[wire_conditions(encoder, conditions), units] for conditions, units in entries]


def wire_labels(encoder: Encoder, labels: Frozen) -> dict[int, str]:
    """A set of labels or tags as on the wire."""
    return {encoder.keys.of(key): value for key, value in labels}


def wire_conditions(encoder: Encoder, conditions: Frozen) -> dict[int, dict[str, Any]]:
    """A set of conditions as on the wire."""
    return {
        encoder.keys.of(key): {
            part: list(wanted) if isinstance(wanted, tuple) else wanted for part, wanted in condition
        }
        for key, condition in conditions
    }

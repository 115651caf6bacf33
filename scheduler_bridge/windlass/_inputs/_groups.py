"""Tenants, nodes, groups, gangs, quotas and what runs already."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ..legacy._amounts import LARGEST, Cut
from ._devices import requests
from ._encoder import Encoder, Numbers, Sets
from ._labels import is_list, labels_of, mapping_items
from ._numbers import AMOUNT, amounts, integer, is_number, to_double
from ._side import Column, Side, check_names, fault, is_name, text

RUNNING = ("node", "tenant", "group", "avoid", "resources", "devices", "labels")
COUNT_MAX = 2**31 - 1  # more tasks than a call can have
MAX_PER = "a mapping {'node' or a label key: n >= 1}"
NODE = "any hashable but None, NaN and what is empty"


def text_of(side: Side, row: int, field: str, value: Any, empty: bool = False) -> str:
    """A str, non-empty unless told."""
    if not isinstance(value, str) or not (value or empty):
        raise side.fault(row, field, value, "a str" if empty else "a non-empty str")
    return text(value)


def _texts(side: Side, field: str, empty: bool = False) -> list[str | None] | None:
    values = side.listed(field)
    if values is None:
        return None
    return [None if v is None else text_of(side, row, field, v, empty) for row, v in enumerate(values)]


def _avoid(side: Side, row: int, value: Any) -> tuple[str, ...] | None:
    if not is_list(value):
        raise side.fault(row, "avoid", value, "a list of groups' names")
    return tuple(sorted({text_of(side, row, "avoid", each) for each in value})) or None


def _max_per(side: Side, row: int, value: Any) -> tuple[tuple[str, int], ...] | None:
    found = []
    for key, each in mapping_items(side, row, "max_per", value, MAX_PER):
        number = integer(each)
        if number is None or number < 1:
            raise side.fault(row, f"max_per.{key}", each, "an int of at least 1")
        found.append((key, min(number, COUNT_MAX)))
    return tuple(sorted(found)) or None


class Groups:
    """The fields by which tasks see each other, checked."""

    def __init__(self, tasks: Side, offers: Side, cut: Cut, quotas: Any = None, running: Any = None) -> None:
        self.tasks, self.offers = tasks, offers
        self.tenants = _texts(tasks, "tenant", empty=True)
        self.groups = _texts(tasks, "group")
        self.gangs = _texts(tasks, "gang")
        self.max_per = Sets(tasks.listed("max_per"), tasks.count, lambda row, value: _max_per(tasks, row, value))
        self.avoid = Sets(tasks.listed("avoid"), tasks.count, lambda row, value: _avoid(tasks, row, value))
        self.nodes = offers.listed("node")
        for row, node in enumerate(self.nodes or ()):
            if node is not None and not is_name(node):
                raise offers.fault(row, "node", node, NODE)
        if self.max_per:
            for row, number in enumerate(self.max_per.of):
                if number >= 0 and (self.groups is None or self.groups[row] is None):
                    raise tasks.fault(row, "max_per", tasks.listed("max_per")[row], "max_per only with a group")  # type: ignore[index]
        self._check_gangs()
        self.quotas = read_quotas(quotas, cut)
        self.running = read_running(running, cut)
        self.spread_keys = {key for each in self.max_per.all for key, _ in each if key != "node"}

    def _check_gangs(self) -> None:
        if self.gangs is None or "priority" not in self.tasks.fields:
            return
        priority = self.tasks.listed("priority")
        first: dict[Any, Any] = {}
        for row, gang in enumerate(self.gangs):
            if gang is None:
                continue
            own = 0 if priority is None or priority[row] is None else priority[row]
            if first.setdefault((self.tenant(row), gang), own) != own:
                raise self.tasks.fault(row, "priority", own, f"one priority in all of gang {gang!r}")

    def running_kinds(self) -> list[str]:
        """The kinds of devices that running tasks hold."""
        return sorted({kind for entry in self.running for kind in entry["devices"] or ()})

    def tenant(self, row: int) -> str:
        """The tenant of a task."""
        return (self.tenants[row] if self.tenants is not None else None) or ""

    def all_tenants(self) -> list[str]:
        """The tenant of each task."""
        return [""] * self.tasks.count if self.tenants is None else [tenant or "" for tenant in self.tenants]

    def taken(self, rows: Sequence[int]) -> Groups:
        """Of some tasks that are placed: what others look at."""
        made = copy.copy(self)
        made.tasks = Side("tasks", len(rows))
        made.tenants = None if self.tenants is None else [self.tenants[row] for row in rows]
        made.groups = None if self.groups is None else [self.groups[row] for row in rows]
        made.gangs, made.max_per, made.avoid = None, Sets(None, len(rows), lambda *_: None), self.avoid.taken(rows)
        return made

    def _node_numbers(self) -> tuple[Numbers, list[int]]:
        numbers = Numbers()
        check_names(self.offers)
        names = self.offers.names
        if self.nodes is None:
            return numbers, [numbers.of(name) for name in names]
        of = [numbers.of(name if node is None else node) for node, name in zip(self.nodes, names, strict=True)]
        return numbers, of

    def encode(self, encoder: Encoder, dimensions: list[str]) -> None:
        """Puts down what can matter."""
        constraints = encoder.constraints
        tenants, groups, gangs = Numbers(), Numbers(), Numbers()
        spread = bool(self.max_per or self.avoid or (self.groups and any(entry["avoid"] for entry in self.running)))
        if not spread and not self.quotas and self.gangs is None:
            return
        tenant_of = self.all_tenants()
        if self.gangs is not None:
            constraints["gang"] = encoder.column(
                [-1 if g is None else gangs.of((t, g)) for t, g in zip(tenant_of, self.gangs, strict=True)]
            )
        nodes = Numbers()
        if spread:
            nodes, node_of = self._node_numbers()
            constraints["node"] = encoder.column(node_of)
            if self.groups is not None:
                constraints["group"] = encoder.column(
                    [-1 if g is None else groups.of((t, g)) for t, g in zip(tenant_of, self.groups, strict=True)]
                )
            self._encode_spread(encoder, tenant_of, groups)
        caps = self._caps(tenants, tenant_of, dimensions)
        if spread or caps:
            constraints["tenant"] = encoder.column([tenants.of(tenant) for tenant in tenant_of])
            if caps:
                constraints["quotas"] = caps
            if self.running:
                constraints["running"] = [
                    wire_running(entry, encoder, dimensions, nodes if spread else None, tenants, groups)
                    for entry in self.running
                ]

    def _encode_spread(self, encoder: Encoder, tenant_of: list[str], groups: Numbers) -> None:
        if self.max_per:
            sets = [{-1 if k == "node" else encoder.keys.of(k): n for k, n in each} for each in self.max_per.all]
            encoder.constraints["max_per"] = encoder.sets(sets, self.max_per.of)
        if self.avoid:
            names = self.avoid.all
            numbers = Numbers()
            of = []
            for tenant, number in zip(tenant_of, self.avoid.of, strict=True):
                of.append(-1 if number < 0 else numbers.of(tuple(groups.of((tenant, name)) for name in names[number])))
            encoder.constraints["avoid"] = encoder.sets([list(each) for each in numbers.all], of)

    def _caps(self, tenants: Numbers, tenant_of: list[str], dimensions: list[str]) -> list[Any]:
        found: list[Any] = []
        if not self.quotas:
            return found
        for tenant in dict.fromkeys(tenant_of):
            entry = self.quotas.get(tenant, self.quotas.get("*", {}))
            caps = {number: entry[name] for number, name in enumerate(dimensions) if name in entry}
            if caps:
                found.append([tenants.of(tenant), caps])
        return found


def wire_running(
    entry: dict[str, Any],
    encoder: Encoder,
    dimensions: list[str],
    nodes: Numbers | None,
    tenants: Numbers,
    groups: Numbers,
    all_keys: bool = False,
) -> dict[str, Any]:
    """`nodes` is None where no task looks at groups. `all_keys`: labels that no task asks for so far are told too."""
    tenant = entry["tenant"]
    wire: dict[str, Any] = {
        "tenant": tenants.of(tenant),
        "amounts": {
            number: entry["amounts"][name]
            for number, name in enumerate(dimensions)
            if entry["amounts"].get(name, 0) > 0
        },
    }
    if nodes is not None:
        wire["node"] = -1 if entry["node"] is None else nodes.of(entry["node"])
        wire["group"] = -1 if entry["group"] is None else groups.of((tenant, entry["group"]))
        wire["avoid"] = [groups.of((tenant, name)) for name in entry["avoid"]]
        known = [(key, value) for key, value in entry["labels"] if all_keys or key in encoder.keys.all]
        wire["labels"] = {encoder.keys.of(key): value for key, value in known}
    else:
        wire["node"] = wire["group"] = -1
    return wire


def read_quotas(given: Any, cut: Cut) -> dict[str, dict[str, int]]:
    """{tenant: {dimension: cap in units}}."""
    if given is None:
        return {}
    what = "a mapping {tenant: {dimension: cap}}"
    if not isinstance(given, Mapping):
        raise fault("options", "quotas", given, what)
    found: dict[str, dict[str, int]] = {}
    for tenant, caps in given.items():
        if not isinstance(tenant, str):
            raise fault("options", "quotas", tenant, "a str (a tenant, or '*') as each key")
        if caps is None:
            continue
        if not isinstance(caps, Mapping):
            raise fault("options", f"quotas.{tenant}", caps, what)
        found[tenant] = {}
        for name, cap in caps.items():
            if not isinstance(name, str) or not name:
                raise fault("options", f"quotas.{tenant}", name, "a non-empty str as each dimension")
            if cap is None:
                continue
            number = to_double(cap) if is_number(cap) else -1.0
            if not -1e-7 <= number <= LARGEST:
                raise fault("options", f"quotas.{tenant}.{name}", cap, AMOUNT)
            found[tenant][name] = int(cut(np.array([number]), "cap")[0])
    return found


class _Running(Side):
    """The entries of `running`; a fault is one of the options."""

    def fault(self, row: int | None, field_name: str, value: Any, allowed: str) -> Any:
        return fault("options", f"running.{field_name}", value, allowed, row=row)


def read_running(given: Any, cut: Cut) -> list[dict[str, Any]]:
    """Each entry with all its keys; `amounts` are in units by dimension or kind, `labels` pairs of str."""
    if given is None:
        return []
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable):
        raise fault("options", "running", given, f"a list of mappings with {', '.join(RUNNING)}")
    entries = list(given)
    side = _Running("options", len(entries))
    found = [_running_fields(side, row, entry) for row, entry in enumerate(entries)]
    for field in ("resources", "devices"):
        for name, values in _running_amounts(side, field, found).items():
            column: Any
            if field == "devices":
                column = requests(side, f"devices.{name}", values, cut)
            else:
                column = amounts(side, name, Column(values, none_ok=True), cut, "task")
            for entry, units in zip(found, column.tolist() if column is not None else (), strict=False):
                entry["amounts"][name] = entry["amounts"].get(name, 0) + units
    return found


def _running_fields(side: Side, row: int, entry: Any) -> dict[str, Any]:
    if isinstance(entry, Mapping):
        for key in entry:
            if key not in RUNNING:
                raise side.fault(row, str(key), entry[key], f"one of {', '.join(RUNNING)}")
        fields = {name: entry.get(name) for name in RUNNING}
    elif isinstance(entry, str | bytes | int | float | list | tuple | type(None)):
        raise fault("options", "running", entry, f"a mapping with {', '.join(RUNNING)}", row=row)
    else:
        fields = {name: getattr(entry, name, None) for name in RUNNING}
    if fields["node"] is not None and not is_name(fields["node"]):
        raise side.fault(row, "node", fields["node"], NODE)
    fields["tenant"] = "" if fields["tenant"] is None else text_of(side, row, "tenant", fields["tenant"], empty=True)
    if fields["group"] is not None:
        fields["group"] = text_of(side, row, "group", fields["group"])
    fields["avoid"] = () if fields["avoid"] is None else _avoid(side, row, fields["avoid"]) or ()
    fields["labels"] = () if fields["labels"] is None else labels_of(side, row, "labels", fields["labels"]) or ()
    fields["amounts"] = {}
    return fields


def _running_amounts(side: Side, field: str, entries: list[dict[str, Any]]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for row, entry in enumerate(entries):
        if entry[field] is not None:
            for name, value in mapping_items(side, row, field, entry[field], "a mapping {name: amount}"):
                found.setdefault(name, [None] * len(entries))[row] = value
    return found

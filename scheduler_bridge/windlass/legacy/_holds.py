"""What changes while tasks are placed: groups on nodes and in domains, devices, quotas.

Each answers which offers pass for a task (`checks`), and books a placement (`put`) or takes it back (`undo`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .._problem import I64, Problem
from ._rules import Checks, Domains, Rows

I32 = npt.NDArray[np.int32]
NODE = -1  # the key of max_per that stands for "node"
WHOLE = 10_000


def _column(problem: Problem, name: str) -> list[int] | None:
    number = (problem.constraints or {}).get(name)
    return None if number is None else problem.columns[number].tolist()


class MaxPer:
    """How many of a group are in each domain."""

    def __init__(self, problem: Problem, domains: Domains, keys: list[str]) -> None:
        constraints = problem.constraints or {}
        self.rows = Rows(problem, "max_per", {})
        self.keys = keys
        self.group = _column(problem, "group")
        self.domains: dict[int, tuple[I32, int]] = {}  # key: each offer's domain, and the one that stands for none
        self.counts: dict[tuple[int, int], I64] = {}
        self.by_group: dict[int, list[tuple[int, I32, I64]]] = {}
        values: dict[int, list[str | None]] = {}
        for task in range(problem.tasks if self.rows.of is not None and self.group is not None else 0):
            for key in self.rows.at(task):
                if key not in self.domains:
                    values[key] = self._domain(problem, domains, key)
                self._count(self.group[task], key, len(values[key]))  # type: ignore[index]
        for entry in constraints.get("running", ()):
            for key, _, counts in self.by_group.get(entry["group"], ()):
                where = entry["node"] if key == NODE else entry.get("labels", {}).get(key)
                if key == NODE:
                    if 0 <= where < len(counts) - 1:
                        counts[where] += 1
                elif where in values[key][:-1]:
                    counts[values[key].index(where)] += 1

    def _domain(self, problem: Problem, domains: Domains, key: int) -> list[str | None]:
        if key == NODE:
            of: Any = problem.columns[(problem.constraints or {})["node"]]
            count = int(of.max(initial=-1)) + 1
            self.domains[key] = (of, count)
            return [None] * (count + 1)
        values, of = domains.of(key)
        self.domains[key] = (of, len(values) - 1)
        return values

    def _count(self, group: int, key: int, size: int) -> None:
        if (group, key) not in self.counts:
            counts = self.counts[group, key] = np.zeros(size, dtype=np.int64)
            self.by_group.setdefault(group, []).append((key, self.domains[key][0], counts))

    def checks(self, task: int) -> Checks:
        """One check per domain."""
        for key, limit in self.rows.at(task).items():
            of, none = self.domains[key]
            passes = self.counts[self.group[task], key] < limit  # type: ignore[index]
            if key != NODE:
                passes[none] = False
            yield f"max_per.{'node' if key == NODE else self.keys[key]}", passes[of]

    def book(self, task: int, offer: int, by: int) -> None:
        """Counts the task in (1) or out (-1)."""
        if self.group is not None and self.by_group:
            for _, of, counts in self.by_group.get(self.group[task], ()):
                counts[of[offer]] += by


class Avoid:
    """Which groups are on each node, and which are avoided there."""

    def __init__(self, problem: Problem) -> None:
        constraints = problem.constraints or {}
        self.rows = Rows(problem, "avoid", [])
        self.group = _column(problem, "group")
        running = constraints.get("running", ())
        avoided = {group for each in self.rows.sets for group in each}
        avoided |= {group for entry in running for group in entry.get("avoid", ())}
        self.active = bool(avoided) and "node" in constraints
        if not self.active:
            return
        self.node: I32 = problem.columns[constraints["node"]]
        nodes = int(self.node.max(initial=-1)) + 1
        self.present = {group: np.zeros(nodes, dtype=np.int64) for group in avoided}  # of the group, by node
        self.avoiders = {group: np.zeros(nodes, dtype=np.int64) for group in avoided}  # who avoid it, by node
        for entry in running:
            if 0 <= entry["node"] < nodes:
                self._count(entry["group"], entry.get("avoid", ()), entry["node"], 1)

    def _count(self, group: int, avoids: Any, node: int, by: int) -> None:
        if group in self.present:
            self.present[group][node] += by
        for each in set(avoids):
            self.avoiders[each][node] += by

    def _group(self, task: int) -> int:
        return -1 if self.group is None else self.group[task]

    def checks(self, task: int) -> Checks:
        """One check, `avoid`."""
        if not self.active:
            return
        columns = [self.present[each] for each in self.rows.at(task)]
        if self._group(task) in self.avoiders:
            columns.append(self.avoiders[self._group(task)])
        if columns:
            passes = columns[0] == 0
            for column in columns[1:]:
                passes = passes & (column == 0)
            yield "avoid", passes[self.node]

    def book(self, task: int, offer: int, by: int) -> None:
        """Counts the task in (1) or out (-1)."""
        if self.active:
            self._count(self._group(task), self.rows.at(task), int(self.node[offer]), by)


class Kind:
    """The devices of one kind: shares of each, and per offer the largest and the wholly free ones."""

    def __init__(self, problem: Problem, entry: dict[str, Any]) -> None:
        self.dimension: int = entry["dimension"]
        self.name = problem.dimensions[self.dimension]
        self.begin: list[int] = problem.columns[entry["begin"]].tolist()
        self.shares: list[int] = problem.columns[entry["shares"]].tolist()
        self.largest = np.zeros(problem.offers, dtype=np.int64)
        self.whole = np.zeros(problem.offers, dtype=np.int64)
        for offer in range(problem.offers):
            self._tell(offer)

    def _tell(self, offer: int) -> None:
        own = self.shares[self.begin[offer] : self.begin[offer + 1]]
        self.largest[offer] = max(own, default=0)
        self.whole[offer] = own.count(WHOLE)

    def passes(self, amount: int) -> npt.NDArray[np.bool_]:
        """Which offers can serve a request."""
        return self.largest >= amount if amount <= WHOLE else self.whole >= amount // WHOLE

    def missing(self, amount: int) -> I64:
        """What each offer lacks for a request, in units."""
        had = self.largest if amount <= WHOLE else self.whole * WHOLE
        return np.maximum(amount - had, 0)

    def take(self, offer: int, amount: int) -> list[int]:
        """Serves a request; answers the numbers of the devices."""
        begin, end = self.begin[offer], self.begin[offer + 1]
        own = self.shares[begin:end]
        if amount <= WHOLE:
            chosen = [min((share, at) for at, share in enumerate(own) if share >= amount)[1]]
            self.shares[begin + chosen[0]] -= amount
        else:
            chosen = [at for at, share in enumerate(own) if share == WHOLE][: amount // WHOLE]
            for at in chosen:
                self.shares[begin + at] = 0
        self._tell(offer)
        return chosen

    def give(self, offer: int, amount: int, chosen: list[int]) -> None:
        """Takes back a request."""
        for at in chosen:
            self.shares[self.begin[offer] + at] += min(amount, WHOLE)
        self._tell(offer)


class Quotas:
    """What tenants hold of what they may."""

    def __init__(self, problem: Problem, asked: list[list[tuple[int, int]]]) -> None:
        constraints = problem.constraints or {}
        self.caps: dict[int, dict[int, int]] = dict(constraints.get("quotas", ()))
        self.asked = asked
        self.tenant = _column(problem, "tenant") if self.caps else None
        self.held = {tenant: dict.fromkeys(caps, 0) for tenant, caps in self.caps.items()}
        for entry in constraints.get("running", ()) if self.caps else ():
            held = self.held.get(entry["tenant"], {})
            for dimension in held:
                held[dimension] += entry["amounts"].get(dimension, 0)

    def allows(self, task: int) -> bool:
        """Whether the task's tenant may have what it asks for."""
        return not self.short(task)

    def short(self, task: int) -> list[int]:
        """The dimensions in which the task is beyond its tenant's quota."""
        if self.tenant is None or self.tenant[task] not in self.caps:
            return []
        caps, held = self.caps[self.tenant[task]], self.held[self.tenant[task]]
        return [d for d, amount in self.asked[task] if d in caps and amount > caps[d] - held[d]]

    def book(self, task: int, by: int) -> None:
        """Counts the task in (1) or out (-1)."""
        if self.tenant is not None and self.tenant[task] in self.held:
            held = self.held[self.tenant[task]]
            for dimension, amount in self.asked[task]:
                if dimension in held:
                    held[dimension] += by * amount

"""A session that lives for months: what it has numbered goes with the last who has it, and the answers stay right."""

from __future__ import annotations

import os
import random
from typing import Any

import pytest
import windlass
from windlass import _session_table
from windlass._inputs._encoder import KeptNumbers
from windlass._session_core import SessionCore

from tests.oracle.session import SessionOracle

from . import cases, session_cases
from .test_session import live, makers, refused

BASE = int(os.environ.get("WINDLASS_SEED", "0"))
SPARE = KeptNumbers.SPARE
FLEET = [{"name": f"o{row}", "resources": {"cpu": 64}, "labels": {"zone": f"z{row}"}} for row in range(4)]


@pytest.fixture(params=makers())
def make(request: pytest.FixtureRequest) -> Any:
    return makers()[request.param]


def book_of(session: windlass.Session) -> Any:
    return session._core.book


def entries(session: windlass.Session) -> dict[str, int]:
    """How many of everything a session has numbered, and how high the numbers go."""
    book = book_of(session)
    parts = {name: getattr(book, name) for name in ("keys", "nodes", "tenants", "groups", "ids")}
    return {name: max(len(part.all), part.end) for name, part in parts.items()} | {"told": len(book.told)}


def widest(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How long the columns of inputs' sizes were."""
    seen: list[int] = []
    whole = SessionCore._problem

    def problem(self: SessionCore, batch: Any, encoder: Any) -> Any:
        inputs = encoder.constraints.get("inputs")
        if inputs is not None:
            seen.append(len(encoder.columns[inputs["bytes"]]))
        return whole(self, batch, encoder)

    monkeypatch.setattr(SessionCore, "_problem", problem)
    return seen


def test_ids_that_no_offer_has_are_not_kept(monkeypatch: pytest.MonkeyPatch):
    columns = widest(monkeypatch)
    with windlass.Session(FLEET, mode="packing") as session:
        for call in range(200):
            tasks = [
                {"name": row, "resources": {"cpu": 1}, "inputs": {f"s3://b/{call}/{row}/{n}": 1000 for n in range(10)}}
                for row in range(10)
            ]
            assert len(session.match(tasks).assignments) == 10
            session.release(range(10))
        assert entries(session)["ids"] == 0
    assert set(columns) == {100}, "20,000 ids in all, and 100 of them in each call"


def test_what_tasks_name_goes_when_they_are_released():
    with windlass.Session(FLEET, mode="packing") as session:
        staying = {"name": "staying", "resources": {"cpu": 1}, "tenant": "t", "group": "g", "avoid": ["h"]}
        assert len(session.match([staying]).assignments) == 1
        for call in range(150):
            tasks = [
                {
                    "name": row,
                    "resources": {"cpu": 1},
                    "tenant": f"tenant-{call}-{row}",
                    "group": f"group-{call}-{row}",
                    "avoid": [f"avoided-{call}-{row}"],
                    "labels": {f"key-{call}-{row}": {"exists": False}, "zone": {"not_in": [f"zone-{call}-{row}"]}},
                }
                for row in range(20)
            ]
            assert len(session.match(tasks).assignments) == 20
            session.release(range(20))
        counts = entries(session)
        assert max(counts.values()) <= SPARE + 20 * 2 + 10, (
            f"{counts}: 6,000 groups and 3,000 tenants and keys came and went"
        )
        shy = [{"name": "shy", "resources": {"cpu": 1}, "tenant": "t", "group": "h"}]
        assert session.match(shy).assignments == {"shy": "o1"}, "the one that stays avoids it still"


def test_what_offers_have_goes_with_them():
    with windlass.Session([], mode="packing") as session:
        for call in range(80):
            offers = [
                {
                    "name": f"offer-{call}-{row}",
                    "node": f"node-{call}-{row}",
                    "resources": {"cpu": 4},
                    "labels": {f"label-{call}-{row}": "a"},
                    "only": {f"tag-{call}-{row}": "b"},
                    "staged": [f"id-{call}-{row}-{n}" for n in range(5)],
                }
                for row in range(40)
            ]
            session.add(offers)
            last = [offer["name"] for offer in offers]
            wanted = {"labels": {f"label-{call}-7": "a"}, "tags": {f"tag-{call}-7": "b"}}
            tasks = [
                {"name": n, "resources": {"cpu": 1}, "inputs": {f"id-{call}-7-0": n, f"id-{call}-8-0": 1}, **wanted}
                for n in (1, 2)
            ]
            assert session.match(tasks).assignments == dict.fromkeys((1, 2), f"offer-{call}-7")
            session.remove(last)
        counts = entries(session)
        assert max(counts.values()) <= 2 * SPARE, f"{counts}: 16,000 ids, 3,200 nodes and 6,400 keys came and went"


def rows_of(table: Any) -> int:
    return sum(batch.count for batch in table.batches.values())


def test_what_stays_of_a_call_keeps_none_of_the_rest():
    fleet = [{"name": f"o{row}", "resources": {"cpu": 1000}, "devices": {"gpu": [1] * 10}} for row in range(40)]
    with windlass.Session(fleet, mode="packing") as session:
        core = session._core
        for call in range(60):
            tasks = [
                {"name": f"{call}-{row}", "resources": {"cpu": 1 + row % 3}, "group": f"g{call}", "avoid": [f"h{call}"]}
                for row in range(100)
            ]
            tasks[0]["devices"] = {"gpu": 1}
            assert len(session.match(tasks).assignments) == 100
            session.release(f"{call}-{row}" for row in range(1, 100))
            assert rows_of(core._tasks) <= 4 * len(core._tasks) + _session_table._ROWS
        assert len(core._tasks) == 60
        for row in range(40):
            session.update([{"name": f"o{row}", "resources": {"cpu": 1000}, "devices": {"gpu": [1] * 10}}])
            assert rows_of(core._offers) <= 4 * 40 + _session_table._ROWS
        offers = session.offers()
        assert sum(1000 - offer["resources"]["cpu"] for offer in offers) == 60
        assert sum(10 - sum(offer["devices"]["gpu"]) for offer in offers) == 60
        shy = session.match([{"name": "shy", "resources": {"cpu": 1}, "group": "h59"}]).assignments["shy"]
        assert "59-0" not in next(offer for offer in session.offers() if offer["name"] == shy).tasks


# ---- With every number given again as soon as that may be ------------------------------------------------------------


@pytest.fixture
def tidied(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Each call begins by forgetting, and rows that go are let go at once; how many things were forgotten, in all."""
    forgotten = [0]
    keep = KeptNumbers.keep

    def counted(self: KeptNumbers, had: Any) -> None:
        before = len(self.all)
        keep(self, had)
        forgotten[0] += before - len(self.all)

    monkeypatch.setattr(KeptNumbers, "keep", counted)
    monkeypatch.setattr(KeptNumbers, "full", lambda self, rows: True)
    monkeypatch.setattr(_session_table, "_ROWS", float("-inf"))
    return forgotten


SEEDS = pytest.mark.parametrize("seeds", [1, pytest.param(20, marks=pytest.mark.slow)])


@SEEDS
@pytest.mark.parametrize("constraint", cases.CONSTRAINTS)
def test_lives_are_the_oracles_whoever_has_which_number(tidied: list[int], constraint: str, seeds: int):
    for seed in range(BASE, BASE + seeds):
        for kind in session_cases.KINDS:
            for name, make in makers().items():
                offers, options, steps = session_cases.life(seed, kind, constraint)
                try:
                    try:
                        oracle = SessionOracle(offers, **options)
                    except ValueError:
                        assert refused(lambda m=make, o=offers, how=options: m(o, **how))
                        continue
                    with make(offers, **options) as session:
                        live(session, oracle, steps, name, explained=seed % 4 == 0)
                except Exception as error:
                    replay = f"WINDLASS_SEED={seed}: session_cases.life({seed}, {kind!r}, {constraint!r})"
                    raise AssertionError(f"{replay} by {name}: {type(error).__name__}: {error}") from error


def random_life(seed: int) -> list[tuple[str, Any]]:
    """Calls whose ids, groups, tenants, nodes and keys are drawn from few, so that they come and go."""
    chance = random.Random(seed)
    some = lambda prefix, most: [f"{prefix}{chance.randrange(12)}" for _ in range(chance.randrange(most + 1))]  # noqa: E731
    steps: list[tuple[str, Any]] = []
    offers: list[str] = []
    tasks: list[str] = []
    for call in range(30):
        fresh = [f"offer-{call}-{row}" for row in range(chance.randrange(3))]
        for step, names in (("add", fresh), ("update", chance.sample(offers, min(len(offers), 2)))):
            steps.append(
                (
                    step,
                    [
                        {
                            "name": name,
                            "node": chance.choice(["", "n1", "n2", "n3", "n4"]) or None,
                            "resources": {"cpu": chance.randrange(1, 9)},
                            "labels": {key: chance.choice("ab") for key in some("k", 2)},
                            "staged": some("id", 3),
                        }
                        for name in names
                    ],
                )
            )
        offers += fresh
        batch = [f"task-{call}-{row}" for row in range(chance.randrange(5))]
        steps.append(
            (
                "match",
                [
                    {
                        "name": name,
                        "resources": {"cpu": chance.randrange(1, 3)},
                        "tenant": chance.choice("uvwxyz"),
                        "group": f"g{chance.randrange(12)}",
                        "avoid": some("g", 2),
                        "labels": {key: {"not_in": ["a"]} for key in some("k", 1)},
                        "inputs": {each: chance.randrange(1, 4) for each in some("id", 4)},
                    }
                    for name in batch
                ],
            )
        )
        tasks += batch
        steps.append(("release", chance.sample(tasks, len(tasks) // 2)))
        tasks = [name for name in tasks if name not in steps[-1][1]]
        gone = chance.sample(offers, len(offers) // 3)
        steps.append(("remove", gone))
        offers = [name for name in offers if name not in gone]
    return steps


@SEEDS
def test_random_lives_are_the_oracles_whoever_has_which_number(tidied: list[int], seeds: int):
    placed = 0
    for seed in range(BASE, BASE + 3 * seeds):
        for name, make in makers().items():
            oracle = SessionOracle([], mode="packing")
            with make([], mode="packing") as session:
                try:
                    placed += live(session, oracle, random_life(seed), name)[0]
                except Exception as error:
                    raise AssertionError(f"WINDLASS_SEED={seed}, random_life({seed}) by {name}: {error}") from error
    assert placed > 50 * seeds and tidied[0] > 100 * seeds, (placed, tidied)


def test_a_refused_telling_of_sizes_is_made_up_for(make: Any, monkeypatch: pytest.MonkeyPatch):
    offers = [{"name": "far", "resources": {"cpu": 8}}, {"name": "near", "resources": {"cpu": 8}, "staged": ["id"]}]
    two = [{"name": n, "resources": {"cpu": 1}, "inputs": {"id": 10 * n}} for n in (1, 2)]
    with make(offers, mode="packing", policy="worst_fit", locality_weight=100.0) as session:
        apply = SessionCore._apply

        def refusing(self: SessionCore, change: Any) -> None:
            raise windlass.WindlassError("not now")

        monkeypatch.setattr(SessionCore, "_apply", refusing)
        with pytest.raises(windlass.WindlassError, match="not now"):
            session.match(two)
        monkeypatch.setattr(SessionCore, "_apply", apply)
        assert session.match(two).assignments == {1: "near", 2: "near"}

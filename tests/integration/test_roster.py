"""Which offers of nodes count: those that `match` takes, one by one and together; first come, first served."""

from __future__ import annotations

import math
import os
import random
from typing import Any

import pytest
import windlass
from windlass._roster import Roster

GOOD: dict[str, Any] = {"name": "n", "resources": {"cpu": 4.0}}

ODD: list[tuple[Any, str]] = [
    ({**GOOD, "lables": {"zone": "a"}}, "did you mean 'labels'"),
    ({**GOOD, "resources": {"cpu": "4"}}, "cpu is '4'"),
    ({**GOOD, "resources": {"cpu": True}}, "cpu is True"),
    ({**GOOD, "resources": {"cpu": -1}}, "cpu is -1"),
    ({**GOOD, "resources": {"cpu": math.nan}}, "cpu is nan"),
    ({**GOOD, "resources": [4]}, "resources is"),
    ({**GOOD, "resources": {"": 1}}, "non-empty str"),
    ({**GOOD, "resources": {7: 1}}, "non-empty str"),
    ({**GOOD, "resources": {f"d{each}": 1 for each in range(257)}}, "at most 256"),
    ({**GOOD, "labels": {"zone": 1.5}}, "labels.zone is 1.5"),
    ({**GOOD, "labels": ["a"]}, "labels is"),
    ({**GOOD, "only": {"team": {"oneof": ["a"]}}}, "only.team.oneof"),
    ({**GOOD, "node": ""}, "node is ''"),
    ({**GOOD, "node": ["m"]}, "node is"),
    ({**GOOD, "price": -1}, "price is -1"),
    ({**GOOD, "price": "1"}, "price is '1'"),
    ({**GOOD, "devices": {"gpu": 1}}, "devices.gpu is 1"),
    ({**GOOD, "devices": {"gpu": [1.5]}}, "devices.gpu is 1.5"),
    ({**GOOD, "devices": {"gpu": [None]}}, "devices.gpu is None"),
    ({**GOOD, "devices": {"cpu": [1]}}, "either as an amount or under `devices`"),
    ({**GOOD, "staged": [1]}, "staged is 1"),
    ({"name": "n", "cpu": 4, "disk": {"gb": 1}}, "disk is"),
    ({"name": "other", "cpu": 4}, "not node n's own"),
    ({"name": "nn", "cpu": 4}, "not node n's own"),
    ({"cpu": 4}, "has no name"),
    ({"name": 7, "cpu": 4}, "has no name"),
    (7, "no mapping"),
    (None, "no mapping"),
]


@pytest.mark.parametrize(("odd", "why"), ODD, ids=lambda each: str(each)[:60])
def test_an_odd_record_is_left_out_and_costs_no_other(odd: Any, why: str):
    roster = Roster()
    beside = [{"name": f"n/{each}", "cpu": 1} for each in range(5)]
    roster.tell("n", [*beside[:3], odd, *beside[3:]])
    assert roster.offers("n") == beside
    (told,) = roster.left_out("n").values()
    assert why in told and not told.startswith("offers"), told
    if isinstance(odd, dict) and why != "not node n's own" and isinstance(odd.get("name"), str):
        assert list(roster.left_out("n")) == [odd["name"]]


def test_a_long_reason_is_cut():
    roster = Roster()
    roster.tell("n", [{**GOOD, "x" * 100_000: 1}])
    assert len(roster.left_out("n")["n"]) <= 300


def test_who_contradicts_is_left_out_until_it_does_not():
    roster = Roster()
    amount, devices = {"name": "a", "gpu": 2}, {"name": "b", "cpu": 1, "devices": {"gpu": [1, 1]}}
    assert roster.tell("a", [amount]) == [] and roster.tell("b", [devices, {"name": "b/1", "cpu": 1}]) == []
    assert roster.offers("b") == [{"name": "b/1", "cpu": 1}], "the rest of the node's stays"
    assert roster.left_out("b") == {"b": "devices.gpu: 'gpu' is an amount of node a"}
    assert roster.tell("a", [amount]) == [] and roster.offers("a") == [amount], "told again, as by a new connection"
    assert roster.tell("a", [{"name": "a", "cpu": 2}]) == ["b"]
    assert roster.offers("b") == [devices, {"name": "b/1", "cpu": 1}] and roster.left_out("b") == {}
    assert roster.tell("a", [amount]) == [] and roster.offers("a") == [], "now it is the one who comes later"
    assert roster.left_out("a") == {"a": "gpu is an amount, but stands under `devices` of node b"}
    assert roster.forget("b") == ["a"] and roster.offers("a") == [amount]


def test_a_node_may_contradict_itself():
    roster = Roster()
    roster.tell("n", [{"name": "n/0", "devices": {"gpu": [1]}}, {"name": "n/1", "gpu": 1}, {"name": "n/0", "cpu": 1}])
    assert [offer["name"] for offer in roster.offers("n")] == ["n/0"]
    assert list(roster.left_out("n")) == ["n/1", "n/0"]
    roster.tell("n", [{"name": "n/1", "gpu": 1}])
    assert roster.left_out("n") == {}


def test_a_name_is_of_one_node():
    roster = Roster()
    roster.tell("a", [{"name": "a/b", "cpu": 1}])
    roster.tell("a/b", [{"name": "a/b", "cpu": 2}])
    assert roster.offers("a/b") == [] and "another offer of node a" in roster.left_out("a/b")["a/b"]
    assert roster.tell("a", []) == ["a/b"]


def test_dimensions_of_all_nodes_together_are_bounded():
    roster = Roster()
    for node in range(3):
        names = [f"d{node}-{each}" for each in range(100)]
        roster.tell(f"n{node}", [{"name": f"n{node}", **dict.fromkeys(names, 1)}, {"name": f"n{node}/1", "d0-0": 1}])
    assert [len(roster.offers(f"n{node}")) for node in range(3)] == [2, 2, 1]
    assert "300 of 256" in roster.left_out("n2")["n2"]
    assert roster.forget("n0") == ["n2"]


def test_all_that_counts_is_what_match_takes_and_no_more_can():
    """Random records, right and wrong: what counts goes into one call of `match`, and nothing left out would too."""
    seed = int(os.environ.get("WINDLASS_SEED", random.randrange(2**32)))
    print(f"WINDLASS_SEED={seed}")
    chance = random.Random(seed)
    roster, nodes = Roster(), [f"n{each}" for each in range(6)]
    for _ in range(400):
        node = chance.choice(nodes)
        if chance.random() < 0.15:
            roster.forget(node)
        else:
            roster.tell(node, [a_record(chance, node) for _ in range(chance.randrange(5))])
        counts = [offer for each in nodes for offer in roster.offers(each)]
        windlass.match([], counts)
        for each in nodes:
            left = roster.left_out(each)
            records = [row.record for row in roster._rows.get(each, ()) if not row.counts]
            assert len(left) <= len(records) and bool(left) == bool(records)
            for record in records:
                if not isinstance(record, dict) or str(record.get("name")).partition("/")[0] != each:
                    continue
                with pytest.raises(windlass.InvalidArgument):
                    windlass.match([], [*counts, record])


def a_record(chance: random.Random, node: str) -> Any:
    odd = chance.random() < 0.3
    record: dict[Any, Any] = {"name": node if chance.random() < 0.4 else f"{node}/{chance.randrange(4)}"}
    names = chance.sample(["cpu", "memory", "gpu", "fpga", "disk"], chance.randrange(1, 4))
    amounts = {name: chance.choice([0, 1, 2.5, None]) for name in names}
    if chance.random() < 0.5:
        record["resources"] = amounts
    else:
        record.update(amounts)
    if chance.random() < 0.3:
        record["devices"] = {chance.choice(["gpu", "fpga"]): [1, 0.5]}
    if chance.random() < 0.3:
        record["labels"] = {"zone": chance.choice(["a", True, 1])}
    if odd:
        fields = ["name", "resources", "labels", "only", "node", "devices", "price", "staged"]
        key = chance.choice([*fields, "lables", "", 3])
        record[key] = chance.choice([None, "", "x", 1, -1, 1.5, True, [], [1], ["x"], {}, {"x": 1}, {"x": "y"}, {1: 2}])
    return chance.choice([7, None, "n"]) if odd and chance.random() < 0.1 else record

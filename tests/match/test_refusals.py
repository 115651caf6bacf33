"""Bad input is refused before anything is placed, and the error names side, row, name, field and value."""

import math
from decimal import Decimal

import numpy as np
import pytest
import windlass

GOOD = {"name": "good", "resources": {"cpu": 1}}
INF, NAN = math.inf, math.nan


def task(**fields):
    return {"name": "bad", "resources": {"cpu": 1}, **fields}


# (side, the second row, what is named as field, value)
ROWS = [
    ("tasks", task(resources={"cpu": "4"}), "cpu", "4"),
    ("tasks", task(resources={"cpu": True}), "cpu", True),
    ("tasks", task(resources={"cpu": np.bool_(True)}), "cpu", np.bool_(True)),
    ("tasks", task(resources={"cpu": INF}), "cpu", INF),
    ("tasks", task(resources={"cpu": -INF}), "cpu", -INF),
    ("tasks", task(resources={"cpu": -1}), "cpu", -1),
    ("offers", task(resources={"cpu": -1.1e-7}), "cpu", -1.1e-7),
    ("offers", task(resources={"cpu": 9.3e14}), "cpu", 9.3e14),
    ("offers", task(resources={"cpu": 10**400}), "cpu", 10**400),
    ("offers", task(resources={"cpu": Decimal("-2")}), "cpu", Decimal("-2")),
    ("offers", task(resources={"cpu": 1j}), "cpu", 1j),
    ("offers", task(resources={"cpu": [1]}), "cpu", [1]),
    ("offers", task(resources=[1]), "resources", [1]),
    ("tasks", task(resources="cpu"), "resources", "cpu"),
    ("tasks", task(resources={1: 2}), "1", 2),
    ("tasks", task(resources={"": 2}), "", 2),
    ("tasks", task(priorty=3), "priorty", 3),
    ("offers", task(priority=3), "priority", 3),
    ("tasks", task(price=3), "price", 3),
    ("tasks", {"name": "bad", "cpu": "x"}, "cpu", "x"),
    ("tasks", task(priority=1.5), "priority", 1.5),
    ("tasks", task(priority=2**31), "priority", 2**31),
    ("tasks", task(priority="high"), "priority", "high"),
    ("tasks", task(priority=True), "priority", True),
    ("tasks", task(name=None), "name", None),
    ("tasks", task(name=""), "name", ""),
    ("tasks", task(name=()), "name", ()),
    ("tasks", task(name=[1]), "name", [1]),
    ("tasks", task(name="good"), "name", "good"),
    ("offers", task(name="good"), "name", "good"),
    ("offers", task(labels={"zone": 1.5}), "labels.zone", 1.5),
    ("offers", task(labels={"zone": 2**63}), "labels.zone", 2**63),
    ("offers", task(labels=["zone"]), "labels", ["zone"]),
    ("tasks", task(labels={"zone": {"near": "x"}}), "labels.zone.near", "x"),
    ("tasks", task(labels={"zone": {"in": "abc"}}), "labels.zone.in", "abc"),
    ("tasks", task(labels={"zone": {"exists": 1}}), "labels.zone.exists", 1),
    ("tasks", task(labels={"zone": {"min": "1"}}), "labels.zone.min", "1"),
    ("tasks", task(labels={"zone": ["a", None]}), "labels.zone", None),
    ("tasks", task(tags={"team": ["a"]}), "tags.team", ["a"]),
    ("offers", task(only={"team": 0.5}), "only.team", 0.5),
    ("tasks", task(prefer=[{"labels": {}}]), "prefer.weight", None),
    ("tasks", task(prefer=[{"weight": 1}]), "prefer.labels", None),
    ("tasks", task(prefer=[{"labels": {}, "weight": 20000}]), "prefer.weight", 20000),
    ("tasks", task(prefer=[{"labels": {}, "weight": 1}] * 65), "prefer", 65),
    ("offers", task(node=""), "node", ""),
    ("tasks", task(tenant=3), "tenant", 3),
    ("tasks", task(group=""), "group", ""),
    ("tasks", task(max_per={"node": 1}), "max_per", {"node": 1}),
    ("tasks", task(group="g", max_per={"node": 0}), "max_per.node", 0),
    ("tasks", task(avoid="g"), "avoid", "g"),
    ("tasks", task(avoid=[""]), "avoid", ""),
    ("tasks", task(gang=7), "gang", 7),
    ("tasks", task(devices={"gpu": 1.5}), "devices.gpu", 1.5),
    ("tasks", task(devices={"cpu": 1}), "cpu", 1),
    ("offers", task(devices={"gpu": [1.1]}), "devices.gpu", 1.1),
    ("offers", task(devices={"gpu": [1, None]}), "devices.gpu", None),
    ("offers", task(devices={"gpu": 1}), "devices.gpu", 1),
    ("offers", task(price=-1), "price", -1),
    ("offers", task(price=1e13), "price", 1e13),
    ("tasks", task(inputs={"f": -1}), "inputs.f", -1),
    ("tasks", task(inputs={"f": 0.5}), "inputs.f", 0.5),
    ("tasks", task(inputs={"f": 2**62, "g": 2**62}), "inputs.g", 2**62),
    ("offers", task(staged=[""]), "staged", ""),
    ("offers", task(staged="abc"), "staged", "abc"),
]


def same(left, right):
    return left is right or left == right


@pytest.mark.parametrize(("side", "row", "field", "value"), ROWS)
@pytest.mark.parametrize("matcher", (windlass.match, windlass.legacy.match))
def test_a_bad_row_is_named(side, row, field, value, matcher):
    rows = [GOOD, row]
    with pytest.raises(windlass.InvalidArgument) as caught:
        matcher(rows, [GOOD]) if side == "tasks" else matcher([GOOD], rows)
    error = caught.value
    # What a kind of device and an amount share may be told at the row that has the amount.
    assert error.side == side and error.row in ((0, 1) if field == "cpu" and "devices" in row else (1,))
    assert error.field == field
    assert same(error.value, value)
    if error.row == 1 and field != "name":
        assert error.name == row["name"]
    assert field in str(error) and "allowed" in str(error)
    assert isinstance(error, ValueError)


def test_nan_is_refused_outside_of_frames():
    for tasks in (
        [GOOD, task(resources={"cpu": NAN})],
        {"name": ["a", "b"], "cpu": [1.0, NAN]},
        {"name": ["a", "b"], "cpu": np.array([1.0, NAN])},
        np.array([(1.0,), (NAN,)], dtype=[("cpu", "f8")]),
    ):
        with pytest.raises(windlass.InvalidArgument) as caught:
            windlass.match(tasks, [GOOD])
        assert (caught.value.side, caught.value.row, caught.value.field) == ("tasks", 1, "cpu")


class Share(float):
    """Not of the type float itself."""


def test_among_floats_each_other_kind_is_seen():
    floats = [1.5, 2.5, 0.25, 4.0]
    for value in (3, Share(0.5), np.float64(0.5), np.float32(0.5)):
        for row in range(4):
            given = [*floats[:row], value, *floats[row + 1 :]]
            result = windlass.match({"cpu": given}, {"cpu": [4.0, 4.0, 4.0, 4.0]})
            assert result.offer_index.tolist() == [0, 1, 2, 3]
            assert result._problem.task_amounts[0].tolist() == [int(each * 10_000) for each in given]
    for value in (True, None, "1.5", b"12345678", 1j, [1.0], 10**400, -1.5, math.inf, NAN):
        for row in range(4):
            with pytest.raises(windlass.InvalidArgument) as caught:
                windlass.match({"cpu": [*floats[:row], value, *floats[row + 1 :]]}, {"cpu": floats})
            assert (caught.value.side, caught.value.row, caught.value.field) == ("tasks", row, "cpu")


def test_none_in_a_list_is_refused():
    for columns in ({"cpu": [1, None]}, {"cpu": [1, 1], "priority": [None, 1]}, {"cpu": [1, 1], "group": ["a", None]}):
        with pytest.raises(windlass.InvalidArgument):
            windlass.match(columns, [GOOD])


OPTIONS = [
    ({"mode": "both"}, "mode"),
    ({"policy": "best"}, "policy"),
    ({"ties": 1}, "ties"),
    ({"ties": "swap_remove", "mode": "packing"}, "ties"),
    ({"normalize": 1}, "normalize"),
    ({"policy": "dot_product", "normalize": False}, "normalize"),
    ({"policy": "fragmentation", "normalize": False}, "normalize"),
    ({"weights": {"cpu": -1}}, "weights.cpu"),
    ({"weights": {"cpu": 2.0**-17}}, "weights.cpu"),
    ({"weights": {"cpu": 16385}}, "weights.cpu"),
    ({"weights": {"cpu": True}}, "weights.cpu"),
    ({"weights": [1]}, "weights"),
    ({"scale": {"cpu": 0}}, "scale.cpu"),
    ({"scale": {"cpu": INF}}, "scale.cpu"),
    ({"max_score": NAN}, "max_score"),
    ({"max_score": 2.0**46 + 1}, "max_score"),
    ({"max_score": 1, "policy": "cost"}, "max_score"),
    ({"max_price": "1"}, "max_price"),
    ({"max_price": -1}, "max_price"),
    ({"locality_weight": -1}, "locality_weight"),
    ({"dimensions": "cpu"}, "dimensions"),
    ({"dimensions": ["name"]}, "dimensions"),
    ({"dimensions": ["price"]}, "dimensions"),
    ({"dimensions": [""]}, "dimensions"),
    ({"quotas": {"t": {"cpu": -1}}}, "quotas.t.cpu"),
    ({"quotas": {"t": {"cpu": INF}}}, "quotas.t.cpu"),
    ({"quotas": {1: {}}}, "quotas"),
    ({"quotas": {"t": 3}}, "quotas.t"),
    ({"running": {}}, "running"),
    ({"running": [3]}, "running"),
    ({"running": [{"nod": "x"}]}, "running.nod"),
    ({"running": [{"resources": {"cpu": "1"}}]}, "running.cpu"),
    ({"running": [{"devices": {"gpu": 1.5}}]}, "running.devices.gpu"),
]


@pytest.mark.parametrize(("options", "field"), OPTIONS)
def test_a_bad_option_is_named(options, field):
    with pytest.raises(windlass.InvalidArgument) as caught:
        windlass.match([GOOD], [{**GOOD, "price": 1}], **options)
    assert (caught.value.side, caught.value.field) == ("options", field)
    assert field in str(caught.value)


def test_an_unknown_keyword_is_a_type_error():
    for call in (windlass.match, windlass.legacy.match, windlass.match_tasks_to_offers):
        with pytest.raises(TypeError):
            call([GOOD], [GOOD], polcy="cost")


def test_cost_and_max_price_need_each_price():
    for options in ({"policy": "cost"}, {"max_price": 3}):
        for second in ({}, {"price": None}):
            with pytest.raises(windlass.InvalidArgument) as caught:
                windlass.match([GOOD], [{**GOOD, "price": 1}, {**GOOD, "name": "x", **second}], **options)
            assert (caught.value.side, caught.value.row, caught.value.field) == ("offers", 1, "price")


def test_an_offer_far_above_the_scale():
    with pytest.raises(windlass.InvalidArgument) as caught:
        windlass.match([GOOD], [GOOD, {"name": "x", "cpu": 2**24 + 1}], scale={"cpu": 1})
    assert (caught.value.row, caught.value.field, caught.value.value) == (1, "cpu", 2**24 + 1)
    windlass.match([GOOD], [GOOD, {"name": "x", "cpu": 2**24}], scale={"cpu": 1})


def test_more_than_256_dimensions():
    wide = {"name": "x", **{f"d{i}": 1 for i in range(255)}}
    card = {"devices": {"card": 1}}
    windlass.match([{"name": "t", **card}], [wide])
    for tasks in ([{"name": "t", "resources": {"more": 1}, **card}],):
        with pytest.raises(windlass.InvalidArgument):
            windlass.match(tasks, [wide])


def test_a_gang_has_one_priority():
    tasks = [{"name": i, "cpu": 1, "gang": "g", "priority": i} for i in (0, 1)]
    with pytest.raises(windlass.InvalidArgument) as caught:
        windlass.match(tasks, [])
    assert (caught.value.side, caught.value.row) == ("tasks", 1)
    for i, each in enumerate(tasks):
        each["tenant"] = str(i)
    windlass.match(tasks, [])


class Row:
    def __init__(self, **fields):
        self.__dict__.update(fields)


def test_objects_without_dimensions_are_told_which_attributes_are_numbers():
    with pytest.raises(windlass.InvalidArgument) as caught:
        windlass.match([Row(name="a", cpu=1, memory=2.0, owner="x")], [])
    assert "cpu" in str(caught.value) and "memory" in str(caught.value) and "owner" not in str(caught.value)


def test_dimensions_are_the_whole_list():
    windlass.match([{"name": "a", "cpu": 1, "note": "text"}], [], dimensions=["cpu"])
    for row in ({"name": "a", "resources": {"gpu": 1}}, {"name": "a", "resources": {"cpu": 1}, "priorty": 1}):
        with pytest.raises(windlass.InvalidArgument):
            windlass.match([row], [], dimensions=["cpu"])


@pytest.mark.parametrize(
    "given", (None, 3, "abc", [1], ["abc"], [(1, 2)], {"a": 1}, {"a": [1], "b": [1, 2]}, {"a": {}, "b": [1]})
)
def test_what_is_no_table_is_refused(given):
    with pytest.raises(windlass.InvalidArgument) as caught:
        windlass.match(given, [])
    assert caught.value.side == "tasks"


def test_dimensions_that_nobody_has_do_not_count():
    absent = {f"n{i}": None for i in range(300)}
    assert windlass.match([{"name": "a", "cpu": 1, **absent}], [{"name": "b", "cpu": 1, **absent}]).assignments
    masked = {f"n{i}": np.ma.array([1.0], mask=[True]) for i in range(300)}
    assert windlass.match({"name": ["a"], "cpu": [1], **masked}, [{"name": "b", "cpu": 1}]).assignments

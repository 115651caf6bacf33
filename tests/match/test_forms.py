"""Every form of input says the same, and the examples of the contract hold."""

import random
import types
from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import windlass
from windlass import _inputs
from windlass._inputs._numbers import all_amounts, amounts
from windlass._match import cutter

TASKS = [
    {"name": "a", "cpu": 1.5, "mem": 2, "priority": 0},
    {"name": "b", "cpu": 0.1 + 0.2, "mem": 0, "priority": 2},
    {"name": "c", "cpu": 4, "mem": 8, "priority": 0},
]
OFFERS = [{"name": "x", "cpu": 2, "mem": 4}, {"name": "y", "cpu": 1, "mem": 1}, {"name": "z", "cpu": 3, "mem": 2}]


@dataclass
class Record:
    name: str
    cpu: float
    mem: float
    priority: int | None = None


class Slots:
    __slots__ = ("cpu", "mem", "name", "priority")

    def __init__(self, **fields):
        for key, value in fields.items():
            setattr(self, key, value)


def structured(rows):
    kinds = {"name": "U8", "cpu": "f8", "mem": "f4", "priority": "i4"}
    return np.array([tuple(row.values()) for row in rows], dtype=[(key, kinds[key]) for key in rows[0]])


def columns(rows, to=list):
    return {key: to([row[key] for row in rows]) for key in rows[0]}


def resources(rows):
    own = ("name", "priority")
    return [
        {
            **{key: row[key] for key in own if key in row},
            "resources": {key: value for key, value in row.items() if key not in own},
        }
        for row in rows
    ]


def frame(rows):
    return pytest.importorskip("pandas").DataFrame(rows)


def arrow(rows):
    return pytest.importorskip("pyarrow").Table.from_pylist(rows)


FORMS = {
    "mappings": lambda rows: rows,
    "tuple": tuple,
    "generator": lambda rows: (row for row in rows),
    "defaultdicts": lambda rows: [defaultdict(int, row) for row in rows],
    "resources": resources,
    "half": lambda rows: [resources(rows)[0], *rows[1:]],
    "by_name": lambda rows: {row["name"]: {k: v for k, v in row.items() if k != "name"} for row in rows},
    "columns": columns,
    "arrays": lambda rows: columns(rows, np.array),
    "tuples": lambda rows: columns(rows, tuple),
    "structured": structured,
    "objects": lambda rows: [Record(**row) for row in rows],
    "slots": lambda rows: [Slots(**row) for row in rows],
    "mixed": lambda rows: [Record(**rows[0]), *rows[1:]],
    "object_array": lambda rows: np.array(rows, dtype=object),
    "frame": frame,
    "arrow": arrow,
    "batch": lambda rows: arrow(rows).to_batches()[0],
    "arrow_frame": lambda rows: frame(rows).convert_dtypes(dtype_backend="pyarrow"),
    "nullable_frame": lambda rows: frame(rows).convert_dtypes(),
}


def answer(result):
    return result.assignments, result.unmatched, [result.score(row["name"]) for row in TASKS]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("other", ("mappings", "columns", "frame"))
@pytest.mark.parametrize("matcher", (windlass.match, windlass.legacy.match))
def test_forms_are_alike(form, other, matcher):
    want = answer(matcher(TASKS, OFFERS, dimensions=["cpu", "mem"]))
    assert list(want[0]) == ["b", "a"] and want[1] == ["c"]
    got = matcher(FORMS[form](TASKS), FORMS[other](OFFERS), dimensions=["cpu", "mem"])
    assert answer(got) == want
    assert answer(matcher(FORMS[other](TASKS), FORMS[form](OFFERS), dimensions=["cpu", "mem"])) == want


@pytest.mark.parametrize("form", [form for form in FORMS if form not in ("objects", "slots", "mixed")])
def test_dimensions_are_found(form):
    assert answer(windlass.match(FORMS[form](TASKS), FORMS[form](OFFERS))) == answer(windlass.match(TASKS, OFFERS))


def test_inputs_are_not_changed():
    rows = [defaultdict(int, name="a", cpu=1), defaultdict(int, name="b", mem=1)]
    windlass.match_tasks_to_offers(rows, rows)
    assert [set(row) for row in rows] == [{"name", "cpu"}, {"name", "mem"}]


def test_columns_without_names_are_numbered():
    result = windlass.match({"cpu": [1, 2]}, {"cpu": np.array([2, 1])})
    assert result.assignments == {0: 1, 1: 0}


def test_names_are_any_hashable():
    names = [0, "", (1, 2), b"x", 1.5, frozenset([1]), Decimal("7")]
    tasks = [{"name": name, "cpu": 1} for name in names if name != ""]
    result = windlass.match(tasks, [{"name": 0, "cpu": 1}], mode="packing")
    assert result.assignments == {0: 0}
    assert result.by_offer == {0: [0]}


@pytest.mark.parametrize(
    "number", (3, 3.0, np.int8(3), np.uint64(3), np.float32(3), Decimal(3), Fraction(3), np.float16(3))
)
def test_kinds_of_numbers(number):
    result = windlass.match([{"name": "t", "cpu": number}], [{"name": "o", "cpu": 3}])
    assert result.score("t") == 0.0


def test_absent_is_absent_everywhere():
    pandas = pytest.importorskip("pandas")
    pyarrow = pytest.importorskip("pyarrow")
    row = {
        "name": "t",
        "cpu": 1,
        "mem": None,
        "priority": None,
        "labels": {"zone": None},
        "group": None,
        "devices": None,
    }
    offers = [{"name": "o", "cpu": 1, "mem": 0, "labels": None}]
    forms = [
        [row],
        {"t": row},
        [Slots(name="t", cpu=1, mem=None, priority=None)],
        [{"name": "t", "resources": {"cpu": 1, "mem": None}}],
        {"name": ["t"], "cpu": [1], "mem": None},
        pandas.DataFrame({"name": ["t"], "cpu": [1], "mem": [np.nan], "priority": [np.nan], "group": [pandas.NA]}),
        pandas.DataFrame(
            {"name": ["t"], "cpu": pandas.array([1], dtype="Int64"), "mem": pandas.array([None], "Float64")}
        ),
        pyarrow.table({"name": ["t"], "cpu": [1], "mem": pyarrow.array([None], pyarrow.float64()), "group": [None]}),
        pyarrow.table({"name": ["t"], "resources": [{"cpu": 1, "mem": None}]}),
    ]
    for tasks in forms:
        for matcher in (windlass.match, windlass.legacy.match):
            assert matcher(tasks, offers, dimensions=["cpu", "mem"]).assignments == {"t": "o"}, tasks


def test_an_arrow_nan_is_refused():
    pyarrow = pytest.importorskip("pyarrow")
    with pytest.raises(windlass.InvalidArgument):
        windlass.match(pyarrow.table({"name": ["t"], "cpu": [float("nan")]}), [])


def test_nothing_to_do_is_no_error():
    for tasks, offers in (
        ([], []),
        ([], OFFERS),
        (TASKS, []),
        ({}, {}),
        ({"cpu": []}, {}),
        (np.array([], dtype=[("cpu", "f8")]), []),
    ):
        for options in ({}, {"policy": "cost"}, {"mode": "packing", "policy": "dot_product"}, {"max_price": 1}):
            if offers and ("max_price" in options or options.get("policy") == "cost"):
                continue
            for matcher in (windlass.match, windlass.legacy.match):
                result = matcher(tasks, offers, **options)
                assert result.assignments == {} and len(result.unmatched) == len(tasks if tasks is TASKS else [])
                assert result.offer_index.dtype == np.int32


def test_a_dimension_nobody_has_is_a_warning():
    result = windlass.match([{"name": "t", "gpus": 1}], [{"name": "o", "gpu": 1}])
    assert len(result.warnings) == 1 and "gpus" in result.warnings[0]
    assert "resource.gpus" in result.explain("t").reasons


def test_scores_read_as_the_contract_says():
    tasks, offers = [{"name": "t", "cpu": 1}], [{"name": "o", "cpu": 4, "price": 2.5}]
    for options, score in (
        ({"policy": "cost"}, (2.5, 0.75)),
        ({"normalize": False}, 3.0),
        ({"policy": "worst_fit"}, -0.75),
        ({"policy": "dot_product"}, -0.25),
        ({"weights": {"cpu": 2}}, 1.5),
        ({"scale": {"cpu": 1}}, 3.0),
    ):
        for matcher in (windlass.match, windlass.legacy.match):
            result = matcher(tasks, offers, **options)
            assert result.score("t") == score
            assert result.devices("t") == {}
    with pytest.raises(KeyError):
        result.score("nobody")


def test_the_dict_of_the_old_loop():
    tasks = [{"name": i, "cpu": 1} for i in range(4)]
    offers = [{"name": i, "cpu": 1} for i in "abcd"]
    # The lowest place among the free: a used offer's place is taken by the last.
    want = [("a", 0), ("d", 1), ("c", 2), ("b", 3)]
    for matcher in (windlass.match_tasks_to_offers, windlass.legacy.match_tasks_to_offers):
        assert list(matcher(tasks, offers).items()) == want
        assert list(matcher(tasks, offers, ties="stable")) == list("abcd")
        with pytest.raises(windlass.InvalidArgument):
            matcher(tasks, offers, mode="packing")


def columns_of(r):
    """Columns as they are most often given, and now and then something odd among them."""
    count = r.choice((1, 2, 5))
    odd = r.choice((None,) * 6 + ("names", "value", "length", "key", "kind"))
    names = [r.choice((number, f"n{number}")) for number in range(count)] if odd == "names" else list(range(count))
    if odd == "names":
        names[-1] = r.choice(("", None, True, names[0], 1.0, "x"))
    given = {"name": names, **{key: np.array([r.uniform(0, 9) for _ in names]) for key in ("mem", "cpu")}}
    if odd == "value":
        given["cpu"][-1] = r.choice((float("nan"), -1.0, 1e15, -1e-8, 9.2e14))
    if odd == "length":
        given["cpu"] = given["cpu"][1:]
    if odd == "key":
        given[r.choice((3, "", "price", "resources", "labels"))] = given["mem"]
    if odd == "kind":
        given["cpu"] = r.choice(
            (None, [1.0] * count, np.ones(count, dtype=int), np.ones((count, 1)), np.ones(count, ">f8"))
        )
    return given


@pytest.mark.parametrize("seed", range(200))
def test_plain_columns_are_read_quickly_as_others_are_slowly(seed):
    r = random.Random(seed)
    given, cut = columns_of(r), cutter()

    def one_by_one(side):
        return {name: amounts(side, name, column, cut, "offer") for name, column in side.dims.items()}

    def read(columns, cut_all):
        try:
            side = _inputs.read_side("offers", columns, None)
            dims = cut_all(side)
            fields = {name: list(column.values) for name, column in side.fields.items()}
            return (
                side.names,
                side.count,
                fields,
                list(dims),
                [None if c is None else c.tolist() for c in dims.values()],
            )
        except windlass.InvalidArgument as error:
            return str(error)

    slowly = read(types.MappingProxyType(given), one_by_one)  # which is no dict, and so read the slow way
    assert read(given, lambda side: all_amounts(side, cut, "offer")) == slowly

"""Inputs that look like something else: numbers that are times, tables that are none, texts that print otherwise."""

import enum
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import windlass
from windlass import legacy

OFFERS = [{"name": "o", "cpu": 2}]


class Zone(str, enum.Enum):
    A = "a"


def refusal(tasks, **options):
    with pytest.raises(windlass.InvalidArgument) as caught:
        windlass.match(tasks, OFFERS, **options)
    return caught.value


@pytest.mark.parametrize("dtype", ["M8[ns]", "M8[s]", "m8[ns]", "m8[s]"])
def test_times_are_no_amounts(dtype):
    column = np.array([1, 2], dtype)
    record = np.array([("a", 1), ("b", 2)], [("name", "U1"), ("cpu", dtype)])
    for tasks in ({"name": ["a", "b"], "cpu": column}, record, [{"name": "a", "cpu": column[0]}]):
        error = refusal(tasks)
        assert (error.side, error.row, error.name, error.field) == ("tasks", 0, "a", "cpu")


def test_a_duration_is_no_priority():
    assert refusal([{"name": "a", "priority": np.timedelta64(1, "s")}]).field == "priority"


def test_an_array_without_rows_is_no_table():
    assert refusal(np.array(5)).side == "tasks"


@pytest.mark.parametrize("kind", ["double[pyarrow]", "Float64"])
def test_nan_beside_na_is_absent_in_a_frame(kind):
    if kind == "Float64":
        column = pd.arrays.FloatingArray(np.array([2.0, np.nan]), np.array([False, False]))
    else:
        column = pd.arrays.ArrowExtensionArray(pa.array([2.0, float("nan")]))
    frame = pd.DataFrame({"name": ["a", "b"], "cpu": pd.Series(column)})
    offers = [{"name": "none"}, {"name": "two", "cpu": 2}]
    assert windlass.match(frame, offers).assignments == {"a": "two", "b": "none"}


def test_columns_that_dimensions_leaves_out_may_be_anything():
    tasks = {"name": ["a"], "cpu": [1], "note": "not a column", "longer": [1, 2, 3]}
    assert windlass.match(tasks, OFFERS, dimensions=["cpu"]).assignments == {"a": "o"}
    assert windlass.match({"mem": [1, 2]}, OFFERS, dimensions=["cpu"]).unmatched == [1]


@pytest.mark.parametrize("matcher", [windlass.match, legacy.match])
def test_a_member_of_a_str_enum_is_its_text(matcher):
    task = {"name": "t", "labels": {"zone": "a", Zone.A: 1}, "inputs": {Zone.A: 5}, "devices": {Zone.A: 1}}
    offer = {"name": "o", "labels": {"zone": Zone.A, "a": 1}, "staged": ["a"], "devices": {"a": [1]}}
    found = matcher([task], [offer], max_score=0)
    assert found.assignments == {"t": "o"}
    assert found.devices("t") == {"a": [0]}


@pytest.mark.parametrize("matcher", [windlass.match, legacy.match])
def test_leading_zeros_of_any_number_read_as_an_int(matcher):
    for zeros in (30, 5000):
        offer = {"name": "o", "labels": {"n": "+" + "0" * zeros + "5"}}
        assert not matcher([{"name": "t", "labels": {"n": {"min": 5, "max": 5}}}], [offer]).unmatched
        assert matcher([{"name": "t", "labels": {"n": {"min": 6}}}], [offer]).unmatched


@pytest.mark.parametrize("matcher", [windlass.match, legacy.match])
@pytest.mark.parametrize("labels", [{"zone": "a\ud800"}, {"a\ud800": "zone"}, {"zone": ["é", "\udfff"]}])
def test_half_a_character_in_a_label_is_refused(matcher, labels):
    with pytest.raises(windlass.InvalidArgument) as caught:
        matcher([{"name": "t", "labels": labels}], OFFERS)
    assert (caught.value.side, caught.value.row, caught.value.name) == ("tasks", 0, "t")
    assert caught.value.field.startswith("labels.")
    assert not matcher([{"name": "t", "labels": {"é": "ü"}}], [{"name": "o", "labels": {"é": "ü"}}]).unmatched


def test_an_arrow_map_with_a_key_twice_is_refused_where_it_stands():
    pairs = [[("zone", "a")], [("zone", "a"), ("zone", "b")], None]
    table = pa.table({"name": ["a", "b", "c"], "labels": pa.array(pairs, pa.map_(pa.string(), pa.string()))})
    error = refusal(table)
    assert (error.row, error.name, error.field) == (1, "b", "labels")
    assert windlass.match(table.slice(0, 1), [{"name": "o", "labels": {"zone": "a"}}]).assignments == {"a": "o"}


def test_a_nan_that_is_refused_is_told_as_given():
    assert isinstance(refusal([{"name": "a", "cpu": Decimal("NaN")}]).value, Decimal)

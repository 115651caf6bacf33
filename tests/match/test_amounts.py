"""Numbers are cut to units alike by the oracle, by numpy and by the library."""

import math
from fractions import Fraction

import numpy as np
import pytest
from windlass import _native
from windlass.legacy import _amounts

from tests.oracle import matching


def hard_values(count, seed):
    """Doubles around what is hard: units, halves, the edges of the tolerance, powers, the largest."""
    r = np.random.default_rng(seed)
    units = np.floor(10.0 ** r.uniform(0, 13, count))
    near = units / 10000.0
    parts = [
        near,
        np.nextafter(near, np.inf),
        np.nextafter(near, 0),
        near + r.uniform(-2e-7, 2e-7, count),
        (units + 0.5) / 10000.0,
        (units + r.choice([0.001, -0.001, 0.0009999, 0.0010001], count)) / 10000.0,
        r.uniform(0, 1, count),
        10.0 ** r.uniform(-12, 14.96, count),
        2.0 ** r.uniform(-60, 49.7, count),
        np.rint(10.0 ** r.uniform(0, 14.96, count)),
        units * 1e-7,
        r.uniform(-1e-7, 2e-7, count),
    ]
    return np.concatenate([*parts, [0.0, -0.0, 1e-7, np.nextafter(1e-7, 1), -1e-7, 9.2e14, 0.29, 0.1 + 0.2, 1 / 3]])


@pytest.mark.parametrize(
    ("value", "units"), [(0.29, 2900), (0.1 + 0.2, 3000), (1 / 3, 3333), (3, 30000), (9.2e14, 9.2e18)]
)
def test_examples(value, units):
    assert matching.cut(value) == units
    assert _amounts.cut(np.array([value], dtype=float), "offer")[0] == units


def test_a_task_asks_for_one_unit_at_least():
    values = np.array([1e-7, np.nextafter(1e-7, 1), 0.00009, math.nan])
    assert _amounts.cut(values, "task").tolist() == [0, 1, 1, 0]
    assert _amounts.cut(values, "offer").tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("kind", ("offer", "task", "cap", "share"))
def test_numpy_cuts_as_the_oracle(kind):
    values = hard_values(4000, 1)
    values = np.clip(values, -1e-7, 1 + 1e-7) if kind == "share" else np.clip(values, -1e-7, 9.2e14)
    want = [matching.cut(value, task=kind == "task") for value in values.tolist()]
    want = [min(units, 10_000) for units in want] if kind == "share" else want
    assert _amounts.cut(values, kind).tolist() == want


@pytest.mark.parametrize("kind", ("offer", "task", "cap", "share"))
def test_the_library_cuts_as_numpy(kind):
    if not _native.available():
        pytest.skip("no library: run `make build`")
    for seed in range(4):
        values = hard_values(100_000, seed)
        values = np.clip(values, -1e-7, 1 + 1e-7 if kind == "share" else 9.2e14)
        values[::1000] = math.nan
        assert np.array_equal(_native.cut(values, kind), _amounts.cut(values, kind))


@pytest.mark.parametrize("cut", [_amounts.cut, *([_native.cut] if _native.available() else [])])
@pytest.mark.parametrize("kind", ("offer", "task"))
def test_columns_are_cut_at_once_as_one_by_one_or_not_at_all(cut, kind):
    columns = [np.clip(hard_values(1000, seed), -1e-7, 9.2e14) for seed in range(3)]
    assert np.array_equal(cut.columns(columns, kind), [cut(column, kind) for column in columns])
    assert cut.columns([column[::2] for column in columns], kind).tolist() == [
        cut(c[::2], kind).tolist() for c in columns
    ]
    for odd in (math.nan, -1.0, 9.3e14, math.inf):
        columns[1][-1] = odd
        assert cut.columns(columns, kind) is None


def test_a_decimal_and_a_fraction_are_made_doubles_first():
    assert matching.cut(Fraction(1, 3)) == 3333
    assert matching.cut(np.float32(0.1)) == 1000

"""Bad input of more than 50 kinds: each is named, and the engine and a daemon answer the next good call as before."""

import pytest
import windlass
from windlass import legacy

from .test_refusals import GOOD, OPTIONS, ROWS, same

TASKS = [{"name": f"t{i}", "resources": {"cpu": 1 + i % 3, "gpu": i % 2}} for i in range(9)]
OFFERS = [{"name": f"o{i}", "resources": {"cpu": 2 + i % 4, "gpu": i % 3}, "price": i} for i in range(7)]
COLUMNS = [
    ({"name": ["a", "b"], "cpu": [1.0]}, "cpu", None),  # wrong lengths
    ({"name": ["a", "a"], "cpu": [1, 1]}, "name", "a"),
    ({"name": ["a", "b"], "cpu": [1, "x"]}, "cpu", "x"),  # mixed types
    ({"name": ["a", "b"], "cpu": [1, float("nan")]}, "cpu", None),
    ([{"name": "a", **{f"d{i}": 1 for i in range(1_000_000)}}], None, None),  # a million dimensions
]
KINDS = len({(side, field, repr(value)) for side, _, field, value in ROWS}) + len(OPTIONS) + len(COLUMNS)


@pytest.fixture(scope="module")
def client():
    with windlass.LocalNode() as node, node.client() as client:
        yield client


@pytest.fixture(params=["here", "daemon"])
def match(request):
    """A matcher, and afterwards the proof that it still answers, and was not replaced by `legacy`."""
    matcher = windlass.match if request.param == "here" else request.getfixturevalue("client").match
    before = windlass.stats()["fallbacks"]["match"]
    yield matcher
    assert matcher(TASKS, OFFERS).assignments == legacy.match(TASKS, OFFERS).assignments
    assert windlass.stats()["fallbacks"]["match"] == before


def test_there_are_many_kinds():
    assert KINDS >= 50


@pytest.mark.parametrize(("side", "row", "field", "value"), ROWS)
def test_after_a_bad_row(match, side, row, field, value):
    with pytest.raises(windlass.InvalidArgument) as caught:
        match([GOOD, row], [GOOD]) if side == "tasks" else match([GOOD], [GOOD, row])
    assert (caught.value.side, caught.value.field) == (side, field)
    assert caught.value.row is not None and same(caught.value.value, value)
    assert field in str(caught.value) and f"{side} row {caught.value.row}" in str(caught.value)


@pytest.mark.parametrize(("options", "field"), OPTIONS)
def test_after_a_bad_option(match, options, field):
    with pytest.raises(windlass.InvalidArgument) as caught:
        match([GOOD], [{**GOOD, "price": 1}], **options)
    assert (caught.value.side, caught.value.field) == ("options", field)


@pytest.mark.parametrize("given", COLUMNS, ids=["lengths", "twice", "mixed", "nan", "dimensions"])
def test_after_a_bad_table(match, given):
    tasks, field, value = given
    with pytest.raises(windlass.InvalidArgument) as caught:
        match(tasks, OFFERS)
    assert caught.value.side == "tasks"
    assert field is None or caught.value.field == field
    assert value is None or caught.value.value == value

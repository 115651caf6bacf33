"""Too many dimensions are refused at the first too many: what is read before is counted, and none of it is the rest."""

from collections.abc import Mapping

import numpy as np
import pytest
import windlass

WIDE = 1_000_000
READS_MAX = 3_000  # a few of each name up to the limit


class Counted(Mapping):
    """{first: given, d0: value, d1: value, ...}; `reads` counts what anybody asked of it."""

    def __init__(self, value, width=WIDE, **given):
        self.given, self.value, self.width, self.reads = given, value, width, 0

    def __getitem__(self, key):
        self.reads += 1
        if key in self.given:
            return self.given[key]
        if key.startswith("d") and key[1:].isdigit() and int(key[1:]) < self.width:
            return self.value
        raise KeyError(key)

    def __iter__(self):
        for key in self.given:
            self.reads += 1
            yield key
        for number in range(self.width):
            self.reads += 1
            yield f"d{number}"

    def __len__(self):
        return len(self.given) + self.width


class Row:
    def __init__(self, **fields):
        self.__dict__.update(fields)


def in_rows(wide):
    wide.given["name"] = "a"
    return [{"name": "b", "d5": 1}, wide]


def in_columns(wide):
    wide.value = [1, 2]
    return wide


def in_array_columns(wide):
    wide.value = np.ones(2)
    return wide


def among_objects(wide):
    wide.given["name"] = "a"
    return [Row(name="b", resources={"d5": 1}), wide]


FORMS = {
    "rows": in_rows,
    "named rows": lambda wide: {"a": wide},
    "columns": in_columns,
    "columns of arrays": in_array_columns,
    "resources": lambda wide: [{"name": "a", "resources": wide}],
    "a column of resources": lambda wide: {"name": ["a"], "resources": [wide]},
    "objects": lambda wide: [Row(name="a", resources=wide)],
    "mixed rows": among_objects,
}


@pytest.fixture(params=["match", "legacy", "session"])
def call(request):
    def session(tasks, offers):
        with windlass.Session([{"name": "first", "d5": 1}]) as session:
            session.add(offers)
            session.match(tasks)

    return {"match": windlass.match, "legacy": windlass.legacy.match, "session": session}[request.param]


@pytest.mark.parametrize("side", ["tasks", "offers"])
@pytest.mark.parametrize("form", FORMS)
def test_a_million_dimensions(call, side, form):
    wide = Counted(1)
    sides = {"tasks": [{"name": "t", "d5": 1}], "offers": [{"name": "o", "d5": 1}], side: FORMS[form](wide)}
    with pytest.raises(windlass.InvalidArgument) as caught:
        call(sides["tasks"], sides["offers"])
    assert (caught.value.side, caught.value.field) == (side, "d256")
    assert "at most 256 dimensions" in str(caught.value)
    assert wide.reads < READS_MAX


@pytest.mark.parametrize("side", ["tasks", "offers"])
def test_a_million_kinds_of_devices(call, side):
    wide = Counted(1 if side == "tasks" else [1])
    sides = {"tasks": [{"name": "t"}], "offers": [{"name": "o"}], side: [{"name": "a", "devices": wide}]}
    with pytest.raises(windlass.InvalidArgument) as caught:
        call(sides["tasks"], sides["offers"])
    assert (caught.value.side, caught.value.field) == (side, "d256")
    assert wide.reads < READS_MAX


def test_a_few_in_each_of_many_rows(call):
    rows = [Counted(1, 250, name=number) for number in range(2_000)]
    for number, row in enumerate(rows):
        row.given[f"own{number}"] = 1
    with pytest.raises(windlass.InvalidArgument, match="at most 256 dimensions"):
        call([], rows)
    assert sum(row.reads for row in rows[1_000:]) == 0


@pytest.mark.parametrize("with_resources", [False, True])
def test_a_million_fields_beside_resources(with_resources):
    wide = Counted(1, name="a", **({"resources": {"d5": 1}} if with_resources else {}))
    if not with_resources:  # then they are ignored, however many they are
        assert windlass.match([wide], [{"name": "o", "d5": 1}], dimensions=["d5"]).assignments == {"a": "o"}
        return
    with pytest.raises(windlass.InvalidArgument):
        windlass.match([wide], [{"name": "o", "d5": 1}])
    assert wide.reads < READS_MAX


def test_what_is_absent_is_no_dimension(call):
    wide = Counted(None, 5_000, name="a", cpu=1)
    call([{"name": "t", "cpu": 1}], [wide, {"name": "b", "cpu": 2}])
    call({"name": ["t"], "cpu": [1], **{f"d{number}": None for number in range(300)}}, [wide])

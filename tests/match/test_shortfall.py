"""What `shortfall` proposes, the matcher confirms, and nothing in it is needless."""

import random

import pytest
import windlass


def grown(answer, catalogue):
    """The machines of an answer, as offers."""
    types = {row["name"]: row for row in catalogue}
    return [{**types[name], "name": (name, i)} for name, count in answer.items() for i in range(count)]


def lower_bound(tasks, catalogue):
    """The cheapest that any one dimension alone would allow."""
    best = 0.0
    for dim in ("cpu", "mem"):
        rates = [row["price"] / row["resources"][dim] for row in catalogue if row["resources"].get(dim)]
        best = max(best, sum(task["resources"].get(dim, 0) for task in tasks) * min(rates, default=0))
    return best


def random_call(seed, mode):
    r = random.Random(seed)

    def resources(low, high):
        return {"cpu": r.randint(low, high), "mem": r.randint(low, high) * 2}

    tasks = [{"name": f"t{i}", "resources": resources(1, 8)} for i in range(r.randint(1, 40))]
    offers = [{"name": f"o{i}", "resources": resources(2, 8), "price": 1} for i in range(r.randint(0, 5))]
    catalogue = [
        {"name": f"type{k}", "resources": resources(2, 16), "price": r.choice((0.5, 1, 2, 4))}
        for k in range(r.randint(1, 4))
    ]
    return tasks, offers, catalogue, {"mode": mode, "policy": r.choice(("best_fit", "worst_fit", "cost"))}


@pytest.mark.parametrize("mode", ("exclusive", "packing"))
@pytest.mark.parametrize("seed", range(20))
def test_the_answer_places_all_that_fits_and_no_type_is_needless(seed, mode):
    tasks, offers, catalogue, options = random_call(seed, mode)
    result = windlass.legacy.match(tasks, offers, **options)
    answer = result.shortfall(catalogue)
    waiting = [task for task in tasks if task["name"] in set(result.unmatched)]
    fit = [task for task in waiting if windlass.legacy.match([task], catalogue, **options).assignments]
    assert set(answer.unplaced) == {t["name"] for t in waiting} - {t["name"] for t in fit}
    names = {task["name"] for task in fit}
    machines = grown(answer, catalogue)
    assert not names & set(windlass.legacy.match(tasks, offers + machines, **options).unmatched)
    assert not windlass.legacy.match(fit, machines, **options).unmatched
    for name in answer:
        fewer = [machine for machine in machines if machine["name"][0] != name]
        alone = windlass.legacy.match(fit, fewer, **options).unmatched
        assert alone or names & set(windlass.legacy.match(tasks, offers + fewer, **options).unmatched)


@pytest.mark.parametrize("seed", range(20))
def test_prices_stay_within_twice_the_lower_bound(seed):
    tasks, _, catalogue, _ = random_call(seed, "packing")
    catalogue.append({"name": "large", "resources": {"cpu": 16, "mem": 32}, "price": 2})
    answer = windlass.legacy.match(tasks, [], mode="packing").shortfall(catalogue)
    prices = {row["name"]: row["price"] for row in catalogue}
    bound = lower_bound(tasks, catalogue)
    assert not answer.unplaced
    assert sum(prices[name] * count for name, count in answer.items()) <= max(2 * bound, min(prices.values()) * 2)


def test_nothing_to_add():
    result = windlass.legacy.match([{"name": "a", "cpu": 1}], [{"name": "x", "cpu": 1}])
    assert result.shortfall([{"name": "m", "cpu": 4}]) == {}


def test_what_fits_no_type_is_listed():
    result = windlass.legacy.match([{"name": "a", "cpu": 1}, {"name": "b", "cpu": 100}], [])
    answer = result.shortfall({"small": {"cpu": 2}, "other": {"mem": 2}})
    assert answer == {"small": 1}
    assert answer.unplaced == ["b"]
    assert "small" in str(answer)


def test_conditions_and_devices_count():
    tasks = [
        {"name": "a", "resources": {"cpu": 1}, "labels": {"zone": "z"}},
        {"name": "b", "resources": {"cpu": 1}, "devices": {"card": 2}},
        {"name": "c", "resources": {"cpu": 1}, "labels": {"zone": "nowhere"}},
    ]
    catalogue = [
        {"name": "zoned", "resources": {"cpu": 1}, "labels": {"zone": "z"}},
        {"name": "cards", "resources": {"cpu": 1}, "devices": {"card": [1, 1]}},
    ]
    answer = windlass.legacy.match(tasks, [], mode="packing").shortfall(catalogue)
    assert answer == {"zoned": 1, "cards": 1}
    assert answer.unplaced == ["c"]


def test_a_group_that_spreads_gets_machines_of_its_own():
    tasks = [{"name": i, "cpu": 1, "group": "g", "max_per": {"node": 1}} for i in range(4)]
    assert windlass.legacy.match(tasks, [], mode="packing").shortfall([{"name": "m", "cpu": 8}]) == {"m": 4}


def test_a_quota_is_not_mended_by_machines():
    tasks = [{"name": i, "cpu": 1, "tenant": "t"} for i in range(3)]
    answer = windlass.legacy.match(tasks, [], quotas={"t": {"cpu": 1}}).shortfall([{"name": "m", "cpu": 8}])
    assert answer == {"m": 1}
    assert answer.unplaced == [1, 2]


def test_a_bad_catalogue_is_refused():
    result = windlass.legacy.match([{"name": "a", "cpu": 1}], [])
    with pytest.raises(windlass.InvalidArgument) as caught:
        result.shortfall([{"name": "m", "cpu": -1}])
    assert (caught.value.side, caught.value.row, caught.value.field) == ("offers", 0, "cpu")

"""What a session's calls promise, one sentence at a time."""

import gc
import os
import weakref

import numpy as np
import pytest
import windlass

from .test_session import makers

MAKERS = makers()


@pytest.fixture(params=sorted(MAKERS))
def make(request):
    """Opens sessions, in Python or by the library."""
    return MAKERS[request.param]


def offers(*cpus, **more):
    return [{"name": f"o{i}", "resources": {"cpu": cpu}, **more} for i, cpu in enumerate(cpus)]


def tasks(*cpus, first=0, **more):
    return [{"name": f"t{first + i}", "resources": {"cpu": cpu}, **more} for i, cpu in enumerate(cpus)]


def cpus(session):
    return {offer["name"]: offer["resources"]["cpu"] for offer in session.offers()}


def test_what_is_placed_is_taken_until_it_is_released(make):
    with make(offers(4, 8), mode="packing") as session:
        assert session.match(tasks(3, 3)).assignments == {"t0": "o0", "t1": "o1"}
        assert cpus(session) == {"o0": 1, "o1": 5}
        assert [offer.tasks for offer in session.offers()] == [["t0"], ["t1"]]
        assert session.match(tasks(6, first=2)).unmatched == ["t2"]
        assert session.release(["t1", "t1", "nobody"]) == 1
        assert session.release(["t1"]) == 0
        assert session.match(tasks(6, first=2)).assignments == {"t2": "o1"}


def test_a_name_may_come_again_once_it_is_released_or_was_not_placed(make):
    with make(offers(4)) as session:
        assert session.match(tasks(5)).unmatched == ["t0"]
        assert session.match(tasks(1)).assignments == {"t0": "o0"}
        with pytest.raises(windlass.InvalidArgument) as caught:
            session.match([{"name": "new", "cpu": 1}, *tasks(1)])
        assert (caught.value.side, caught.value.row, caught.value.name) == ("tasks", 1, "t0")
        session.release(["t0"])
        assert session.match(tasks(2)).assignments == {"t0": "o0"}


@pytest.mark.parametrize(
    "call, side, field",
    [
        (lambda s: s.add([{"name": "x", "cpu": 1}, {"name": "o1", "cpu": 1}]), "offers", "name"),
        (lambda s: s.update([{"name": "o1", "cpu": 1}, {"name": "x", "cpu": 1}]), "offers", "name"),
        (lambda s: s.add([{"name": "x", "cpu": -1}]), "offers", "cpu"),
        (lambda s: s.update([{"name": "o0", "cpu": 3}, {"name": "o1", "cpu": 2**26}]), "offers", "cpu"),
        (lambda s: s.add([{"name": "x", "devices": {"cpu": [1]}}]), "offers", "devices.cpu"),
        (lambda s: s.match([{"name": "x", "devices": {"cpu": 1}}]), "tasks", "devices.cpu"),
        (lambda s: s.match([{"name": "x", "cpu": "1"}]), "tasks", "cpu"),
        (lambda s: s.remove("o1"), "offers", "name"),
        (lambda s: s.release("t0"), "tasks", "name"),
    ],
)
def test_what_is_refused_changes_nothing(make, call, side, field):
    with make(offers(4, 8), scale={"cpu": 2}) as session:
        session.match(tasks(1))
        before, version = session.offers(), session.version
        with pytest.raises(windlass.InvalidArgument) as caught:
            call(session)
        assert (caught.value.side, caught.value.field) == (side, field)
        assert session.offers() == before and session.version == version


def test_options_that_a_session_does_not_take(make):
    with pytest.raises(windlass.InvalidArgument) as caught:
        make(offers(1), ties="swap_remove")
    assert (caught.value.side, caught.value.field) == ("options", "ties")
    with pytest.raises(TypeError):
        make(offers(1), colour="red")
    with pytest.raises(windlass.InvalidArgument):
        make([{"name": "a"}, {"name": "a"}])
    with pytest.raises(windlass.InvalidArgument):
        make(offers(1), policy="cost")


def test_version_counts_the_calls_that_change_anything(make):
    with make(offers(4, 8)) as session:
        counted = [session.version]
        for call in (
            lambda: session.match(tasks(100)),
            lambda: session.match([]),
            lambda: session.release(["t9"]),
            lambda: session.remove([]),
            lambda: session.add([]),
            lambda: session.offers(),
        ):
            call()
            assert session.version == counted[0]
        for call in (
            lambda: session.match(tasks(1, 2)),
            lambda: session.release(["t0", "t9"]),
            lambda: session.add([{"name": "new", "cpu": 1}]),
            lambda: session.update([{"name": "new", "cpu": 2}]),
            lambda: session.remove(["new", "gone"]),
        ):
            counted.append(session.version)
            call()
            assert session.version == counted[-1] + 1


def test_an_offer_keeps_its_place_and_comes_last_and_empty_when_it_returns(make):
    with make(offers(4, 4, 4), mode="packing") as session:
        session.update(offers(4))
        first = session.match(tasks(1))
        assert first.assignments == {"t0": "o0"} and first.offer_index.tolist() == [0]
        assert session.remove(["o0", "nobody"]) == 1
        assert session.release(["t0"]) == 0  # forgotten with its offer
        session.add(offers(4))
        assert list(cpus(session).items()) == [("o1", 4), ("o2", 4), ("o0", 4)]
        again = session.match(tasks(1))
        assert again.assignments == {"t0": "o1"} and again.offer_index.tolist() == [0]
        assert list(again.by_offer) == ["o1", "o2", "o0"]


def test_a_record_is_a_total_and_what_is_free_is_never_below_nothing(make):
    with make(offers(4), mode="packing") as session:
        session.match(tasks(3))
        session.update(offers(2))
        assert cpus(session) == {"o0": 0}
        session.update(offers(5))
        assert cpus(session) == {"o0": 2}
        session.release(["t0"])
        assert cpus(session) == {"o0": 5}


def test_a_used_offer_stays_used_through_an_update(make):
    with make(offers(4)) as session:
        session.match(tasks(1))
        session.update(offers(64))
        result = session.match(tasks(1, first=1))
        assert result.unmatched == ["t1"]
        assert result.explain("t1").reasons == {"taken": {"short": 1, "alone": 1}}
        session.release(["t0"])
        assert session.match(tasks(1, first=1)).assignments == {"t1": "o0"}


def test_an_update_of_node_and_labels_takes_the_tasks_along(make):
    pair = [
        {"name": "a", "resources": {"cpu": 9}, "node": "n1", "labels": {"zone": "x"}},
        {"name": "b", "resources": {"cpu": 9}, "node": "n2", "labels": {"zone": "y"}},
    ]
    one = {"resources": {"cpu": 1}, "group": "g"}
    with make(pair, mode="packing") as session:
        assert session.match([{"name": "t0", **one}]).assignments == {"t0": "a"}
        session.update([{**pair[0], "node": "n2", "labels": {"zone": "y"}}])
        spread = session.match([{"name": "t1", **one, "max_per": {"node": 1}}])
        assert spread.explain("t1").reasons == {"max_per.node": {"short": 2, "alone": 2}}
        spread = session.match([{"name": "t1", **one, "max_per": {"zone": 1}}])
        assert spread.explain("t1").reasons == {"max_per.zone": {"short": 2, "alone": 2}}
        avoiding = session.match([{"name": "t1", "resources": {"cpu": 1}, "avoid": ["g"]}])
        assert avoiding.explain("t1").reasons == {"avoid": {"short": 2, "alone": 2}}


def test_what_was_held_beyond_a_shorter_list_of_devices_is_forgotten_for_good(make):
    shelf = [{"name": "o", "devices": {"gpu": [1, 1, 1]}}]
    with make(shelf, mode="packing") as session:
        assert session.match([{"name": "t", "devices": {"gpu": 3}}]).devices("t") == {"gpu": [0, 1, 2]}
        session.update([{"name": "o", "devices": {"gpu": [1]}}])
        assert session.offers()[0]["devices"] == {"gpu": [0]}
        session.update(shelf)
        assert session.offers()[0]["devices"] == {"gpu": [0, 1, 1]}
        session.release(["t"])
        assert session.offers()[0]["devices"] == {"gpu": [1, 1, 1]}


def test_the_scale_is_the_first_calls_until_rescale(make):
    with make(offers(4, 16), mode="packing") as session:
        assert session.match(tasks(0)).score("t0") == 0.25
        session.add([{"name": "big", "cpu": 64}])
        session.remove(["o1"])
        assert session.match(tasks(0, first=1)).score("t1") == 0.25
        session.rescale()
        assert session.match(tasks(0, first=2)).score("t2") == 4 / 64
        session.add([{"name": "vast", "cpu": 64 * 2**24 + 1}])  # far above: the scale follows by itself
        assert session.match(tasks(0, first=3)).score("t3") < 1e-8


def test_a_dimension_is_scaled_by_the_first_call_that_brings_it(make):
    with make([{"name": "a", "resources": {"cpu": 4, "tape": 0}}], mode="packing") as session:
        result = session.match([{"name": "t", "resources": {"cpu": 1, "tape": 1}}])
        assert result.unmatched == ["t"] and result.warnings == ["tasks ask for 'tape', which no offer has"]
        session.add([{"name": "b", "resources": {"cpu": 4, "tape": 2}}])
        session.add([{"name": "c", "resources": {"cpu": 4, "tape": 8}}])
        result = session.match([{"name": "t", "resources": {"cpu": 4, "tape": 1}}])
        assert result.assignments == {"t": "b"} and result.score("t") == 0.5 and result.warnings == []


def test_quotas_hold_until_release(make):
    with make(offers(9), mode="packing", quotas={"": {"cpu": 3}}) as session:
        session.match(tasks(2))
        result = session.match(tasks(2, first=1))
        assert result.explain("t1").reasons == {"quota": {"short": 1, "alone": 1}}
        session.release(["t0"])
        assert session.match(tasks(2, first=1)).assignments == {"t1": "o0"}


def test_one_member_of_a_gang_may_be_released_alone(make):
    with make(offers(2, 2)) as session:
        assert len(session.match(tasks(1, 1, gang="g")).assignments) == 2
        assert session.release(["t1"]) == 1
        assert session.match(tasks(1, first=2, gang="g")).assignments == {"t2": "o1"}


def test_two_tasks_may_give_an_id_two_sizes(make):
    holders = [{"name": "a", "resources": {"cpu": 9}}, {"name": "b", "resources": {"cpu": 9}, "staged": ["f"]}]
    with make(holders, mode="packing") as session:
        assert session.match([{"name": "t0", "cpu": 1, "inputs": {"f": 5}}]).assignments == {"t0": "b"}
        both = [{"name": "t1", "cpu": 1, "inputs": {"f": 5}}, {"name": "t2", "cpu": 1, "inputs": {"f": 7}}]
        assert session.match(both).assignments == {"t1": "b", "t2": "b"}
        assert session.match([{"name": "t3", "cpu": 1, "inputs": {"f": 9}}]).assignments == {"t3": "b"}


def test_a_result_tells_of_its_own_call_whatever_happens_later(make):
    with make(offers(2, 4), mode="packing") as session:
        session.match(tasks(1))
        result = session.match(tasks(4, 9, first=1))
        session.remove(["o0", "o1"])
        session.add(offers(64))
        assert result.assignments == {"t1": "o1"} and result.by_offer == {"o0": [], "o1": ["t1"]}
        assert result.explain("t2").reasons == {"resource.cpu": {"short": 2, "alone": 2}}
        assert result.explain("t2").nearest == "o0"  # o1 is full by then
        assert result.shortfall([{"name": "large", "cpu": 9}]) == {"large": 1}


def test_every_form_may_be_given(make):
    table = {"name": np.array(["a", "b"]), "cpu": np.array([2.0, 4.0])}
    with make(table, mode="packing") as session:
        table["cpu"][:] = 0  # the caller's own again
        assert cpus(session) == {"a": 2, "b": 4}
        session.update({"a": {"cpu": 8}})
        session.add([{"name": ("c", 1), "cpu": 1}])
        assert session.match({"job": {"cpu": 5}}).assignments == {"job": "a"}
        assert session.remove({"b"}) == 1 and session.remove(iter([("c", 1)])) == 1


def test_a_closed_session_says_so_and_leaves_nothing(make):
    session = make(offers(4))
    session.close()
    session.close()
    for name, given in (("offers", ()), ("rescale", ()), ("match", ([],)), ("remove", (["o0"],))):
        with pytest.raises(windlass.FailedPrecondition):
            getattr(session, name)(*given)
    gone = weakref.ref(session)
    before = len(os.listdir("/proc/self/fd"))
    del session
    gc.collect()
    assert gone() is None and len(os.listdir("/proc/self/fd")) == before

"""The bridge's book of grants beside nodes made of calls: nothing is given twice, nothing is held for nobody."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest
from grant_world import LEASE, Node, World
from windlass._grant import Phase
from windlass._listed_grants import listed_fault
from windlass._wire import Type, new_id

ME, YOU = object(), object()


@pytest.fixture
def node() -> Node:
    return Node("a", {"a": 4, "a/1": 8})


@pytest.fixture
def world(node: Node) -> World:
    return World(node)


def test_what_fits_is_granted_and_one_message_asks_for_all(world: World, node: Node):
    asking = world.ask(*(world.grant(ME, "a/1", 0) for _ in range(1000)), world.grant(ME, "a", 3))
    assert len(asking.sends) == 1 and not asking.ended
    world.settle()
    assert asking.ended == [True] and not asking.refused
    assert len(node.held) == 1001 and len(world.believed()) == 1001


def test_the_second_of_two_sessions_sees_what_the_first_has_asked_for(world: World):
    mine = world.grant(ME, "a", 3)
    world.ask(mine)
    assert [each.id for each in world.core.grants.beside("a", YOU)] == [mine.id]
    assert world.core.grants.beside("a", ME) == []


def test_a_session_does_not_look_again_at_what_it_did_itself(world: World):
    known = {owner: {} for owner in (ME, YOU)}

    def changed(owner: object) -> bool:
        """Whether the session is shown the node again."""
        (entry,) = world.core.nodes.reported(known[owner], owner)
        is_new = known[owner].get("a") != entry.change
        assert (entry.offers is not None) == is_new
        known[owner]["a"] = entry.change
        return is_new

    assert changed(ME) and changed(YOU) and not changed(ME)
    mine = [world.grant(ME, "a/1", 1) for _ in range(3)]
    for grant in mine[:2]:
        world.ask(grant)
    world.settle()
    assert not changed(ME) and changed(YOU) and not changed(YOU)
    world.ask(world.grant(YOU, "a/1", 1))
    assert changed(ME) and not changed(YOU)
    world.ask(mine[2])
    world.release(mine[0].id)
    world.settle()
    assert not changed(ME) and changed(YOU)
    assert [each.owner for each in world.core.grants.beside("a", ME)] == [YOU]
    assert {each.id for each in world.core.grants.beside("a", YOU)} == {each.id for each in mine[1:]}


def test_the_node_judges_and_a_refusal_closes_it_until_its_next_report(world: World, node: Node):
    world.ask(world.grant(ME, "a", 3))
    late = world.grant(YOU, "a", 3)
    asking = world.ask(late)
    while node.inbox:
        world.deliver(node, True)
    while node.outbox:
        world.deliver(node, False)
    assert "not enough" in asking.refused[late.id]
    assert not world.core.nodes.find("a").takes_work
    world.settle()
    assert world.core.nodes.find("a").takes_work
    assert len(world.core.grants) == 1


def test_a_release_is_sent_before_the_next_grant(world: World, node: Node):
    first = world.grant(ME, "a", 4, exclusive=True)
    world.ask(first)
    world.settle()
    world.release(first.id)
    asking = world.ask(world.grant(ME, "a", 4, exclusive=True))
    world.settle()
    assert not asking.refused and len(node.held) == 1


def test_a_stale_epoch_is_refused(world: World, node: Node):
    old = world.grant(ME, "a", 1)
    node.offers_version += 1
    asking = world.ask(old)
    world.settle()
    assert "stale" in asking.refused[old.id] and not node.held


def test_no_answer_is_a_refusal_and_what_came_late_is_given_back(world: World, node: Node):
    grant = world.grant(ME, "a", 1)
    asking = world.ask(grant)
    world.pass_time(3.5, beats=False)
    assert asking.ended and "in time" in asking.refused[grant.id]
    assert world.believed(Phase.LEAVING) == {grant.id}
    world.settle()
    assert not node.held and len(world.core.grants) == 0


def test_what_came_late_is_given_back_though_a_report_and_a_cut_came_between(world: World, node: Node):
    grant = world.grant(ME, "a", 1)
    asking = world.ask(grant)
    world.pass_time(3.5, beats=False)
    assert grant.id in asking.refused and world.believed(Phase.LEAVING) == {grant.id}
    node.version += 1
    node.report(world.now)  # it has not read the GRANT yet
    world.deliver(node, False)
    world.deliver(node, True)  # and now it has, but for the RELEASE behind it
    assert set(node.held) == {grant.id}
    node.dial()
    world.settle()
    assert not node.held and len(world.core.grants) == 0


def test_what_is_given_back_by_a_node_that_is_forgotten_is_released_once_it_is_back(world: World, node: Node):
    grant = world.grant(ME, "a", 1)
    world.ask(grant)
    world.settle()
    world.pass_time(11.0, beats=False)
    del world.core.nodes._by_name["a"]  # as the table does with the dead where there are very many
    world.release(grant.id)
    assert len(world.core.grants) == 0 and set(node.held) == {grant.id}
    node.dial()
    world.settle()
    assert not node.held and len(world.core.grants) == 0


def test_a_cut_leaves_open_what_the_next_report_tells(world: World, node: Node):
    taken, lost = world.grant(ME, "a", 1), world.grant(ME, "a", 1)
    asking = world.ask(taken)
    world.deliver(node, True)  # the node has it, its answer is lost
    second = world.ask(lost)  # this never arrives
    node.dial()
    world.settle()
    assert set(asking.refused) == {taken.id} and set(second.refused) == {lost.id}
    assert not node.held and len(world.core.grants) == 0


def test_what_was_held_stays_held_over_a_cut(world: World, node: Node):
    grant = world.grant(ME, "a", 1)
    world.ask(grant)
    world.settle()
    node.dial()
    world.settle()
    assert set(node.held) == {grant.id} == world.believed()


def test_a_restarted_node_is_asked_again_for_what_is_placed_there(world: World, node: Node):
    grant = world.grant(ME, "a", 3)
    world.ask(grant)
    world.settle()
    node.start()
    world.settle()
    assert set(node.held) == {grant.id} == world.believed()
    assert world.core.grants.dropped(ME) == []


def test_who_comes_too_late_after_a_restart_loses_the_task(world: World, node: Node):
    grant = world.grant(ME, "a", 3)
    world.ask(grant)
    world.settle()
    node.offers = {"a": 2}
    node.start()
    world.settle()
    assert [each.id for each in world.core.grants.dropped(ME)] == [grant.id]
    assert world.core.grants.dropped(ME) == []
    assert not node.held and len(world.core.grants) == 0


def test_leases_are_renewed_while_the_bridge_lives(world: World, node: Node):
    grant = world.grant(ME, "a", 1)
    world.ask(grant)
    world.pass_time(5 * LEASE)
    assert set(node.held) == {grant.id}
    assert node.grants_seen <= 2 + 5 * 4, "a few small messages a lease"


def test_a_new_bridge_waits_for_the_first_report_and_takes_back_by_name(world: World, node: Node):
    mine, other = world.grant(ME, "a", 3), world.grant(ME, "a/1", 2)
    world.ask(mine, other)
    world.settle()
    world.restart_bridge()
    assert world.core.grants.claim(YOU, [mine.id]) == []
    world.deliver(node, False)  # HELLO
    (entry,) = world.core.nodes.reported()
    assert entry.offers is None, "nothing is known of what is held"
    world.settle()
    beside = {each.id: each for each in world.core.grants.beside("a", YOU)}
    assert set(beside) == {mine.id, other.id}
    assert beside[mine.id].restored and beside[mine.id].owner is YOU and beside[other.id].owner is None
    world.pass_time(2 * LEASE)
    assert set(node.held) == {mine.id}, "what nobody came back for has ended with its lease"
    world.release(mine.id)
    world.settle()
    assert not node.held and len(world.core.grants) == 0


def test_a_claim_that_was_given_up_is_released_when_it_is_told_of(world: World, node: Node):
    grant = world.grant(ME, "a", 3)
    world.ask(grant)
    world.settle()
    world.restart_bridge()
    world.core.grants.claim(YOU, [grant.id])
    world.core.grants.give_up([grant.id])
    world.settle()
    assert not node.held


def test_nobody_takes_what_another_session_has_restored(world: World):
    grant = world.grant(ME, "a", 3)
    world.ask(grant)
    world.settle()
    assert world.core.grants.claim(YOU, [grant.id]) == [grant.id]
    unknown = new_id()
    assert world.core.grants.claim(YOU, [unknown]) == []
    assert world.core.grants.claim(ME, [unknown]) == [unknown]


def test_a_session_that_ends_gives_all_back(world: World, node: Node):
    world.ask(world.grant(ME, "a", 3), world.grant(YOU, "a/1", 2))
    world.settle()
    world.send(world.core.grants.forget(ME))
    world.settle()
    assert [held.offer for held in node.held.values()] == ["a/1"]


def test_a_node_that_knows_no_grants_is_kept_count_of_here(world: World):
    old = Node("b", {"b": 4})
    world.nodes["b"] = old
    old.start()
    hello = old.outbox[0]
    hello.body["features"] = []
    world.settle()
    grant = world.grant(ME, "b", 1)
    asking = world.ask(grant)
    assert asking.ended and not asking.refused and not asking.sends
    assert [each.id for each in world.core.grants.beside("b", YOU)] == [grant.id]
    world.release(grant.id)
    assert world.core.grants.beside("b", YOU) == []


@pytest.mark.parametrize(
    "listed",
    [
        {},
        [1],
        [{"id": b"short", "offer": "a"}],
        [{"id": bytes(16)}],
        [{"id": bytes(16), "offer": "a", "amounts": {"cpu": 1.5}}],
        [{"id": bytes(16), "offer": "a", "devices": {"gpu": [1]}}],
        [{"id": bytes(16), "offer": "a", "about": 1}],
        [{"id": bytes(16), "offer": "a", "lease_ms": "1"}],
    ],
)
def test_odd_lists_are_refused(world: World, node: Node, listed: object):
    assert listed_fault(listed)
    node.outbox.clear()
    node.report(world.now)
    node.outbox[-1].body["grants"] = listed
    sent = world.core.handle(node.routing, node.outbox.pop(), world.now)
    assert [(message.header.type, message.body["code"]) for _, message in sent] == [(Type.ERROR, 3)]


def seeds() -> Iterator[int]:
    given = os.environ.get("WINDLASS_SEED")
    base = random.randrange(2**32)
    yield from [int(given)] if given else range(base, base + 150)


def test_whatever_happens_both_sides_agree_in_the_end():
    for seed in seeds():
        try:
            live(random.Random(seed))
        except AssertionError as error:
            raise AssertionError(f"WINDLASS_SEED={seed} runs it again: {error}") from error


def live(chance: random.Random) -> None:
    """Sessions that come, ask and go; cuts, restarts of either side, and time."""
    nodes = [Node("a", {"a": 4, "a/1": 2}), Node("b", {"b": 3})]
    world = World(*nodes)
    owners = [object(), object()]
    known: list[bytes] = []
    for _ in range(120):
        what = chance.random()
        node = chance.choice(nodes)
        if what < 0.3:
            asked = [
                world.grant(
                    chance.choice(owners), chance.choice(list(node.offers)), chance.randrange(4), chance.random() < 0.2
                )
                for _ in range(chance.randrange(1, 4))
            ]
            known += [grant.id for grant in asked]
            world.ask(*asked)
        elif what < 0.4 and known:
            world.release(chance.choice(known))
        elif what < 0.75:
            for _ in range(chance.randrange(4)):
                world.deliver(node, chance.random() < 0.5)
        elif what < 0.8:
            node.dial()
        elif what < 0.82:
            node.start()
        elif what < 0.84:
            world.restart_bridge()
            owners = [object(), object()]
            if known:
                world.core.grants.claim(owners[0], {chance.choice(known)})
        elif what < 0.86:
            at = chance.randrange(len(owners))
            world.send(world.core.grants.forget(owners[at]))
            owners[at] = object()
        else:
            node.report(world.now)
            world.pass_time(chance.choice([0.5, 1, 4]), beats=chance.random() < 0.5)
        for each in nodes:
            for offer, cpu in each.offers.items():
                assert sum(held.cpu for held in each.held.values() if held.offer == offer) <= 10_000 * cpu
    for node in nodes:
        node.dial()  # whoever was given up for dead
    world.settle()
    world.settle()
    assert not world.believed(Phase.ASKED) and not world.believed(Phase.LEAVING)
    for node in nodes:
        foreign = {each.id for each in world.core.grants.beside(node.name, None) if each.owner is None}
        believed = {each.id for each in world.core.grants._by_id.values() if each.node == node.name}
        assert set(node.held) == believed, (node.held, believed)
        assert foreign <= believed

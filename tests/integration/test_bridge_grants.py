"""What sessions of bridges hold on real nodes: by grants, over restarts of either side, and never twice."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import windlass
from support import eventually, metric
from windlass import _wire

Make = Callable[..., windlass.LocalNode]
TIMES = {"beat": 0.1, "suspect_after": 0.5, "dead_after": 2.0, "lease": 3.0}


@pytest.fixture
def start(nodes: Make, tmp_path: Path) -> Callable[..., windlass.LocalNode]:
    """start(bridge, "a", "{cpu: 4}"): a node of this name with one offer."""

    def made(bridge: windlass.Bridge, name: str, resources: str = "{cpu: 4}", more: str = "") -> windlass.LocalNode:
        offers = tmp_path / f"{name}.yaml"
        offers.write_text(f"- {{name: {name}, resources: {resources}{more}}}\n")
        config = {"node.name": name, "bridge.address": bridge.address, "offers.file": str(offers)}
        return nodes({**config, "http.listen": "127.0.0.1:0"})

    return made


@pytest.fixture
def make_bridge() -> Iterator[Callable[..., windlass.Bridge]]:
    made: list[windlass.Bridge] = []

    def make(address: str = "tcp://127.0.0.1:0", **options: Any) -> windlass.Bridge:
        made.append(windlass.Bridge(address, **{**TIMES, **options}))
        return made[-1]

    yield make
    for bridge in made:
        bridge.close()


def tasks(count: int, cpu: float = 1, prefix: str = "t", **fields: Any) -> list[dict[str, Any]]:
    return [{"name": f"{prefix}{row}", "resources": {"cpu": cpu}, **fields} for row in range(count)]


def holds(node: windlass.LocalNode) -> float:
    return metric(node, "windlass_grants_held")


def has_offers(session: windlass.Session, count: int = 1) -> None:
    eventually(lambda: len(session.offers()) >= count, what="the offers are there")


def test_a_thousand_tasks_are_one_message_to_the_node(start, make_bridge):
    bridge = make_bridge()
    node = start(bridge, "a", "{cpu: 2000}")
    with bridge.session(mode="packing") as session:
        has_offers(session)
        assert len(session.match(tasks(1000)).assignments) == 1000
        ids = session.grants()
        assert len(ids) == 1000 and all(len(bytes.fromhex(each)) == 16 for each in ids.values())
        eventually(lambda: holds(node) == 1000, what="the node counts them")
        asked = metric(node, 'windlass_requests_total{code="OK",type="grant"}')
        assert asked >= 1
        assert asked <= 1 + 10, "one for all, and a few to renew"
        assert session.release([f"t{row}" for row in range(400)]) == 400
        eventually(lambda: holds(node) == 600, what="what was released is free")
    eventually(lambda: holds(node) == 0, what="closing gives the rest back")


def test_two_sessions_never_take_the_same(start, make_bridge):
    bridge = make_bridge()
    for name in "abcd":
        start(bridge, name, "{cpu: 25}")
    with bridge.session(mode="packing") as one, bridge.session(mode="packing") as other:
        has_offers(one, 4)
        placed: list[dict[str, str]] = []

        def take(session: windlass.Session, prefix: str) -> None:
            for row in range(40):
                placed.append(session.match(tasks(2, prefix=f"{prefix}{row}-")).assignments)

        threads = [threading.Thread(target=take, args=pair) for pair in ((one, "x"), (other, "y"))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        per_offer: dict[str, int] = {}
        for each in placed:
            for offer in each.values():
                per_offer[offer] = per_offer.get(offer, 0) + 1
        assert per_offer == dict.fromkeys("abcd", 25), "all of it, and none of it twice"
        assert [offer["resources"]["cpu"] for offer in one.offers()] == [0, 0, 0, 0]


def test_an_offer_given_away_whole_is_nobody_elses(start, make_bridge):
    bridge = make_bridge()
    start(bridge, "a")
    with bridge.session() as one, bridge.session() as other, bridge.session(mode="packing") as third:
        has_offers(one)
        assert one.match(tasks(1)).assignments == {"t0": "a"}
        for session in (other, third):
            told = session.match(tasks(1)).explain("t0")
            assert told.reasons == {"only.node.grant": {"short": 1, "alone": 1}}
        one.release(["t0"])
        assert third.match(tasks(1)).assignments == {"t0": "a"}
        assert other.match(tasks(1)).unmatched == ["t0"], "a part of it is held"
        third.release(["t0"])
        assert other.match(tasks(1)).assignments == {"t0": "a"}


def test_a_restarted_scheduler_gets_its_tasks_back_by_name(start, make_bridge):
    first = make_bridge()
    address = first.address
    node = start(first, "a", "{cpu: 8}", ", devices: {gpu: [1, 1]}")
    session = first.session(mode="packing", quotas={"ml": {"cpu": 4}})
    has_offers(session)
    asked = [{**tasks(1, 3, tenant="ml", group="g")[0], "devices": {"gpu": 1}}, *tasks(1, 2, "u")]
    assert len(session.match(asked).assignments) == 2
    ids = session.grants()
    first.close()  # the session is not closed: it was the scheduler that ended
    second = make_bridge(address)
    with second.session(
        mode="packing", quotas={"ml": {"cpu": 4}}, restore={"t0": ids["t0"], "gone": "0" * 32}
    ) as session:
        assert session.match(tasks(1, 1, "v")).unmatched == ["v0"], "nothing is given before the node's first report"
        eventually(lambda: session.grants() == {"t0": ids["t0"]}, what="t0 is back") if session.offers() else None
        has_offers(session)
        assert session.grants() == {"t0": ids["t0"]} and session.missing() == {"gone": "0" * 32}
        (offer,) = session.offers()
        assert offer["resources"]["cpu"] == 3 and offer.tasks == ["t0"], "u0 holds 2 until its lease ends"
        assert sorted(offer["devices"]["gpu"]) == [0, 1]
        with pytest.raises(windlass.InvalidArgument, match="t0"):
            session.match(tasks(1))
        told = session.match(tasks(1, 2, "w", tenant="ml")).explain("w0")
        assert "quota" in told.reasons, "what came back counts for its tenant"
        eventually(lambda: session.offers()[0]["resources"]["cpu"] == 5, 8.0, "the lease of u0 is over")
        assert session.release(["t0", "gone", "u0"]) == 2
        assert session.match(tasks(1, 8, "x")).assignments == {"x0": "a"}
        eventually(lambda: holds(node) == 1)


def test_a_lease_ends_where_nobody_renews_it(start, make_bridge):
    first = make_bridge()
    node = start(first, "a")
    session = first.session()
    has_offers(session)
    assert session.match(tasks(1)).assignments
    address = first.address
    first.close()
    second = make_bridge(address)
    with second.session() as other:
        has_offers(other)
        assert other.match(tasks(1, prefix="u")).unmatched == ["u0"]
        eventually(lambda: other.match(tasks(1, prefix="u")).assignments == {"u0": "a"}, 10.0, "the lease is over")
    eventually(lambda: metric(node, 'windlass_grants_total{outcome="expired"}') == 1)


def test_leases_are_renewed_while_the_session_lives(start, make_bridge):
    bridge = make_bridge(lease=2.0)
    node = start(bridge, "a")
    with bridge.session() as session:
        has_offers(session)
        assert session.match(tasks(1)).assignments
        first = bridge.nodes()["a"].load.sequence
        eventually(lambda: bridge.nodes()["a"].load.sequence > first + 50, 30.0, "five seconds of beats")
        assert holds(node) == 1 and metric(node, 'windlass_grants_total{outcome="expired"}') == 0


def test_a_session_that_is_dropped_gives_back_what_it_held(start, make_bridge):
    bridge = make_bridge()
    node = start(bridge, "a")
    session = bridge.session()
    has_offers(session)
    assert session.match(tasks(1)).assignments
    eventually(lambda: holds(node) == 1)
    del session
    eventually(lambda: holds(node) == 0)


def test_a_restarted_node_holds_again_what_is_placed_there(start, make_bridge):
    bridge = make_bridge(dead_after=20.0, lease=60.0)
    node = start(bridge, "a")
    with bridge.session(mode="packing") as session:
        has_offers(session)
        assert session.match(tasks(3)).assignments
        ids = session.grants()
        node.kill()
        node.start()
        eventually(lambda: holds(node) == 3, what="the node is asked for them again")
        assert session.grants() == ids
        has_offers(session)
        eventually(lambda: session.match(tasks(1, prefix="u")).assignments == {"u0": "a"})


def test_tasks_of_a_dead_node_are_forgotten_there_too(start, make_bridge):
    bridge = make_bridge(lease=60.0)
    node = start(bridge, "a")
    with bridge.session() as session:
        has_offers(session)
        assert session.match(tasks(1)).assignments
        os.kill(node.pid, signal.SIGSTOP)
        try:
            eventually(lambda: bridge.nodes()["a"].state == "dead")
            assert session.offers() == [] and session.grants() == {}
        finally:
            os.kill(node.pid, signal.SIGCONT)
        eventually(lambda: holds(node) == 0, what="the session wants it no more")
        eventually(lambda: session.match(tasks(1)).assignments == {"t0": "a"}, what="it is given away again")


def test_a_node_that_does_not_answer_gets_nothing_and_keeps_nothing(start, make_bridge):
    bridge = make_bridge()
    node = start(bridge, "a")
    with bridge.session() as session:
        has_offers(session)
        os.kill(node.pid, signal.SIGSTOP)
        try:
            result = session.match(tasks(1))  # it is not suspect yet
            assert result.unmatched == ["t0"] and result.assignments == {}
            assert result.explain("t0").reasons
            assert session.grants() == {} and session.offers()[0].tasks == []
        finally:
            os.kill(node.pid, signal.SIGCONT)
        eventually(lambda: session.match(tasks(1, prefix="u")).assignments == {"u0": "a"})
        eventually(lambda: holds(node) == 1, what="t0 is held by nobody")


def test_what_changed_meanwhile_is_refused_and_matched_anew(start, make_bridge, tmp_path: Path):
    bridge = make_bridge(beat=30.0, suspect_after=60.0, dead_after=90.0, lease=200.0)
    a = start(bridge, "a", "{cpu: 4}")
    start(bridge, "b", "{cpu: 8}")
    with bridge.session() as session:
        has_offers(session, 2)
        (tmp_path / "a.yaml").write_text("- {name: a, resources: {cpu: 2}}\n")
        reloads = 'windlass_config_reloads_total{result="ok"}'
        a.signal(signal.SIGHUP)
        eventually(lambda: metric(a, reloads) == 1)
        assert session.match(tasks(1, 3)).assignments == {"t0": "b"}, "a has refused"
        eventually(lambda: bridge.offers()[0]["resources"] == {"cpu": 2}, what="it says at once why")
        assert session.match(tasks(1, 2, "u")).assignments == {"u0": "a"}


def test_a_refusal_that_stays_is_told(start, make_bridge, monkeypatch: pytest.MonkeyPatch):
    bridge = make_bridge()
    start(bridge, "a")
    with bridge.session(mode="packing") as session:
        has_offers(session)
        monkeypatch.setattr("windlass._bridge_session.new_ids", lambda count: [bytes(15) + b"\1"] * count)
        assert session.match(tasks(1)).assignments
        monkeypatch.setattr("windlass._bridge_session.ROUNDS", 1)
        result = session.match([*tasks(1, 2, "u", gang="g"), *tasks(1, 1, "v", gang="g")])
        assert not result.assignments and result.unmatched == ["u0", "v0"]
        assert "stands for another" in str(result.explain("u0")) or "stands for another" in str(result.explain("v0"))
        assert session.release(["t0", "u0"]) == 1


def test_restore_takes_ids_of_its_own_kind(make_bridge):
    bridge = make_bridge()
    for odd in ({"t": "1"}, {"t": 1}, ["t"], {"t": "0" * 32, "u": "0" * 32}, {"t": b"0" * 32}):
        with pytest.raises(windlass.InvalidArgument, match="restore"):
            bridge.session(restore=odd)
    with bridge.session(restore={"t": "0" * 32}) as session:
        with pytest.raises(windlass.InvalidArgument, match="restore"):
            bridge.session(restore={"u": "0" * 32})
        assert session.missing() == {"t": "0" * 32} and session.grants() == {}
    with bridge.session(restore={"u": "0" * 32}):
        pass
    with pytest.raises(windlass.InvalidArgument, match="lease"):
        windlass.Bridge("tcp://127.0.0.1:0", lease=1.0)


def test_a_closed_bridge_grants_nothing(start, make_bridge):
    bridge = make_bridge()
    start(bridge, "a")
    session = bridge.session()
    has_offers(session)
    bridge.close()
    with pytest.raises(windlass.FailedPrecondition, match="closed"):
        session.match(tasks(1))
    assert session.grants() == {} and session.release(["t0"]) == 0
    session.close()


def test_the_async_twin(start):
    async def follow(session: Any) -> None:
        while not await session.offers():
            await asyncio.sleep(0.005)

    async def place(bridge: windlass.aio.Bridge, session: Any, node: windlass.LocalNode) -> dict[str, str]:
        await follow(session)
        assert (await session.match(tasks(3))).assignments == dict.fromkeys(("t0", "t1", "t2"), "a")
        ids = session.grants()
        assert await session.release(["t2"]) == 1
        while holds(node) != 2:
            await asyncio.sleep(0.01)
        doomed = asyncio.ensure_future(session.match(tasks(1, prefix="d")))
        await asyncio.sleep(0)
        doomed.cancel()
        with pytest.raises(asyncio.CancelledError):
            await doomed
        del ids["t2"]
        assert session.grants() == ids, "what nobody waits for is given back"
        async with bridge.session() as other:
            await follow(other)
            assert (await other.match(tasks(1, prefix="u"))).unmatched == ["u0"], "a part of it is held"
        return ids

    async def main() -> None:
        async with windlass.aio.Bridge("tcp://127.0.0.1:0", **TIMES) as first:
            address, node = first.address, start(first, "a")
            earlier = await first.session(mode="packing")  # not closed: it was the scheduler that ended
            ids = await place(first, earlier, node)
        async with windlass.aio.Bridge(address, **TIMES) as second:
            async with second.session(mode="packing", restore={"t0": ids["t0"]}) as session:
                await follow(session)
                assert session.grants() == {"t0": ids["t0"]} and await session.missing() == {}
                while (await session.offers())[0]["resources"]["cpu"] < 3:  # t1 has nobody who renews it
                    await asyncio.sleep(0.05)
            while holds(node):
                await asyncio.sleep(0.005)

    asyncio.run(main())


def test_grants_are_for_the_bridge_alone(nodes: Make):
    node = nodes()
    with windlass.Client(node.address) as client:
        assert client.load()
    from support import Raw

    with Raw(node.address) as raw:
        raw.hello()
        for kind in (_wire.Type.GRANT, _wire.Type.RELEASE):
            refusal = raw.ask(kind, {"lease_ms": 1000, "grants": []}, bytes([kind]) * 16)
            assert refusal is not None and refusal.body["code"] == windlass.Code.UNIMPLEMENTED

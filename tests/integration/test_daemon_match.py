"""Matching through a real windlassd: equal to legacy on each path, and what becomes of it when the daemon fails."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import windlass
from support import eventually, fallbacks, held, own_threads, problem, same
from windlass import _wire, legacy
from windlass._wire import Type

from tests.match import support

OPTIONS = [
    {},
    {"mode": "packing"},
    {"policy": "worst_fit"},
    {"policy": "dot_product", "mode": "packing"},
    {"ties": "swap_remove"},
    {"max_score": 0.25},
    {"weights": {"cpu": 3.0}, "normalize": False},
    {"scale": {"cpu": 100.0}},
]


@pytest.fixture(params=["ipc", "tcp"])
def client(request: pytest.FixtureRequest, node: windlass.LocalNode) -> windlass.Client:
    address = node.address if request.param == "ipc" else node.tcp_address
    client = windlass.Client(address)
    yield client
    client.close()


def test_every_path_answers_as_legacy_does(client: windlass.Client):
    before = fallbacks()
    for seed, options in enumerate(OPTIONS):
        for tasks, offers in (problem(80, 60, seed), problem(1, 1, seed), problem(0, 3, seed), problem(3, 0, seed)):
            assert same(client.match(tasks, offers, **options), legacy.match(tasks, offers, **options), tasks), options
    tasks, offers = problem(40, 30)
    assert client.match_tasks_to_offers(tasks, offers) == legacy.match_tasks_to_offers(tasks, offers)
    assert fallbacks() == before


def test_large_columns_pass(client: windlass.Client):
    tasks, offers = problem(5000, 3000)
    before = fallbacks()
    assert same(client.match(tasks, offers), legacy.match(tasks, offers), tasks)
    assert fallbacks() == before


def test_more_rows_than_may_come_without_a_column_pass(client: windlass.Client):
    rows = _wire.BARE_ROWS_MAX + 1
    tasks, offers = {"name": list(range(rows))}, {"name": list(range(rows))}
    before = fallbacks()
    remote, here = client.match(tasks, offers), windlass.match(tasks, offers)
    assert remote.assignments == here.assignments and len(remote.assignments) == rows
    assert fallbacks() == before


@pytest.mark.parametrize("rows", (3, 3000))
@pytest.mark.parametrize("side", ("tasks", "offers"))
@pytest.mark.parametrize("name", ("1", "", float("nan"), None))
def test_a_bad_name_is_told_however_many_rows_there_are(client: windlass.Client, rows: int, side: str, name: object):
    """Those of many rows are looked at while the daemon works."""
    sides = {which: [{"name": str(row), "cpu": 1} for row in range(rows)] for which in ("tasks", "offers")}
    sides[side][2]["name"] = name
    before = fallbacks()
    with pytest.raises(windlass.InvalidArgument) as refused:
        client.match(**sides)
    assert (refused.value.side, refused.value.row, refused.value.field) == (side, 2, "name")
    sides[side][2]["name"] = "other"
    assert same(client.match(**sides), legacy.match(**sides), sides["tasks"])
    assert fallbacks() == before


def test_prices_pass(client: windlass.Client):
    tasks, offers = problem(40, 30)
    for row, offer in enumerate(offers):
        offer["price"] = row / 8
    before = fallbacks()
    for options in ({"policy": "cost"}, {"policy": "cost", "mode": "packing"}, {"max_price": 2.0}):
        assert same(client.match(tasks, offers, **options), legacy.match(tasks, offers, **options), tasks)
    assert fallbacks() == before


def test_devices_pass(client: windlass.Client):
    tasks, offers = problem(40, 12)
    for row, offer in enumerate(offers):
        offer["devices"] = {"gpu": [1, 0.5, 1][: row % 4]}
    for row, task in enumerate(tasks):
        task["devices"] = {"gpu": (0, 0.25, 0.5, 1, 2)[row % 5]}
    before = fallbacks()
    for options in ({}, {"policy": "fragmentation"}, {"policy": "fragmentation", "mode": "packing"}):
        here, there = legacy.match(tasks, offers, **options), client.match(tasks, offers, **options)
        assert same(there, here, tasks), options
        assert [there.devices(task["name"]) for task in tasks] == [here.devices(task["name"]) for task in tasks]
    assert fallbacks() == before


def test_a_faulty_request_is_refused_and_the_daemon_serves_on(client: windlass.Client):
    tasks, offers = problem(10, 10)
    with pytest.raises(windlass.WindlassError) as refused:
        client.call(Type.MATCH, {"mode": "sideways", "policy": "best_fit", "tasks": 1, "offers": 1, "dimensions": 0})
    assert refused.value.code == windlass.Code.INVALID_ARGUMENT
    with pytest.raises(windlass.InvalidArgument, match="SESSION"):
        client.call(Type.SESSION, {})
    before = fallbacks()
    client.match(tasks, offers)
    assert fallbacks() == before


def test_the_async_client_matches_too(node: windlass.LocalNode):
    tasks, offers = problem(30, 30)

    async def main() -> None:
        async with windlass.aio.Client(node.address) as client:
            results = await asyncio.gather(*(client.match(tasks, offers) for _ in range(8)))
            assert all(same(result, legacy.match(tasks, offers), tasks) for result in results)
            assert (await client.load()).cores > 0

    before = fallbacks()
    asyncio.run(main())
    assert fallbacks() == before
    assert own_threads() == []


def test_two_matchers_work_at_once_and_answer_as_one_does(nodes):
    chance = np.random.default_rng(1)
    tasks, offers = ({dim: chance.random(12_000) * size for dim in "abcd"} for size in (1, 3))
    want = windlass.match(tasks, offers, policy="dot_product")
    before = fallbacks()
    node = nodes({"match.threads": 2})
    with ThreadPoolExecutor(2) as pool, node.client() as one, windlass.Client(node.tcp_address) as two:
        calls = [pool.submit(client.match, tasks, offers, policy="dot_product") for client in (one, two)]
        assert all(support.same_placements(call.result()._placement, want._placement) for call in calls)
        assert len(busy_threads(node.pid)) >= 2, "neither waited for the other"
    assert fallbacks() == before


def busy_threads(pid: int) -> list[str]:
    """The threads of a process, but for the first, that have used a tenth of a second of processor time."""
    ticks = {}
    for stat in Path(f"/proc/{pid}/task").glob("*/stat"):
        with contextlib.suppress(OSError):  # a thread that ends meanwhile
            used = stat.read_text().rpartition(")")[2].split()[11:13]
            ticks[stat.parent.name] = sum(map(int, used))
    return [thread for thread, used in ticks.items() if thread != str(pid) and used * 10 >= os.sysconf("SC_CLK_TCK")]


def test_sigkill_in_the_middle_of_a_match_falls_back_and_is_equal(node: windlass.LocalNode):
    tasks, offers = problem(6000, 6000)
    before = fallbacks()
    results: list[windlass.MatchResult] = []
    with node.client() as client:
        client.load()
        os.kill(node.pid, signal.SIGSTOP)  # the request is under way, and stays there
        thread = threading.Thread(target=lambda: results.append(client.match(tasks, offers)))
        thread.start()
        eventually(lambda: client._channel._requests, what="the request is under way")
        begun = time.monotonic()
        node.kill()
        thread.join()
        assert fallbacks() == before + 1
        assert time.monotonic() - begun < 20, "the end was noticed, not the deadline waited for"
        assert same(results[0], legacy.match(tasks, offers), tasks)
        node.restart()
        assert same(client.match(tasks, offers), results[0], tasks)
        assert fallbacks() == before + 1, "the new daemon serves"


def test_a_stopped_daemon_is_silent_past_the_deadline(node: windlass.LocalNode):
    tasks, offers = problem(20, 20)
    with node.client(timeout=0.5) as client:
        client.load()
        os.kill(node.pid, signal.SIGSTOP)
        before = fallbacks()
        begun = time.monotonic()
        assert same(client.match(tasks, offers), legacy.match(tasks, offers), tasks)
        assert 0.4 < time.monotonic() - begun < 5
        assert fallbacks() == before + 1
        with pytest.raises((windlass.DeadlineExceeded, windlass.Unavailable)):
            client.load()
        os.kill(node.pid, signal.SIGCONT)
        eventually(lambda: serves(client), what="it serves again")
        before = fallbacks()
        client.match(tasks, offers)
        assert fallbacks() == before


def serves(client: windlass.Client) -> bool:
    try:
        return client.load().cores > 0
    except windlass.WindlassError:
        return False


def test_a_thousand_opens_and_closes_of_a_client_leave_nothing(node: windlass.LocalNode):
    daemon = f"/proc/{node.pid}"
    before, theirs = held(), len(os.listdir(f"{daemon}/fd"))
    for _ in range(1000):
        with windlass.Client(node.address) as client:
            client.load()
    eventually(lambda: held() <= before, what="no descriptor and no thread is left")
    assert own_threads() == []
    eventually(lambda: len(os.listdir(f"{daemon}/fd")) <= theirs + 2, what="the daemon's descriptors are closed")


def test_load_tells_how_the_node_is(client: windlass.Client):
    load = client.load()
    assert load.cores > 0 and 0 <= load.cpu_ratio <= 1
    assert 0 < load.memory_available_bytes <= load.memory_total_bytes
    assert load.engine in ("uring", "threads")
    assert load.draining is False
    assert load.age_seconds >= 0
    assert {"sequence", "incarnation", "psi", "disk", "net", "roots", "queue", "bytes_in_flight", "degraded"} <= set(
        load
    )
    assert set(load.queue) == {"match", "stage", "oldest_seconds"}

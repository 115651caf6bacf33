"""Three nodes and a scheduler whose links are cut, one-way, lossy, slow or reset: each request ends once, no offer is
given twice, nobody is held for dead who lives, whoever is gone is found out, and after healing each node serves again.

The random cuts run with the timers at a tenth (beat 0.1 s, suspect 0.3 s, dead 1 s). TCP's own retransmissions are not
a tenth, so a lossy link may be taken for dead there; that nobody is, is shown with the real timers.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import windlass
from windlass import Transfer

from .conftest import noise, seeds
from .network import Network
from .placing import Placing, Witness

NODES = 3
SHORT = {"beat": 0.1, "suspect_after": 0.3, "dead_after": 1.0}
AGAIN_S = 10.0  # within which a node serves after healing
SUSPECT_S, DEAD_S = 4.0, 11.0  # by which a node that is gone is suspected and dead, with the real timers


class World:
    """A bridge and its nodes, each in a namespace of its own, and what was asked of them."""

    def __init__(self, folder: Path, network: Network, **times: float) -> None:
        self.network = network
        self.folder = folder
        (folder / "source").write_bytes(noise(200_000, 7))
        self._stack = contextlib.ExitStack()
        try:
            with network.hub.entered():
                self.bridge = self._stack.enter_context(windlass.Bridge("tcp://0.0.0.0:0", insecure=True, **times))
            port = self.bridge.address.rsplit(":", 1)[1]
            self.witness = Witness(self.bridge)
            self.nodes = [self._node(number, port, times) for number in range(NODES)]
            for number in range(NODES):
                self.wait(lambda n=number: self.serves(n), 20.0, f"node {number} serves")
        except BaseException:
            self._stack.close()
            raise

    def _node(self, number: int, port: str, times: dict[str, float]) -> windlass.LocalNode:
        offers = self.folder / f"offers-{number}.yaml"
        offers.write_text(
            f"- {{name: n{number}, resources: {{cpu: 4}}}}\n- {{name: n{number}/1, resources: {{cpu: 1}}}}\n"
        )
        config = {
            "node.name": f"n{number}",
            "offers.file": str(offers),
            "bridge.address": f"tcp://{self.network.links[number].scheduler}:{port}",
            "stage.roots": [str(self.folder)],
            "security.insecure": True,
            **{f"bridge.{name}": f"{round(seconds * 1000)}ms" for name, seconds in times.items()},
        }
        with self.network.links[number].node.entered():
            return self._stack.enter_context(windlass.LocalNode(config=config))

    def close(self) -> None:
        for link in self.network.links:
            link.heal()
        self._stack.close()

    def state(self, number: int) -> str:
        node = self.bridge.nodes().get(f"n{number}")
        return "absent" if node is None else node.state

    def transfer(self, name: str) -> Transfer:
        return Transfer(self.folder / "source", self.folder / name, checksum="xxh3", durability="none")

    def serves(self, number: int) -> bool:
        try:
            return self.bridge.stage(f"n{number}", [self.transfer(f"serves-{number}")]).ok
        except windlass.WindlassError:
            return False

    def wait(self, look: Callable[[], bool], timeout: float, what: str) -> float:
        """Seconds until it came true."""
        begun = time.monotonic()
        while not look():
            if time.monotonic() - begun > timeout:
                states = {name: node.state for name, node in self.bridge.nodes().items()}
                raise AssertionError(f"not within {timeout:g} s: {what}; {states}")
            time.sleep(0.005)
        return time.monotonic() - begun


class Asked:
    """Requests to all nodes from threads of their own, each with its ends."""

    def __init__(self, world: World, seed: int) -> None:
        self._world = world
        self._chance = random.Random(seed)
        self._seed = seed
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self.ends: Counter[str] = Counter()  # by target: how often it ended
        self.outcomes: Counter[str] = Counter()
        self.targets: dict[str, str] = {}
        self._threads = [threading.Thread(target=self._ask, args=(n,), daemon=True) for n in range(NODES)]
        for thread in self._threads:
            thread.start()

    def _ask(self, number: int) -> None:
        count = 0
        while not self._stop.is_set():
            count += 1
            name = f"{self._seed}-{number}-{count}"
            with self._lock:
                self.targets[name] = "asked"
            try:
                future = self._world.bridge.submit_stage(f"n{number}", [self._world.transfer(name)])
            except windlass.WindlassError as error:
                assert error.code in (windlass.Code.UNAVAILABLE, windlass.Code.RESOURCE_EXHAUSTED), error
                self._ended(name, f"refused {error.code.name}")
                self._stop.wait(0.02)
                continue
            future.add_done_callback(lambda ended, name=name: self._ended(name, _outcome(ended)))
            self._stop.wait(self._chance.random() * 0.01)

    def _ended(self, name: str, how: str) -> None:
        with self._lock:
            self.ends[name] += 1
            self.outcomes[how] += 1
            self.targets[name] = how

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive(), "a request has neither been accepted nor refused"

    def all_ended(self) -> bool:
        with self._lock:
            return len(self.ends) == len(self.targets)

    def check(self) -> None:
        """Each ended exactly once; what is done is there, and what is there is whole."""
        source = (self._world.folder / "source").read_bytes()
        with self._lock:
            assert set(self.ends.values()) <= {1}, [name for name, count in self.ends.items() if count != 1]
            for name, how in self.targets.items():
                target = self._world.folder / name
                assert target.exists() or how != "done", f"{name} is done and not there"
                if target.exists():
                    assert target.read_bytes() == source
                    target.unlink()


def _outcome(future: windlass.StageFuture) -> str:
    try:
        return str(future.result(0).transfers[0].state)
    except windlass.StageError as error:
        assert error.code == windlass.Code.UNAVAILABLE, error
        return "lost"


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    made = Network(NODES)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def world(tmp_path: Path, network: Network) -> Iterator[World]:
    made = World(tmp_path, network)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def quick(tmp_path: Path, network: Network) -> Iterator[World]:
    """With the timers at a tenth."""
    made = World(tmp_path, network, **SHORT)
    try:
        yield made
    finally:
        made.close()


# ---- Random faults ---------------------------------------------------------------------------------------------------


def _one_fault(world: World, chance: random.Random) -> str:
    link = chance.choice(world.network.links)
    name = chance.choice(["cut", "lose_to_scheduler", "lose_to_node", "reset", "lose", "delay", "heal"])
    given = {"lose": (chance.choice([5, 30, 60]),), "delay": (chance.choice([0.01, 0.1, 0.4]),)}.get(name, ())
    getattr(link, name)(*given)
    return f"{link.node.name}.{name}{given}"


def _one_seed(world: World, seed: int) -> tuple[float, Counter[str]]:
    """Answers how long the slowest node took to serve again, and how the requests ended."""
    chance = random.Random(seed)
    asked = Asked(world, seed)
    placing = Placing(world.bridge, world.witness, seed)
    faults = []
    try:
        for _ in range(chance.randrange(2, 6)):
            faults.append(_one_fault(world, chance))
            time.sleep(chance.random() ** 2 * 2)  # how long is the test's random choice
    finally:
        for link in world.network.links:
            link.heal()
        healed = time.monotonic()
    try:
        for number in range(NODES):
            left = healed + AGAIN_S - time.monotonic()
            world.wait(lambda n=number: world.serves(n), left, f"node {number} serves again")
        again = time.monotonic() - healed
        asked.stop()
        world.wait(asked.all_ended, 30.0, "each request ends")
        asked.check()
        placing.stop()
        world.wait(placing.agreed, AGAIN_S, "the nodes' books of grants and the bridge's are the same")
        placing.close()
        world.wait(
            lambda: not any(there or told for there, told in world.witness.books().values()),
            AGAIN_S,
            "what the sessions have given back is free",
        )
        assert not world.witness.faults, world.witness.faults
    except BaseException:
        print(f"faults: {faults}; grants: {world.witness.books()}; the sessions have: {placing.own()}")
        placing.close()
        raise
    return again, asked.outcomes


def _cuts(world: World, chosen: list[int]) -> None:
    agains = []
    outcomes: Counter[str] = Counter()
    for seed in chosen:
        try:
            again, ends = _one_seed(world, seed)
        except BaseException:
            print(f"seed {seed}; again: WINDLASS_SEED={seed} python -m pytest {__file__} -k random_cuts")
            raise
        agains.append(again)
        outcomes += ends
    agains.sort()
    print(
        f"{len(agains)} seeds; all serve again after {agains[len(agains) // 2]:.2f} s (median), "
        f"{agains[-1]:.2f} s (most); ends: {dict(outcomes)}; {world.witness.granted} grants"
    )
    assert outcomes["done"] > 0 and world.witness.granted > 10 * len(chosen)


def test_random_cuts(quick: World) -> None:
    _cuts(quick, seeds(10, 10))


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("first", range(1000, 1300, 50))
def test_many_random_cuts(quick: World, first: int) -> None:
    _cuts(quick, [first + seed for seed in seeds(10, 50)])


# ---- Who is gone is found out, who lives is not ----------------------------------------------------------------------


def test_a_pulled_cable_and_a_stopped_process_are_found_out_in_time(world: World) -> None:
    begun = time.monotonic()
    world.network.links[0].cut()
    os.kill(world.nodes[1].pid, signal.SIGSTOP)
    found: dict[tuple[int, str], float] = {}

    def look() -> bool:
        for number in range(NODES):
            found.setdefault((number, world.state(number)), time.monotonic() - begun)
        return all((number, "dead") in found for number in (0, 1))

    try:
        world.wait(look, DEAD_S + 10.0, "both are dead")
    finally:
        os.kill(world.nodes[1].pid, signal.SIGCONT)
    world.network.links[0].heal()
    healed = time.monotonic()
    print(f"found out after {found}")
    for number in (0, 1):
        assert found[number, "suspect"] <= SUSPECT_S
        assert found[number, "dead"] <= DEAD_S
    assert (2, "suspect") not in found and (2, "dead") not in found
    for number in (0, 1):
        left = healed + AGAIN_S - time.monotonic()
        print(
            f"node {number} serves after {world.wait(lambda n=number: world.serves(n), left, 'it serves again'):.2f} s"
        )


@pytest.mark.parametrize("seconds", [30.0, pytest.param(600.0, marks=[pytest.mark.slow, pytest.mark.timeout(900)])])
def test_a_full_machine_and_a_lossy_network_hold_nobody_for_dead(world: World, seconds: float) -> None:
    first = {name: node.incarnation for name, node in world.bridge.nodes().items()}
    for link in world.network.links:
        link.lose(5)
    burn = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2 * (os.cpu_count() or 1))]
    write = f"import os\nwith open({str(world.folder / 'full')!r}, 'wb', 0) as f:\n while True:\n"
    write += "  f.seek(0)\n  [f.write(b'x' * (1 << 20)) for _ in range(64)]\n  os.fsync(f.fileno())\n"
    fill = [subprocess.Popen([sys.executable, "-c", write])]
    seen: Counter[str] = Counter()
    done = 0
    try:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for number in range(NODES):
                seen[world.state(number)] += 1
                done += world.serves(number)
    finally:
        for process in burn + fill:
            process.kill()
            process.wait()
    print(f"states seen: {dict(seen)}; calls done: {done}")
    assert seen["dead"] == 0 and seen["absent"] == 0
    assert {name: node.incarnation for name, node in world.bridge.nodes().items()} == first, "none registered anew"
    assert done > 0

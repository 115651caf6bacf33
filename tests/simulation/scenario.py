"""One seed's story. Safety: for a while everything that can go wrong does. Liveness: the world heals, and then all that
was asked ends, every node is registered, and new requests succeed, each within its time.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from .bridge import CREDITS, LEASE, LONG_LEASE, BridgeProcess, Caller
from .clients import ERROR, Client
from .native import Library
from .node import Node
from .world import MS, SECOND, Weather, World

CHAOS = 25 * SECOND
REGISTERED_WITHIN = 12 * SECOND  # after the world healed: the silence that a node bears, and a dial
SERVED_WITHIN = 5 * SECOND
ENDED_WITHIN = 45 * SECOND  # the time that a node has to accept a STAGE, and a sign of life
SPENDING = 8  # one seed in so many: it takes hundreds of requests
AGREED_WITHIN = 12 * SECOND  # some beats and their messages
LONG_LEASES = 3  # one seed in so many has leases too long to mend what was forgotten

logging.getLogger("windlass").setLevel(logging.CRITICAL)


class Scenario:
    def __init__(self, seed: int, library: Library, folder: Path, tell: Callable[[str], None] | None = None) -> None:
        self.world = World(seed, tell)
        self.library = library
        self.weather = Weather()
        self.nodes: dict[str, Node] = {}
        chance = self.world.chance
        keeps = chance.random() < 0.7
        for number in range(chance.choice([1, 2, 2, 3])):
            name = f"n{number}"
            ends = str(folder / f"{name}.ends") if keeps else None
            self.nodes[name] = Node(self.world, library, name, ends)
        lease = LONG_LEASE if seed % LONG_LEASES == 1 else LEASE
        self.bridge = BridgeProcess(self.world, self.weather, self.nodes, lease)
        self.clients: list[Client] = []
        for node in self.nodes.values():
            node.bridge = self.bridge
            for number in range(chance.choice([0, 1, 2])):
                self.add_client(node, f"{node.name}-c{number}")
        self.library.disk(-1)
        self.owners = ["session 0", "session 1"]

    def add_client(self, node: Node, route: str) -> Client:
        client = Client(self.world, node, route.encode())
        node.clients[client.route] = client
        self.clients.append(client)
        return client

    def run(self) -> str:
        """Answers the trace; raises Broken where an invariant does not hold."""
        try:
            self._begin()
            self._chaos()
            self._heal()
            self._serve()
        finally:
            for node in self.nodes.values():
                node.kill()
            self.bridge.kill()
        return self.world.trace

    def _begin(self) -> None:
        self.bridge.start()
        for node in self.nodes.values():
            node.start()
        self.world.run_until(self.world.now + SECOND)
        for client in self.clients:
            client.hello()

    # ---- Safety ------------------------------------------------------------------------------------------------------

    def _chaos(self) -> None:
        end = self.world.now + CHAOS
        while self.world.now < end:
            self._something()
            self.world.run_until(self.world.now + self.world.between(1, 1200) * MS)

    def _something(self) -> None:
        chance = self.world.chance
        node = chance.choice(list(self.nodes.values()))
        what = chance.choices(list(self._DEEDS), list(self._DEEDS.values()))[0]
        what(self, node)

    def _act(self, node: Node) -> None:
        if node.clients:
            self.world.chance.choice(list(node.clients.values())).act()

    def _ask_bridge(self, node: Node) -> None:
        self.bridge.stage(node)

    def _cancel_at_bridge(self, node: Node) -> None:
        callers = [caller for caller in self.bridge.callers.values() if caller.ends == 0]
        if callers:
            self.bridge.cancel(self.world.chance.choice(callers))

    def _change_weather(self, node: Node) -> None:
        self.world.note(f"the weather: {self.weather.draw(self.world.chance, list(self.nodes))}")

    def _kill_node(self, node: Node) -> None:
        chance = self.world.chance
        how = chance.choice(["kill", "kill", "power", "drain"])
        if how == "drain":
            node.terminate()
        else:
            node.kill(power_lost=how == "power")
        self.world.after(chance.choice([10, 500, 6000]) * MS, node.start)

    def _kill_bridge(self, node: Node) -> None:
        self.bridge.kill()
        self.world.after(self.world.chance.choice([10, 500, 6000]) * MS, self.bridge.start)

    def _stall_bridge(self, node: Node) -> None:
        self.bridge.stall(self.world.chance.choice([2, 5, 20]) * SECOND)

    def _spoil_disk(self, node: Node) -> None:
        left = self.world.chance.choice([0, 10, 300, -1])
        self.world.note(f"the disk takes {left} bytes more")
        self.library.disk(left)

    def _refuse(self, node: Node) -> None:
        if node.daemon:
            matches, stages = (self.world.chance.random() < 0.5 for _ in range(2))
            self.library.set_refusing(node.daemon, matches, stages)

    def _ask_grant(self, node: Node) -> None:
        self.bridge.ask_grant(node, self.owners[self.world.chance.randrange(2)])

    def _release_grant(self, node: Node) -> None:
        self.bridge.release_grant()

    def _change_offer(self, node: Node) -> None:
        node.offer()

    def _fill_queue(self, node: Node) -> None:
        node.fill_queue(True)
        self.world.after(self.world.between(1, 3000) * MS, node.fill_queue, False)

    def _fill_router(self, node: Node) -> None:
        self.world.note(f"the bridge's queue to {node.name} is full")
        self.bridge.full.add(node.name)
        self.world.after(self.world.between(1, 3000) * MS, self.bridge.full.discard, node.name)

    def _lose_client(self, node: Node) -> None:
        if node.clients:
            client = self.world.chance.choice(list(node.clients.values()))
            client.gone = True
            if node.daemon:
                node.hung_up(client)
            del node.clients[client.route]
            self.clients.remove(client)
            self.add_client(node, f"{node.name}-c{len(self.clients)}-{self.world.chance.getrandbits(32)}").hello()

    _DEEDS: ClassVar = {
        _act: 14,
        _ask_bridge: 7,
        _cancel_at_bridge: 3,
        _ask_grant: 6,
        _release_grant: 2,
        _change_offer: 1,
        _fill_queue: 0.7,
        _fill_router: 0.7,
        _change_weather: 3,
        _kill_node: 2,
        _kill_bridge: 0.7,
        _stall_bridge: 0.5,
        _spoil_disk: 0.7,
        _refuse: 1,
        _lose_client: 0.5,
    }

    # ---- Liveness ----------------------------------------------------------------------------------------------------

    def _heal(self) -> None:
        self.world.note("the world heals")
        self.weather.clear()
        self.library.disk(-1)
        self.bridge._stalled_until = 0
        self.bridge.full.clear()
        self.bridge.start()
        for node in self.nodes.values():
            node.start()
            self.library.set_refusing(node.daemon, False, False)
            node.fill_queue(False)
            if node.name in self.bridge.torn:  # TCP gives a connection up before it loses part of what it carries
                node.unlink()
        self.world.run_until(self.world.now + REGISTERED_WITHIN)
        assert self.bridge.thread is not None
        told = self.bridge.thread.core.nodes.snapshot()
        for name, node in self.nodes.items():
            self.world.demand(
                name in told and told[name].state == "alive" and self.library.registered(node.daemon),
                f"a node is registered {REGISTERED_WITHIN / SECOND:g} s after the world healed: {name} is "
                f"{told[name].state if name in told else 'not known'}",
            )

    def _serve(self) -> None:
        begun = self.world.now
        callers = [self.bridge.stage(node) for node in self.nodes.values()]
        fresh = [self.add_client(node, f"{node.name}-fresh") for node in self.nodes.values()]
        for client in fresh:
            client.hello()
        self.world.run_until(self.world.now + 10 * MS)
        calls = [(client, client.ask()) for client in fresh]
        step = 2500 * MS
        while self.world.now < begun + ENDED_WITHIN and not self._all_ended(callers):
            for client in self.clients:
                client.settle()
            self.world.run_until(self.world.now + step)
        for caller in [*callers, *self.bridge.callers.values()]:
            assert caller is not None
            self.world.demand(caller.ends == 1, f"every request of the bridge's ends: {caller.request} did not")
        for client in self.clients:
            self.world.demand(not client.open(), f"every request of a client's ends: {client.open()} did not")
        for client, call in calls:
            assert call.answer is not None
            self.world.demand(
                (call.answer[0] != ERROR or "dl" in str(call.frames) or client.cancels),
                f"a healed node serves: {call.id.hex()} was answered {call.answer}",
            )
        for node in self.nodes.values():
            self.world.demand(self.library.idle(node.daemon), f"once all has ended, {node.name} has nothing to do")
        self._settle_grants()
        if self.world.seed % SPENDING == 0:
            self._spend_credits()

    def _settle_grants(self) -> None:
        """The bridge and the nodes agree on what is held; what is given back is free, what nobody wants runs out."""
        self._agree("the bridge knows what a node has granted")
        for node in self.nodes.values():
            told = self.bridge.offered(node.name)
            self.world.demand(told == node.cores, f"the bridge knows what {node.name} offers: {node.cores}, not {told}")
        for call in self.bridge.askings:
            self.world.demand(call.ends == 1, f"every GRANT ends: {call.grant.id.hex()} did not")
        for owner in self.owners:
            self.bridge.forget_grants(owner)
        running_out = 2 * int(self.bridge.lease * SECOND)  # what sessions of a bridge that was killed held
        self._agree("what sessions have given back is free", running_out, empty=True)

    def _agree(self, invariant: str, longer: int = 0, empty: bool = False) -> None:
        end = self.world.now + AGREED_WITHIN + longer
        while True:
            books = {name: (set(node.ledger.live()), self.bridge.held(name)) for name, node in self.nodes.items()}
            if all(there == told and not (there and empty) for there, told in books.values()):
                return
            told = {name: [sorted(each.hex() for each in book) for book in both] for name, both in books.items()}
            self.world.demand(self.world.now < end, f"{invariant}: by node, what it holds and what is told: {told}")
            self.world.run_until(self.world.now + 500 * MS)

    def _spend_credits(self) -> None:
        """Whatever became of its requests before, a client with none under way has its credits, and no more."""
        for client in self.clients:
            client.hello()
        self.world.run_until(self.world.now + 10 * MS)
        for client in self.clients:
            within, beyond = client.spend(client.credits), client.spend(1)[0]
            self.world.run_until(self.world.now + 5 * SECOND)
            refused = sum(call.refused for call in within)
            self.world.demand(
                refused == 0 and beyond.refused,
                f"credits are conserved: of the {client.credits} requests of {client.route.decode()} {refused} were "
                f"refused, and one beyond {'was' if beyond.refused else 'was not'}",
            )
        calls = [self.bridge.stage(node) for node in self.nodes.values() for _ in range(2 * CREDITS)]
        self.world.run_until(self.world.now + ENDED_WITHIN)
        ends = [call.outcome for call in calls if call is not None]
        self.world.demand(
            all(how in ("done", "failed") for how in ends),
            f"credits are conserved: of the {len(ends)} calls of the bridge not all came to their end: {ends}",
        )

    def _all_ended(self, callers: list[Caller | None]) -> bool:
        return (
            all(caller is not None and caller.ends for caller in [*callers, *self.bridge.callers.values()])
            and not any(client.open() for client in self.clients)
            and all(self.library.idle(node.daemon) for node in self.nodes.values())
        )


@contextlib.contextmanager
def folder_of_ends():
    """Where the daemons' files of ends lie: in memory, since they are written often."""
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="windlass-sim-", dir=memory if os.access(memory, os.W_OK) else None))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run_seed(seed: int, library: Library, folder: Path, tell: Callable[[str], None] | None = None) -> str:
    """Runs one seed; answers its trace."""
    for left in folder.iterdir():
        left.unlink()
    return Scenario(seed, library, folder, tell).run()

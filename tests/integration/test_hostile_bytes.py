"""Mutated messages over real sockets: a windlassd and a bridge serve on, and need no more memory for it.

`WINDLASS_SEED` draws other ones.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable

import msgpack
import pytest
import windlass
from support import SANITIZED, Raw, eventually, problem, resident
from windlass import _wire
from windlass._wire import Header, Message, Type

from tests.fuzz.mutations import golden, mutated_bytes

ROUNDS = 4
MESSAGES = 1500  # in each round
IDS = 200  # so few that the answers kept for them do not count as growth
GROWTH_MAX = 24 << 20


@pytest.fixture
def chance() -> random.Random:
    seed = int(os.environ.get("WINDLASS_SEED", random.randrange(2**32)))
    print(f"WINDLASS_SEED={seed}")
    return random.Random(seed)


def hostile_frames(chance: random.Random, messages: list[list[bytes]]) -> list[bytes]:
    """A golden message under one of a few ids, spoilt in a frame, cut off, or with a frame of another."""
    header, *rest = chance.choice(messages)
    head = msgpack.unpackb(header)
    head["id"] = chance.randrange(IDS).to_bytes(16, "big")
    frames = [msgpack.packb(head), *rest]
    at = chance.randrange(len(frames))
    what = chance.random()
    if what < 0.6:
        frames[at] = mutated_bytes(chance, frames[at])
    elif what < 0.7:
        frames = frames[: at + 1]
    elif what < 0.8:
        frames[at] = chance.choice(chance.choice(messages))
    elif what < 0.9:
        frames.insert(at, chance.randbytes(chance.randrange(40)))
    return frames


def bombard(address: str, chance: random.Random, greets: bool) -> None:
    """One round, each message through one of four connections; done once all of it is read."""
    messages = list(golden().values())
    with Raw(address) as one, Raw(address) as two, Raw(address) as three, Raw(address) as four:
        peers = [one, two, three, four]
        for peer in peers:
            if greets:
                peer.send(*golden()["hello_client"])
        for _ in range(MESSAGES):
            chance.choice(peers).send(*hostile_frames(chance, messages))
        for peer in peers:
            mark = chance.randbytes(16)
            peer.send(*_wire.encode(Message(Header(Type.CANCEL, mark), {"request": mark})))
            eventually(lambda peer=peer, mark=mark: _came(peer, mark), timeout=60, what="the last message is answered")


def _came(peer: Raw, mark: bytes) -> bool:
    """Whether the answer to `mark` is among what came; the rest is passed over."""
    while True:
        answer = peer.answer(timeout=0.1)
        if answer is None or answer.header.id == mark:
            return answer is not None


def flat(look: Callable[[], int], bombard_once: Callable[[], None]) -> None:
    bombard_once()  # until pools and tables have the size that they keep
    before = look()
    for _ in range(ROUNDS - 1):
        bombard_once()
    grown = look() - before
    assert SANITIZED or grown < GROWTH_MAX, f"{grown / 2**20:.1f} MiB more after {(ROUNDS - 1) * MESSAGES} messages"


def test_a_daemon_serves_on_in_the_memory_it_had(node: windlass.LocalNode, chance: random.Random):
    flat(lambda: resident(node.pid), lambda: bombard(node.address, chance, True))
    tasks, offers = problem(5, 5)
    with node.client() as client:
        assert client.match(tasks, offers).assignments == windlass.match(tasks, offers).assignments


def test_a_bridge_serves_on_in_the_memory_it_had(
    nodes: Callable[..., windlass.LocalNode], bridge: windlass.Bridge, chance: random.Random
):
    nodes({"node.name": "n", "bridge.address": bridge.address})
    eventually(lambda: [offer["name"] for offer in bridge.offers()] == ["n"])
    flat(lambda: resident("self"), lambda: bombard(bridge.address, chance, False))
    sequence = bridge.nodes()["n"].load.sequence
    eventually(lambda: bridge.nodes()["n"].load.sequence > sequence, what="the node is heard as before")
    assert [offer["name"] for offer in bridge.offers()] == ["n"]


MASK = 2**64 - 1
MURMUR = 0xC6A4A7935BD1E995


def meeting_keys(count: int) -> list[bytes]:
    """ASCII texts of 16 bytes, all with one value of libstdc++'s hash, which has no key (proto/keyed_hash_test.cpp)."""
    mixed, back = (lambda value: value ^ value >> 47), pow(MURMUR, -1, 2**64)
    chance, keys = random.Random(1), []
    while len(keys) < count:
        first = chance.getrandbits(64) & 0x7F7F7F7F7F7F7F7F
        after = ((0xC70F6907 ^ 16 * MURMUR & MASK) ^ mixed(first * MURMUR & MASK) * MURMUR & MASK) * MURMUR & MASK
        second = mixed((after ^ 0x1234567890ABCDEF) * back & MASK) * back & MASK
        if not second & 0x8080808080808080:
            keys.append(first.to_bytes(8, "little") + second.to_bytes(8, "little"))
    return keys


def test_keys_that_are_made_to_meet_are_refused_at_their_count(node: windlass.LocalNode):
    """40,000 of them held the control thread for three seconds, and twice as many four times as long."""
    keys = meeting_keys(2000)
    assert len(set(keys)) == len(keys)
    body = b"\xdf" + len(keys).to_bytes(4, "big") + b"".join(b"\xb0" + key + b"\0" for key in keys)
    with Raw(node.address) as one, Raw(node.address) as other:
        assert other.hello().header.type == Type.WELCOME
        for kind in (Type.HELLO, Type.CANCEL, Type.SESSION, Type.STAGE, Type.MATCH):
            one.send(_wire.encode(Message(Header(kind, bytes(16)), {}))[0], body)
            answer = one.answer(30)
            assert answer is not None and answer.header.type == Type.ERROR
            assert answer.body["code"] == 3, answer.body
            assert "at most 1024 keys are allowed, not 2000" in answer.body["message"]
            if kind == Type.HELLO:
                assert one.hello().header.type == Type.WELCOME
        assert other.ask(Type.LOAD, {}).header.type == Type.RESULT

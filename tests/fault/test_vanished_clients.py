"""Clients over tcp whose machine is gone are found out, and those that only stand still are not taken for them."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import windlass
from windlass._wire import Type

from tests.integration.bare import (
    GREETING,
    HELLO,
    READY,
    ROUTERS_READY,
    answered,
    ask_until_held,
    bare,
    framed,
    message,
    read,
)
from tests.integration.support import eventually, metric

from .network import Network

GONE_S = 15.0  # within which it is known, by docs/decisions/front-of-our-own.md
RECEIVED = 'windlass_messages_received_total{from="client"}'
HELLO_FRAMES = framed(message(Type.HELLO, HELLO, bytes(16)))


@pytest.fixture
def network() -> Iterator[Network]:
    made = Network(1)
    try:
        yield made
    finally:
        made.close()


def test_who_stands_still_is_kept_and_whose_cable_is_pulled_is_not(network: Network) -> None:
    """What was sent is under way to one, the other has no room for it; the third was told nothing for a while."""
    link = network.links[0]
    with link.node.entered():
        config = {"local.listen": "0.0.0.0:0", "security.insecure": True}
        with windlass.LocalNode(config=config) as node:
            port = str(node.tcp_address).rpartition(":")[2]
            still = bare(f"tcp://127.0.0.1:{port}", GREETING + READY, HELLO_FRAMES)
            with network.hub.entered():
                asks, idle = (bare(f"tcp://10.213.0.2:{port}", GREETING + READY, HELLO_FRAMES) for _ in range(2))
            with still, asks, idle:
                for peer in (asks, idle):
                    read(peer, 64 + len(ROUTERS_READY))
                    assert answered(peer, 1) == [bytes(16)]
                asked = ask_until_held(still)
                held = time.monotonic()
                assert metric(node, "windlass_connections") == 3
                received = metric(node, RECEIVED)
                link.lose_to_scheduler()
                asks.sendall(framed(message(Type.LOAD, {})))
                eventually(lambda: metric(node, RECEIVED) == received + 1)
                link.cut()
                cut = time.monotonic()
                eventually(lambda: metric(node, "windlass_connections") == 1, 60)
                print(f"both were gone after {time.monotonic() - cut:.1f} s")
                eventually(lambda: time.monotonic() - held > GONE_S + 5, 60)
                assert metric(node, "windlass_connections") == 1
                read(still, 64 + len(ROUTERS_READY))
                assert answered(still, asked + 1) == [number.to_bytes(16, "big") for number in range(asked + 1)]

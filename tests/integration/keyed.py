"""Folders of keys for tests, and who asks and reports by them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import windlass
from windlass import _keys
from windlass._channel import Channel
from windlass._keys_curve import dialling
from windlass._reply import Reply
from windlass._wire import Type

Make = Callable[..., windlass.LocalNode]
Role = _keys.Role


class Folders:
    """A folder of keys for each name; `boss` is the bridge, `n` the node."""

    def __init__(self, top: Path) -> None:
        self._top = top
        for name, role in (("boss", Role.SCHEDULER), ("n", Role.NODE), ("bob", Role.CLIENT), ("eve", Role.OBSERVER)):
            self.new(name, role)
        for where, who in (("boss", "n"), ("boss", "eve"), ("n", "boss"), ("n", "bob"), ("n", "eve")):
            self.allow(where, who)
        for where, who in (("bob", "n"), ("eve", "n"), ("eve", "boss")):
            self.allow(where, who)

    def __getitem__(self, name: str) -> str:
        return str(self._top / name)

    def new(self, name: str, role: Role) -> None:
        _keys.new_key(self[name], name, role)

    def allow(self, where: str, who: str, **how: Any) -> None:
        own = _keys.load_own(self[who])
        _keys.allow(self[where], _keys.AllowedKey(own.name, own.role, own.public), **how)

    def revoke(self, where: str, who: str) -> None:
        assert _keys.revoke(self[where], who)

    def public(self, name: str) -> str:
        return _keys.load_own(self[name]).public.hex()


def start(nodes: Make, keys: Folders, bridge: windlass.Bridge, name: str, **config: Any) -> windlass.LocalNode:
    # The node's own times, so that a node that is never welcomed knows short ones too.
    times = {"bridge.beat": "100ms", "bridge.suspect_after": "500ms", "bridge.dead_after": "2s"}
    keyed = {"node.name": name, "bridge.address": bridge.address, "security.keys": keys[name]}
    return nodes({**times, **keyed, **config})


def state(bridge: windlass.Bridge, name: str = "n") -> str | None:
    return bridge.nodes()[name].state if name in bridge.nodes() else None


def ask(
    address: str, kind: Type, role: str, keys: str | None, server: str | None, of: Role, insecure: bool | None = None
) -> dict[str, Any]:
    """One request by a channel of that role, with the error that comes."""
    channel = Channel(address, role=role, credentials=dialling(address, keys, server, insecure, of))
    try:
        reply = Reply()
        channel.submit(kind, {}, reply, timeout=5.0)
        return reply.result().body
    finally:
        channel.close()


def refused(reason: str) -> int:
    return windlass.stats()["refused"][reason]

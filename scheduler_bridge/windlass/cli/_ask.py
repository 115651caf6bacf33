"""Asking a daemon or a bridge one question."""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

from .._address import endpoint_of, tcp_endpoint_of
from .._channel import Channel
from .._errors import InvalidArgument
from .._keys import Role
from .._keys_curve import dialling, role_towards_node
from .._records import record_of
from .._reply import Reply
from .._wire import Type

TIMEOUT_S = 10.0


class Keys(NamedTuple):
    """`--keys` and `--server`."""

    folder: str | None = None
    server: str | None = None


NO_KEYS = Keys()


def keys_of(arguments: argparse.Namespace) -> Keys:
    return Keys(arguments.keys, arguments.server)


class Asker:
    """One connection that may be asked again and again."""

    def __init__(self, channel: Channel, kind: Type) -> None:
        self._channel = channel
        self._kind = kind

    def ask(self) -> dict[str, Any]:
        reply = Reply()
        self._channel.submit(self._kind, {}, reply, timeout=TIMEOUT_S)
        return reply.result().body


@contextlib.contextmanager
def daemon(address: str | None, keys: Keys = NO_KEYS) -> Iterator[Asker]:
    """A daemon's load: answers `{"load": {...}}`."""
    endpoint = endpoint_of(address)
    credentials = dialling(endpoint, keys.folder, keys.server, None, Role.NODE)
    with contextlib.closing(Channel(endpoint, role=role_towards_node(credentials), credentials=credentials)) as channel:
        yield Asker(channel, Type.LOAD)


@contextlib.contextmanager
def bridge(address: str, keys: Keys = NO_KEYS) -> Iterator[Asker]:
    """A bridge's nodes, as an observer: answers `{"nodes": {...}}`."""
    endpoint = tcp_endpoint_of(address)
    credentials = dialling(endpoint, keys.folder, keys.server, None, Role.SCHEDULER)
    with contextlib.closing(Channel(endpoint, role="observer", credentials=credentials)) as channel:
        yield Asker(channel, Type.NODES)


def bridge_address(given: str | None) -> str | None:
    return given or os.environ.get("WINDLASS_BRIDGE__ADDRESS") or None


def load_of(body: dict[str, Any]) -> dict[str, Any]:
    """The report in a daemon's answer."""
    load = record_of(body.get("load"))
    if not load:
        raise InvalidArgument("the daemon answered without a load report; it may be of another version")
    return load

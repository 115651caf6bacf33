"""Asking a daemon or a bridge one question."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

from .._address import endpoint_of, tcp_endpoint_of
from .._channel import Channel
from .._errors import InvalidArgument
from .._records import record_of
from .._reply import Reply
from .._wire import Type

TIMEOUT_S = 10.0


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
def daemon(address: str | None) -> Iterator[Asker]:
    """A daemon's load: answers `{"load": {...}}`."""
    with contextlib.closing(Channel(endpoint_of(address))) as channel:
        yield Asker(channel, Type.LOAD)


@contextlib.contextmanager
def bridge(address: str) -> Iterator[Asker]:
    """A bridge's nodes, as an observer: answers `{"nodes": {...}}`."""
    with contextlib.closing(Channel(tcp_endpoint_of(address), role="observer")) as channel:
        yield Asker(channel, Type.NODES)


def bridge_address(given: str | None) -> str | None:
    return given or os.environ.get("WINDLASS_BRIDGE__ADDRESS") or None


def load_of(body: dict[str, Any]) -> dict[str, Any]:
    """The report in a daemon's answer."""
    load = record_of(body.get("load"))
    if not load:
        raise InvalidArgument("the daemon answered without a load report; it may be of another version")
    return load

"""Who may say what to a bridge: one table. No socket; what a peer is was found out by its key."""

from __future__ import annotations

from ._keys import AllowedKey, Role
from ._wire import Message, Type

ANSWERS = frozenset({Type.WELCOME, Type.PROGRESS, Type.RESULT, Type.ERROR})  # are not answered, not even refused

_OBSERVER = frozenset({Type.HELLO, Type.NODES, Type.CANCEL, Type.BYE})
_MAY_SAY: dict[Role, frozenset[int]] = {
    Role.NODE: frozenset(set(Type) - {Type.NODES}),
    Role.OBSERVER: _OBSERVER,
    Role.SCHEDULER: _OBSERVER,
}
_GREETS_AS = {Role.NODE: "node", Role.OBSERVER: "observer", Role.SCHEDULER: "observer"}


def refusal(key: AllowedKey, routing: bytes, message: Message) -> str | None:
    """Why the holder of a key may not say this; None where it may."""
    kind = message.header.type
    if kind not in _MAY_SAY.get(key.role, ()):
        return f"a key of role {key.role} may not send a message of type {int(kind)} to a bridge"
    if kind == Type.HELLO and message.body.get("role") != _GREETS_AS[key.role]:
        return f"a key of role {key.role} says HELLO as {_GREETS_AS[key.role]} only"
    if key.role == Role.NODE:
        name, slash, _ = routing.rpartition(b"/")
        if not slash or not (key.any_name or name == key.name.encode()):
            return f"the key of node {key.name} speaks under that name only"
    elif not routing.startswith(b"\0"):  # ZeroMQ's own begin so; others might be a node's
        return f"a key of role {key.role} leaves its routing id to ZeroMQ"
    return None

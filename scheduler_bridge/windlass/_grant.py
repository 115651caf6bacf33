"""One grant: a part of a node's offer for one task; and what one call asks for of them."""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ._wire import Message

Send = tuple[bytes, Message]


class Phase(enum.Enum):
    """Where a grant stands. What is LEAVING takes nothing any more, and is released until the node has heard it."""

    ASKED = "asked"
    HELD = "held"
    LEAVING = "leaving"


@dataclass(eq=False, slots=True)
class Grant:
    """A part of an offer for one task. `owner` stands for the session; None: of somebody else's bridge."""

    id: bytes
    node: str
    offer: str
    epoch: int
    amounts: dict[str, int]  # in units
    devices: dict[str, list[list[int]]]  # by kind: [number, share in units]
    exclusive: bool = False
    about: dict[str, Any] = field(default_factory=dict)
    owner: object | None = None
    phase: Phase = Phase.ASKED
    restored: bool = False  # not placed by this session: it came back
    version: int = 0  # of what the node holds, when it said that it holds this
    until: float = 0.0  # when its lease is over for certain

    @property
    def placed_by(self) -> object | None:
        """The session that placed it and has it in its own books; None where it is held beside any session."""
        return None if self.restored else self.owner

    def body(self) -> dict[str, Any]:
        """As GRANT has it."""
        told: dict[str, Any] = {
            "id": self.id,
            "offer": self.offer,
            "epoch": self.epoch,
            "amounts": self.amounts,
            "devices": self.devices,
            "exclusive": self.exclusive,
        }
        if self.about:
            told["about"] = self.about
        return told


class Asking:
    """What one call asks for; `refused` tells why by id, and `on_end` is called once nothing is open."""

    def __init__(self, grants: list[Grant], on_end: Callable[[], None]) -> None:
        self.grants = grants
        self.sends: list[Send] = []  # for whoever asked to send
        self.refused: dict[bytes, str] = {}
        self.open = 0
        self.on_end = on_end

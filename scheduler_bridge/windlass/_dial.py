"""How a Channel comes to a connection: where the other side may have one of several keys, they are tried in turn.

The list of keys is looked at for each dial, and once a second while the connection is used. The thread of the Channel.
"""

from __future__ import annotations

import logging
import time

import zmq

from ._errors import Unavailable, WindlassError
from ._keys import LIST_PERIOD_S
from ._keys_curve import Context, Credentials
from ._link import Link
from ._seldom import Seldom

_log = logging.getLogger("windlass.client")


class Dial:
    """Makes the Links to one endpoint, one at a time."""

    def __init__(self, endpoint: str, credentials: Credentials | None) -> None:
        self._context: Context | None = None  # made with the first of them
        self._endpoint = endpoint
        self._credentials = credentials
        self._tried: list[bytes] = []
        self._untried: list[bytes] = []
        self._look_due = 0.0
        self._seldom = Seldom()

    def first(self) -> Link:
        """A new connection, by the key that answered last. Unavailable where no key is believed any more."""
        self._tried, self._untried = [], []
        if self._credentials is not None:
            self._look()
            self._untried = self._credentials.servers()
            if not self._untried:
                raise Unavailable(
                    f"{self._endpoint} is not dialled: {self._credentials.gone()}; `windlass keys allow` adds the "
                    "other side's key",
                    retryable=False,
                )
        return self.next()

    def has_next(self, failed: Link) -> bool:
        """Whether the other side may have a further key. Where it refuses ours its own was right."""
        return bool(self._untried) and bool(failed.refusal) and not failed.refuses_us

    def next(self) -> Link:
        """A connection by the next key."""
        if self._context is None:
            self._context = zmq.Context()
        if self._credentials is None:
            return Link(self._context, self._endpoint)
        self._tried.append(self._untried.pop(0))
        return Link(self._context, self._endpoint, (self._credentials.own, self._tried[-1]))

    def why(self, failed: Link) -> str:
        """What came of all that was tried, the last of which is given."""
        if self._credentials is None or failed.refuses_us:
            return f"{self._endpoint} turned us away: {failed.refusal}"
        has = self._credentials.describe(self._tried)
        return (
            f"{self._endpoint} turned us away: it has {has}, or none at all; `windlass keys list` there shows its own"
        )

    def answered(self) -> None:
        """The other side has the key that was tried last."""
        if self._credentials is not None:
            self._credentials.answered = self._tried[-1]

    def doubts(self) -> str:
        """Why the other side of the connection is not believed any more; "" where it is."""
        if self._credentials is None or not self._tried or time.monotonic() < self._look_due:
            return ""
        if not self._look() or self._tried[-1] in self._credentials.servers():
            return ""
        return self._credentials.gone()

    def close(self) -> None:
        """Whatever is open still is closed with it."""
        if self._context is not None:
            self._context.destroy(linger=0)

    def _look(self) -> bool:
        """Whether the list was read anew."""
        assert self._credentials is not None
        now = time.monotonic()
        self._look_due = now + LIST_PERIOD_S
        try:
            return self._credentials.allowed.refresh()
        except WindlassError as error:  # what was known stays
            if self._seldom.due("list", now) is not None:
                _log.error("the list of keys is not taken: %s", error)
            return False

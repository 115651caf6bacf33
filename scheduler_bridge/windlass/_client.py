"""`Client`: match and stage through the node's daemon."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Iterable, Sequence
from typing import Any

from ._address import Address, endpoint_of
from ._channel import Channel
from ._errors import Code, InvalidArgument, StageError, Unimplemented
from ._match_remote import decode_placement, encode_problem
from ._problem import Placement, Problem
from ._records import Record, record_of
from ._reply import Reply
from ._stage import StageFuture, StageReport, StageRequest, Transfer
from ._stage_progress import ProgressArgument
from ._stage_remote import Accepted, RemoteStage
from ._stage_run import run_stage
from ._stats import count
from ._wire import Column, Message, Type

_log = logging.getLogger("windlass.client")


class Client:
    """A connection to the daemon of this node, made when first used; any thread of this process may use it.

    address         a path, `ipc://PATH` or `tcp://HOST:PORT`; None: $WINDLASS_LOCAL__SOCKET,
                    $XDG_RUNTIME_DIR/windlass.sock, /run/windlass/windlass.sock
    timeout         seconds that the daemon may take to answer a match, or to accept a staging call
    stage_fallback  "legacy": where no daemon could accept a staging call, stage in this process, in Python
    """

    def __init__(
        self, address: Address | None = None, *, timeout: float = 30.0, stage_fallback: str | None = None
    ) -> None:
        if not isinstance(timeout, (int, float)) or not 0 < timeout < 1e9:
            raise InvalidArgument(
                f"timeout = {timeout!r}: give seconds above 0", side="options", field="timeout", value=timeout
            )
        if stage_fallback not in (None, "legacy"):
            raise InvalidArgument(
                f"stage_fallback = {stage_fallback!r}: give None or 'legacy'",
                side="options",
                field="stage_fallback",
                value=stage_fallback,
            )
        self._timeout = float(timeout)
        self._stage_fallback = stage_fallback
        self._channel = Channel(endpoint_of(address))
        self._finalizer = weakref.finalize(self, self._channel.close)

    @property
    def address(self) -> str:
        """The ZeroMQ endpoint of the daemon."""
        return self._channel.endpoint

    def match(self, tasks: Any, offers: Any, **options: Any) -> Any:
        """`windlass.match` in the daemon; the same answer from `windlass.legacy` where the daemon cannot answer."""
        from ._match import solve

        return solve(tasks, offers, backend=self._solve, fallback=True, **options)

    def match_tasks_to_offers(self, tasks: Any, offers: Any, **options: Any) -> dict[Any, Any]:
        """`windlass.match_tasks_to_offers` in the daemon: {offer name: task name}."""
        from ._match import solve_pairs

        return solve_pairs(tasks, offers, backend=self._solve, fallback=True, **options)

    def stage(
        self, transfers: Iterable[Transfer], *, progress: ProgressArgument = None, on_error: str = "raise"
    ) -> StageReport:
        """Stages in the daemon and waits for the end; Ctrl-C cancels."""
        return run_stage(transfers, self._submit_and_wait, progress=progress, on_error=on_error)

    def submit_stage(self, transfers: Iterable[Transfer], *, detach: bool = False) -> StageFuture:
        """Stages in the daemon; answers once the daemon has accepted the call."""
        request = StageRequest(transfers)
        return self._submit(request, detach)

    def load(self) -> Record:
        """The daemon's latest load report, its `age_seconds` in it."""
        return record_of(self.call(Type.LOAD, {}).body.get("load"))

    def open(self, url: Any) -> memoryview:
        """Not served yet."""
        raise _unserved("Client.open")

    def fetch_ranges(self, url: Any, ranges: Any) -> list[memoryview]:
        """Not served yet."""
        raise _unserved("Client.fetch_ranges")

    def unpin(self, url: Any) -> None:
        """Not served yet."""
        raise _unserved("Client.unpin")

    def session(self, offers: Any, **options: Any) -> Any:
        """Not served yet."""
        raise _unserved("Client.session")

    def close(self) -> None:
        """Cancels what was submitted (but for `detach`), waits for the daemon's answer, and closes the connection."""
        self._finalizer()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def call(
        self, kind: Type, body: dict[str, Any], columns: Sequence[Column] = (), timeout: float | None = None
    ) -> Message:
        """Sends one request of the protocol and waits for its RESULT."""
        self._channel.loop.refuse_own_thread()
        reply = Reply()
        request_id = self._channel.submit(kind, body, reply, columns=columns, timeout=timeout or self._timeout)
        try:
            return reply.result()
        except BaseException:
            if not reply.done():  # Ctrl-C
                self._channel.abandon(request_id)
            raise

    def _solve(self, problem: Problem) -> Placement:
        body, columns = encode_problem(problem)
        return decode_placement(self.call(Type.MATCH, body, columns), problem)

    def _submit_and_wait(self, request: StageRequest) -> Accepted:
        return Accepted(self._submit(request, detach=False))

    def _submit(self, request: StageRequest, detach: bool) -> StageFuture:
        self._channel.loop.refuse_own_thread()
        remote = self.begin_stage(request, detach)
        try:
            return remote.accepted.result()
        except StageError as error:
            if self._stage_fallback is None or not falls_back(remote, error):
                raise
            return self._stage_here(request, error)
        except BaseException:  # Ctrl-C
            remote.future.cancel()
            raise

    def begin_stage(self, request: StageRequest, detach: bool = False) -> RemoteStage:
        """Hands a STAGE over without waiting for anything."""
        remote = RemoteStage(request.transfers, lambda: self._channel.cancel(request_id))
        body = request.body(detach=detach)
        request_id = self._channel.submit(Type.STAGE, body, remote, timeout=self._timeout, lasting=True, detach=detach)
        return remote

    def _stage_here(self, request: StageRequest, why: StageError) -> StageFuture:
        from .legacy import submit_stage

        if count("fallbacks", "stage") == 1:
            _log.warning("staging in this process with windlass.legacy, since no daemon accepted the call: %s", why)
        return submit_stage(request.transfers)


def falls_back(remote: RemoteStage, error: StageError) -> bool:
    """True where no daemon can have begun the call: it was never sent, or refused as not served."""
    return not remote.sent and error.code in (Code.UNAVAILABLE, Code.UNIMPLEMENTED)


def _unserved(name: str) -> Unimplemented:
    return Unimplemented(f"{name} is not served by this version of windlass ({Code.UNIMPLEMENTED.name})")

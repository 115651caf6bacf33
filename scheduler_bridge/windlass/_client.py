"""`Client`: match and stage through the node's daemon."""

from __future__ import annotations

import functools
import logging
import os
import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ._address import Address, endpoint_of
from ._channel import Channel
from ._errors import Code, InvalidArgument, StageError, Unimplemented
from ._keys import Folder, Role
from ._keys_curve import dialling, role_towards_node
from ._loop import Turn
from ._match import offers_to_tasks, solve
from ._match_remote import decode_placement, encode_problem
from ._problem import Placement, Problem
from ._records import Record, record_of
from ._reply import Reply, Withdrawal
from ._result import MatchResult
from ._session import ClientSession, Session
from ._session_remote import RemoteSession
from ._stage import StageFuture, StageReport, StageRequest, Transfer
from ._stage_progress import ProgressArgument
from ._stage_remote import Accepted, RemoteStage
from ._stage_run import run_stage
from ._stats import count
from ._wire import Column, Message, Type, new_id
from .legacy import submit_stage as submit_legacy_stage

MANY_ROWS = 2_000  # of tasks and offers, from which on a match leaves time to do something meanwhile

_log = logging.getLogger("windlass.client")


class Client:
    """A connection to the daemon of this node, made when first used; any thread of this process may use it.

    address         a path, `ipc://PATH` or `tcp://HOST:PORT`; None: $WINDLASS_LOCAL__SOCKET,
                    $XDG_RUNTIME_DIR/windlass.sock, /run/windlass/windlass.sock
    timeout         seconds that the daemon may take to answer a match, or to accept a staging call
    keys            over tcp: a folder that `windlass keys` makes; None: $WINDLASS_SECURITY__KEYS, else plain
    server          the daemon's name in the list of keys, or its public key; None: the only node in the list
    insecure        allows plain tcp beyond loopback
    stage_fallback  "legacy": where no daemon could accept a staging call, stage in this process, in Python; None: what
                    $WINDLASS_STAGE__FALLBACK says, else such a call fails
    """

    def __init__(
        self,
        address: Address | None = None,
        *,
        timeout: float = 30.0,
        stage_fallback: str | None = None,
        keys: Folder | None = None,
        server: str | None = None,
        insecure: bool | None = None,
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
        self._falls_back = (stage_fallback or os.environ.get("WINDLASS_STAGE__FALLBACK")) == "legacy"
        self._here: weakref.WeakSet[StageFuture] = weakref.WeakSet()  # what is staged by legacy
        endpoint = endpoint_of(address)
        credentials = dialling(endpoint, keys, server, insecure, Role.NODE)
        self._channel = Channel(endpoint, role=role_towards_node(credentials), credentials=credentials)
        self._finalizer = weakref.finalize(self, self._channel.loop.let_go)  # may run in the middle of anything
        self._finalizer.atexit = False  # the loop minds that

    @property
    def address(self) -> str:
        """The ZeroMQ endpoint of the daemon."""
        return self._channel.endpoint

    def match(self, tasks: Any, offers: Any, **options: Any) -> MatchResult:
        """`windlass.match` in the daemon; the same answer from `windlass.legacy` where the daemon cannot answer."""
        return solve(tasks, offers, backend=self.place, waits=True, fallback=True, **options)

    def match_tasks_to_offers(self, tasks: Any, offers: Any, **options: Any) -> dict[Any, Any]:
        """`windlass.match_tasks_to_offers` in the daemon: {offer name: task name}."""
        return offers_to_tasks(self.match, tasks, offers, options)

    def stage(
        self, transfers: Iterable[Transfer], *, progress: ProgressArgument = None, on_error: str = "raise"
    ) -> StageReport:
        """Stages in the daemon and waits for the end; Ctrl-C cancels."""
        return run_stage(transfers, self.submit_and_wait, progress=progress, on_error=on_error)

    def submit_stage(
        self, transfers: Iterable[Transfer], *, detach: bool = False, progress: ProgressArgument = None
    ) -> StageFuture:
        """Stages in the daemon; answers once that has accepted the call. `progress` is told in a thread of its own."""
        request = StageRequest(transfers)
        return self._submit(request, detach, progress)

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

    def session(self, offers: Any, **options: Any) -> Session:
        """A `windlass.Session` in the daemon; it ends with this client, and with the daemon.

        There is no fallback: FailedPrecondition once the daemon was restarted or the connection lost.
        """
        return ClientSession(functools.partial(RemoteSession, self), offers, options, Turn(self._channel.loop))

    def close(self) -> None:
        """Cancels what was submitted (but for `detach`), waits for the daemon's answer, and closes the connection."""
        for future in list(self._here):
            future.cancel()
            future.wait()
        self._finalizer.detach()
        self._channel.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def call(
        self,
        kind: Type,
        body: dict[str, Any],
        columns: Sequence[Column] = (),
        withdrawal: Withdrawal | None = None,
        meanwhile: Callable[[], None] | None = None,
    ) -> Message:
        """Sends one request of the protocol and waits for its RESULT. `meanwhile` is called while the other side works;
        what it raises ends the request."""
        self._channel.loop.refuse_own_thread()
        reply = Reply()
        request_id = self._channel.submit(kind, body, reply, columns=columns, timeout=self._timeout)
        if withdrawal is not None:
            withdrawal.arm(lambda: self._channel.abandon(request_id))
        try:
            if meanwhile is not None:
                reply.wait_until_out()
                meanwhile()
            return reply.result()
        except BaseException:
            if not reply.done():  # Ctrl-C
                self._channel.abandon(request_id)
            raise

    def tell_from_finalizer(self, kind: Type, body: dict[str, Any]) -> None:
        """Sends one request of the protocol whose answer nobody waits for. It takes no lock and never raises."""
        self._channel.tell_from_finalizer(kind, body, self._timeout)

    def place(
        self,
        problem: Problem,
        withdrawal: Withdrawal | None = None,
        meanwhile: Callable[[], None] | None = None,
    ) -> Placement:
        """The backend of `match`: asks the daemon. `meanwhile` is called before the answer is looked at."""
        if meanwhile is not None and problem.tasks + problem.offers < MANY_ROWS:
            meanwhile()
            meanwhile = None
        body, columns = encode_problem(problem)
        return decode_placement(self.call(Type.MATCH, body, columns, withdrawal, meanwhile), problem)

    def begin_stage(
        self, request: StageRequest, detach: bool = False, progress: ProgressArgument = None
    ) -> RemoteStage:
        """Hands a STAGE over without waiting for anything."""
        request_id = new_id()
        callbacks = self._channel.loop.callbacks
        remote = RemoteStage(request.transfers, lambda: self._channel.cancel(request_id), callbacks, progress)
        self._channel.submit(
            Type.STAGE,
            functools.partial(request.body, detach=detach),
            remote,
            timeout=self._timeout,
            lasting=True,
            detach=detach,
            request_id=request_id,
        )
        return remote

    def fall_back(
        self, request: StageRequest, remote: RemoteStage, error: StageError, progress: ProgressArgument = None
    ) -> StageFuture:
        """Stages in this process with `legacy` where that was asked for; raises the error where not.

        Only where no daemon can have begun the call: it was never sent, as none was there or none served it.
        """
        if not self._falls_back or remote.sent or error.code not in (Code.UNAVAILABLE, Code.UNIMPLEMENTED):
            raise error
        if count("fallbacks", "stage") == 1:
            _log.warning(
                "staging in this process by windlass.legacy, as no daemon accepted the call: %s. Said once; "
                "windlass.stats() counts.",
                error,
            )
        future = submit_legacy_stage(request, progress=progress)
        self._here.add(future)
        return future

    def submit_and_wait(self, request: StageRequest) -> Accepted:
        """What `run_stage` follows: a call that the daemon has accepted."""
        return Accepted(self._submit(request, detach=False))

    def _submit(self, request: StageRequest, detach: bool, progress: ProgressArgument = None) -> StageFuture:
        self._channel.loop.refuse_own_thread()
        remote = self.begin_stage(request, detach, progress)
        try:
            return remote.accepted.result()
        except StageError as error:
            return self.fall_back(request, remote, error, progress)
        except BaseException:  # Ctrl-C
            remote.future.cancel()
            raise


def _unserved(name: str) -> Unimplemented:
    return Unimplemented(f"{name} is not served by this version of windlass ({Code.UNIMPLEMENTED.name})")

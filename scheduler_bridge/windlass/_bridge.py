"""`Bridge`: the scheduler's side of the conversation with the nodes."""

from __future__ import annotations

import functools
import time
import weakref
from collections.abc import Iterable
from typing import Any

from ._address import tcp_endpoint_of
from ._bridge_core import BridgeCore
from ._bridge_session import BridgeSession
from ._bridge_thread import BridgeThread
from ._errors import InvalidArgument
from ._fit import fit_for, warning_of
from ._grant_desk import Desk
from ._keys import Folder
from ._keys_curve import folder_for
from ._match import match
from ._records import Record
from ._result import MatchResult
from ._stage import StageFuture, StageReport, StageRequest, Transfer
from ._stage_progress import ProgressArgument
from ._stage_remote import Accepted, RemoteStage
from ._stage_run import run_stage
from ._wire import new_id

_UNSAFE = "beyond loopback whoever reaches the port could speak to the nodes"


class Bridge:
    """Binds `address` (`tcp://HOST:PORT`, port 0 for any free one) and keeps the table of live nodes and their offers.

    The socket belongs to one thread of the bridge's own. With `keys`, a folder that `windlass keys` makes, connections
    are encrypted and open to the keys of its list only (None: $WINDLASS_SECURITY__KEYS); beyond loopback that is
    needed, unless `insecure=True` accepts whoever reaches the port. A node reports each `beat` seconds, is suspected
    after `suspect_after` and dead after `dead_after` seconds of silence; what ran on a dead or restarted node ends
    UNAVAILABLE. What sessions hold on a node is theirs for `lease` seconds (two minutes, as a rule) after the bridge
    was last heard there. Any thread of this process may use it; a forked child may not, and keeps nothing of it open.
    """

    def __init__(
        self,
        address: str,
        *,
        keys: Folder | None = None,
        insecure: bool | None = None,
        beat: float = 1.0,
        suspect_after: float = 3.0,
        dead_after: float = 10.0,
        lease: float | None = None,
    ) -> None:
        if lease is None:
            lease = max(120.0, 12 * dead_after) if isinstance(dead_after, int | float) else 120.0
        _check_times(beat, suspect_after, dead_after, lease)
        endpoint = tcp_endpoint_of(address)
        folder = folder_for(endpoint, keys, insecure, _UNSAFE)
        core = BridgeCore(
            beat=beat, suspect_after=suspect_after, dead_after=dead_after, lease=lease, now=time.monotonic()
        )
        self._thread = BridgeThread(endpoint, core, poll_s=beat / 4, keys=folder)
        self._desk = Desk(self._thread)
        self._finalizer = weakref.finalize(self, self._thread.loop.let_go)  # may run in the middle of anything
        self._finalizer.atexit = False  # the loop minds that

    @property
    def address(self) -> str:
        """The address that nodes dial, the port filled in."""
        return self._thread.address

    def nodes(self) -> dict[str, Record]:
        """{name: record} with `state` (alive, suspect, dead, draining), `incarnation`, `version`, `labels`, `load`.

        `left_out` is {offer name: why} of offers of the node that are not matched on, since something is wrong with
        them; the first ten of `left_out_count`.
        """
        self._thread.loop.refuse_dead()
        with self._thread.lock:
            return self._thread.core.nodes.snapshot()

    def offers(self) -> list[dict[str, Any]]:
        """The offers of the nodes that are alive, as `match` takes them; without what `nodes` says is left out."""
        self._thread.loop.refuse_dead()
        with self._thread.lock:
            return self._thread.core.nodes.offers()

    def match(self, tasks: Any, **options: Any) -> MatchResult:
        """`windlass.match` of the tasks on the live offers, in this process.

        Offers that do not go with the options, as without a price under `policy="cost"`, are left out, which `warnings`
        of the result tell; where none goes with them it is InvalidArgument.
        """
        offers, left_out = fit_for(self.offers(), options)
        result = match(tasks, offers, **options)
        result.warnings += warning_of(left_out, "it does not go with the options of this call")
        return result

    def stage(
        self,
        node: str,
        transfers: Iterable[Transfer],
        *,
        progress: ProgressArgument = None,
        on_error: str = "raise",
    ) -> StageReport:
        """Stages at a node and waits for the end; Ctrl-C cancels. Paths are the node's, and absolute."""
        return run_stage(
            transfers,
            lambda request: self.submit_and_wait(node, request),
            progress=progress,
            on_error=on_error,
            relative=False,
        )

    def submit_stage(
        self, node: str, transfers: Iterable[Transfer], *, detach: bool = False, progress: ProgressArgument = None
    ) -> StageFuture:
        """Stages at a node; answers once the node has accepted the call. `progress` is told in a thread of its own."""
        return self._submit(node, StageRequest(transfers, relative=False), detach, progress)

    def session(self, **options: Any) -> BridgeSession:
        """A `windlass.Session` in this process on the offers that the nodes report, which it follows by itself.

        What it places it takes by grants of the nodes, so that no other session is given the same; `restore` brings
        tasks of an earlier one back: {task name: grant id}, as its `grants()` told. Offers of a dead node are removed
        with their tasks; a suspect or draining one keeps its tasks and gets no more.
        """
        return BridgeSession(self._desk, options, self)

    def close(self) -> None:
        """Cancels what was submitted (but for `detach`), waits for the nodes' answers, and says BYE to the nodes."""
        self._finalizer.detach()
        self._thread.close()

    def __enter__(self) -> Bridge:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def begin_stage(
        self, node: str, request: StageRequest, detach: bool = False, progress: ProgressArgument = None
    ) -> RemoteStage:
        """Hands a STAGE over without waiting for anything."""
        request_id = new_id()
        callbacks = self._thread.loop.callbacks
        remote = RemoteStage(request.transfers, lambda: self._thread.cancel(request_id), callbacks, progress)
        self._thread.submit_stage(request_id, node, functools.partial(request.body, detach=detach), remote, detach)
        return remote

    def submit_and_wait(self, node: str, request: StageRequest) -> Accepted:
        """What `run_stage` follows: a call that the node has accepted."""
        return Accepted(self._submit(node, request, detach=False))

    def _submit(self, node: str, request: StageRequest, detach: bool, progress: ProgressArgument = None) -> StageFuture:
        self._thread.loop.refuse_own_thread()
        remote = self.begin_stage(node, request, detach, progress)
        try:
            return remote.accepted.result()
        except BaseException:
            if not remote.accepted.done():  # Ctrl-C
                remote.future.cancel()
            raise


def _check_times(beat: float, suspect_after: float, dead_after: float, lease: float) -> None:
    times = {"beat": beat, "suspect_after": suspect_after, "dead_after": dead_after, "lease": lease}
    for name, value in times.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.001 <= value <= 86400:
            raise InvalidArgument(
                f"{name} = {value!r}: give seconds, at least 0.001", side="options", field=name, value=value
            )
    if not beat < suspect_after < dead_after:
        raise InvalidArgument(
            f"beat = {beat}, suspect_after = {suspect_after}, dead_after = {dead_after}: each is to be longer than "
            "the one before",
            side="options",
            field="suspect_after",
            value=suspect_after,
        )
    if lease < dead_after:
        raise InvalidArgument(
            f"lease = {lease}: give at least dead_after = {dead_after}, or a node that was only silent loses its tasks",
            side="options",
            field="lease",
            value=lease,
        )

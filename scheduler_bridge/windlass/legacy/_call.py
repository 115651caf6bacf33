"""One accepted call of legacy staging, run from begin to end in one thread."""

from __future__ import annotations

import os
import stat as modes
import time
from collections.abc import Callable
from typing import Any

from .._errors import Code
from .._stage_encode import StageRequest
from .._stage_limits import decompress_ratio_max
from .._stage_progress import Counts
from .._stage_report import StageReport, report_from_body
from ._copy import File, Wish, publish_file
from ._faults import Fault, Replaced, fault_of, invalid, quoted
from ._places import Places, says_folder
from ._publish import ORDER, sweep, sync_upwards
from ._tree import Tree, merge, publish_whole


class Stopped(Exception):
    """Somebody asked for the call to be cancelled."""


class Call:
    """Runs its transfers by priority, then in order, and collects how they ended.

    `tell` gets the figures after each chunk; what it raises comes out, the parts removed. `stopped` is asked as often.
    """

    def __init__(
        self,
        request: StageRequest,
        places: Places,
        tell: Callable[[Counts], None] | None,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self._request = request
        self._wishes: list[dict[str, Any]] = request.body()["transfers"]
        self._places = places
        self._tell = tell
        self._stopped = stopped
        self._ratio = decompress_ratio_max()
        self._bytes = self._files = 0
        self._totals: tuple[int | None, int | None] = (None, None)

    def run(self) -> StageReport:
        begun = time.monotonic()
        if self._tell is not None:
            self._totals = _totals(self._wishes, self._places)
        ends: list[dict[str, Any]] = [{}] * len(self._wishes)
        order = sorted(range(len(self._wishes)), key=lambda row: -self._wishes[row].get("priority", 0))
        with ORDER.call(len(self._wishes)) as tickets:
            for row in order:
                ends[row] = self._end(row, tickets[row])
        total, files = self._totals
        self._totals = (self._bytes if total is None else total, self._files if files is None else files)
        return report_from_body({"seconds": time.monotonic() - begun, "transfers": ends}, self._request.transfers)

    def counts(self) -> Counts:
        return Counts(self._bytes, self._totals[0], self._files, self._totals[1])

    def _end(self, row: int, ticket: int) -> dict[str, Any]:
        if self._stopped():
            return {"state": "cancelled", "error": _told(_STOPPED)}
        deadline = self._request.deadlines[row]
        if deadline is not None and time.monotonic() >= deadline:
            message = "its deadline had passed before it could begin; give it more time or a higher priority"
            return {"state": "expired", "error": {"code": int(Code.DEADLINE_EXCEEDED), "message": message}}
        begun = time.monotonic()
        end: dict[str, Any] = {"engine": "legacy"}
        try:
            self._transfer(self._wishes[row], ticket, end)
            end["state"] = "done"
        except Fault as fault:
            end |= {"state": "failed", "error": _told(fault)}
        except Replaced:
            end |= {"state": "cancelled", "error": _told(_REPLACED)}
        except Stopped:
            end |= {"state": "cancelled", "error": _told(_STOPPED)}
        except OSError as error:  # one that no step has put into words
            end |= {"state": "failed", "error": _told(fault_of(error, "stage", self._wishes[row]["source"]))}
        end["seconds"] = time.monotonic() - begun
        return end

    def _transfer(self, wire: dict[str, Any], ticket: int, end: dict[str, Any]) -> None:
        wish = _wish(wire, self._ratio)
        fd = self._places.open_source(wire["source"])
        try:
            if modes.S_ISDIR(os.fstat(fd).st_mode):
                self._tree(wire, wish, ticket, fd, end)
                return
        finally:
            os.close(fd)
        self._file(wire, wish, ticket, end)

    def _file(self, wire: dict[str, Any], wish: Wish, ticket: int, end: dict[str, Any]) -> None:
        source, target = wire["source"], wire["target"]
        self._places.refuse_outside(target)
        if says_folder(target):
            raise invalid(f"the target {quoted(target)} ends as a folder does; give the path of the file itself")
        spot = self._places.open_parent(target, make=True)
        try:
            ORDER.refuse_late(ticket, spot)
            file = File(lambda: self._places.open_source(source), source, spot, ticket, self._advance)
            published = publish_file(file, wish)
            if wish.durability == "full":
                sync_upwards(spot)
            sweep(spot.folder)
        finally:
            spot.close()
        end |= {"bytes": published.bytes, "files": 1, "checksum": published.checksum, "retries": published.rereads}
        self._file_done()

    def _tree(self, wire: dict[str, Any], wish: Wish, ticket: int, fd: int, end: dict[str, Any]) -> None:
        source, target = wire["source"], wire["target"]
        for name in ("range", "size", "decompress"):
            if name in wire:
                raise invalid(f"{name} is not for a tree, and {quoted(source)} is a folder; leave it out")
        if wish.digits is not None:
            raise invalid(f"a given checksum is not for a tree, and {quoted(source)} is a folder; give the bare name")
        self._refuse_inside(fd, source, target)
        whole = bool(wire.get("tree_atomic"))
        symlinks = wire.get("symlinks", "keep")
        tree = Tree(source.rstrip(b"/"), target, wish, symlinks, ticket, self._advance, self._file_done)
        there = self._places.open_folder(target)
        try:
            _refuse_overlap(fd, there, target, whole)
            spot = self._places.open_parent(target, make=True)
        except BaseException:
            _close(there)
            raise
        try:
            ORDER.refuse_late(ticket, spot)
            if whole:
                publish_whole(tree, fd, spot)
            else:
                merge(tree, fd, spot, there)
            if wish.durability == "full":
                sync_upwards(spot)
            sweep(spot.folder)
        finally:
            spot.close()
            _close(there)
            end |= {"bytes": tree.bytes_done, "files": tree.files, "retries": tree.rereads}
            nothing = whole and tree.first is not None
            end["file_checksums"] = tree.checksums if wish.checksum and not nothing else None
        fault = tree.fault()
        if fault is not None:
            raise fault

    def _refuse_inside(self, source: int, path: bytes, target: bytes) -> None:
        """The target may not lie beneath the source folder."""
        with self._places.nearest(target) as nearest:
            if any(os.path.samestat(os.fstat(source), info) for info in _upwards(nearest)):
                raise invalid(f"the target {quoted(target)} lies inside the source {quoted(path)}; choose another")

    def _advance(self, count: int) -> None:
        self._bytes += count
        if self._stopped():
            raise Stopped
        if self._tell is not None:
            self._tell(self.counts())

    def _file_done(self) -> None:
        self._files += 1


def _refuse_overlap(source: int, there: int | None, target: bytes, whole: bool) -> None:
    """The target is not the source folder; and a folder that will be replaced as a whole does not hold the source."""
    if there is None:
        return
    info, chain = os.fstat(there), _upwards(source)
    if os.path.samestat(info, chain[0]):
        raise invalid(f"the target {quoted(target)} is the source folder itself; choose another")
    if whole and any(os.path.samestat(info, above) for above in chain):
        raise invalid(f"the target {quoted(target)} holds the source and would be replaced as a whole; choose another")


def _close(fd: int | None) -> None:
    if fd is not None:
        os.close(fd)


def _upwards(folder: int) -> list[os.stat_result]:
    """The folder and all above it."""
    chain: list[os.stat_result] = []
    fd = os.dup(folder)
    try:
        while True:
            info = os.fstat(fd)
            if chain and os.path.samestat(info, chain[-1]):
                return chain
            chain.append(info)
            above = os.open("..", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=fd)
            os.close(fd)
            fd = above
    finally:
        os.close(fd)


def _wish(wire: dict[str, Any], ratio: float) -> Wish:
    name, _, digits = wire.get("checksum", "").partition(":")
    stretch = wire.get("range")
    return Wish(
        range=None if stretch is None else (stretch[0], stretch[1]),
        size=wire.get("size"),
        checksum=name or None,
        digits=digits or None,
        mode=wire.get("mode"),
        decompress=wire.get("decompress"),
        ratio=ratio,
        durability=wire.get("durability") or ("full" if wire.get("kind") == "result" else "file"),
    )


_STOPPED = Fault(Code.CANCELLED, "cancelled before it was done; stage it again where it is still wanted")
_REPLACED = Fault(Code.CANCELLED, "replaced by a later transfer to the same target")


def _told(fault: Fault) -> dict[str, Any]:
    return {
        "code": int(fault.code),
        "message": fault.message,
        "retryable": fault.retryable,
        "failures": fault.failures,
        "failure_count": fault.failure_count,
    }


def _totals(wishes: list[dict[str, Any]], places: Places) -> tuple[int | None, int | None]:
    """Bytes and files of the whole call; None as soon as there is a tree, which is not looked through beforehand. How
    many bytes come out of a compressed source is known where it was said."""
    total: int | None = 0
    files = 0
    for wish in wishes:
        try:
            fd = places.open_source(wish["source"])
        except (Fault, OSError):
            continue  # it will fail, and says why then
        files += 1
        info = os.fstat(fd)
        os.close(fd)
        if modes.S_ISDIR(info.st_mode):
            return None, None
        if "decompress" in wish and "size" not in wish:
            total = None
        if total is not None:
            stretch = wish["range"][1] if "range" in wish else info.st_size
            total += wish["size"] if "decompress" in wish else stretch
    return total, files

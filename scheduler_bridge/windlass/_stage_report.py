"""What a staging call tells: `StageReport`, and how it is made from the body of a RESULT message."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ._errors import Code, InvalidTransfer, StageError, stage_error_of
from ._stage_transfer import Path, Transfer

STATES = ("done", "failed", "cancelled", "expired")


class FileFailure(NamedTuple):
    """One file of a tree that could not be published; `path` is relative to the tree's top."""

    path: str
    code: Code
    message: str


@dataclass(frozen=True)
class TransferReport:
    """How one transfer ended.

    state           done | failed | cancelled | expired
    bytes, files    published
    seconds         from its begin to its end
    checksum        "name:hex" of the published bytes, where one was asked for
    engine          uring | threads | reflink | legacy; "" where it never began
    resumed_bytes   kept from before a crash instead of being read again
    error           a StageError, None where done
    file_checksums  {path in the tree: "name:hex"} where a tree was staged with the bare name of a checksum
    file_checksums_omitted  how many more there were, which did not fit into one answer (8 MiB of them do)
    """

    source: Path
    target: Path
    state: str
    bytes: int = 0
    files: int = 0
    seconds: float = 0.0
    checksum: str | None = None
    engine: str = ""
    resumed_bytes: int = 0
    from_cache: bool = False
    retries: int = 0
    error: StageError | None = None
    file_checksums: dict[str, str] | None = None
    file_checksums_omitted: int = 0


@dataclass(frozen=True)
class StageReport:
    """How a call ended; `transfers` in the order of the request."""

    transfers: list[TransferReport]
    seconds: float

    @property
    def ok(self) -> bool:
        """True where every transfer is done."""
        return all(transfer.state == "done" for transfer in self.transfers)

    @property
    def bytes(self) -> int:
        """Bytes published."""
        return sum(transfer.bytes for transfer in self.transfers)

    @property
    def files(self) -> int:
        """Files published."""
        return sum(transfer.files for transfer in self.transfers)

    @property
    def rate(self) -> float:
        """Bytes per second, over the whole call."""
        return self.bytes / self.seconds if self.seconds > 0 else 0.0

    def error(self) -> StageError | None:
        """What `on_error="raise"` raises: the error of the first transfer that is not done, this report in it."""
        for transfer in self.transfers:
            if transfer.state != "done":
                return _raisable(transfer, self)
        return None


def raise_or_report(report: StageReport, on_error: str) -> StageReport:
    """The one meaning of `on_error` on every path."""
    error = report.error() if on_error == "raise" else None
    if error is not None:
        raise error
    return report


def checked_on_error(on_error: Any) -> str:
    if on_error not in ("raise", "report"):
        raise InvalidTransfer(f"on_error = {on_error!r}: give 'raise' or 'report'")
    return str(on_error)


def report_from_body(body: dict[str, Any], transfers: Sequence[Transfer]) -> StageReport:
    """The report for the body of a RESULT; sources and targets are those that the caller wrote."""
    ends = body["transfers"]
    if len(ends) != len(transfers):
        raise ValueError(f"the answer tells of {len(ends)} transfers, asked were {len(transfers)}")
    reports = [_transfer_report(end, transfer) for end, transfer in zip(ends, transfers, strict=True)]
    return StageReport(transfers=reports, seconds=float(body.get("seconds", 0.0)))


def report_of_refusal(
    transfers: Sequence[Transfer], state: str, code: int, message: str, seconds: float = 0.0
) -> StageReport:
    """The report for transfers that all ended alike without having begun."""
    error = {"code": int(code), "message": message, "retryable": code == Code.UNAVAILABLE}
    return report_from_body(
        {"seconds": seconds, "transfers": [{"state": state, "error": error}] * len(transfers)}, transfers
    )


def _transfer_report(end: dict[str, Any], transfer: Transfer) -> TransferReport:
    state = str(end["state"])
    if state not in STATES:
        raise ValueError(f"unknown state {state!r} in the answer")
    checksums = end.get("file_checksums")
    return TransferReport(
        source=transfer.source,
        target=transfer.target,
        state=state,
        bytes=int(end.get("bytes", 0)),
        files=int(end.get("files", 0)),
        seconds=float(end.get("seconds", 0.0)),
        checksum=end.get("checksum"),
        engine=str(end.get("engine") or ""),
        resumed_bytes=int(end.get("resumed_bytes", 0)),
        from_cache=bool(end.get("from_cache", False)),
        retries=int(end.get("retries", 0)),
        error=None if state == "done" else _error(end, state, transfer),
        file_checksums=None
        if checksums is None
        else {os.fsdecode(path): str(digest) for path, digest in checksums.items()},
        file_checksums_omitted=int(end.get("file_checksums_omitted", 0)),
    )


_CODE_OF_STATE = {"failed": Code.INTERNAL, "cancelled": Code.CANCELLED, "expired": Code.DEADLINE_EXCEEDED}


def _error(end: dict[str, Any], state: str, transfer: Transfer) -> StageError:
    told = end.get("error") or {}
    failures = [
        FileFailure(os.fsdecode(failure["path"]), Code(failure["code"]), str(failure["message"]))
        for failure in told.get("failures") or ()
    ]
    return stage_error_of(
        told.get("code", _CODE_OF_STATE[state]),
        told.get("message") or f"the transfer ended {state}",
        source=transfer.source,
        target=transfer.target,
        retryable=bool(told.get("retryable", False)),
        failures=failures,
        failure_count=int(told.get("failure_count", len(failures))),
    )


def _raisable(transfer: TransferReport, report: StageReport) -> StageError:
    """A copy of the transfer's error: the report must not hold an error that holds the report."""
    told = transfer.error
    assert told is not None  # every state but done has one
    error = stage_error_of(
        told.code,
        str(told),
        source=transfer.source,
        target=transfer.target,
        retryable=told.retryable,
        retry_after=told.retry_after,
        failures=list(told.failures),
        failure_count=told.failure_count,
    )
    error.report = report
    return error

"""What a staging call tells: `StageReport`, and how it is made from the body of a RESULT message."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ._errors import Code, InvalidTransfer, StageError, code_of, stage_error_of
from ._fields import Odd, flag, mapping, maps, number, odd_field, text, whole
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
    """The report for the body of a RESULT, or Odd; sources and targets are those that the caller wrote."""
    ends = maps(body, "transfers")
    if len(ends) != len(transfers):
        raise Odd(f"the answer tells of {len(ends)} transfers, asked were {len(transfers)}")
    reports = [_transfer_report(end, transfer) for end, transfer in zip(ends, transfers, strict=True)]
    return StageReport(transfers=reports, seconds=number(body, "seconds"))


def report_of_refusal(
    transfers: Sequence[Transfer], state: str, code: int, message: str, seconds: float = 0.0
) -> StageReport:
    """The report for transfers that all ended alike without having begun."""
    error = {"code": int(code), "message": message, "retryable": code == Code.UNAVAILABLE}
    return report_from_body(
        {"seconds": seconds, "transfers": [{"state": state, "error": error}] * len(transfers)}, transfers
    )


def _transfer_report(end: dict[str, Any], transfer: Transfer) -> TransferReport:
    state = text(end, "state")
    if state not in STATES:
        raise odd_field("state", state, f"one of {', '.join(STATES)}")
    return TransferReport(
        source=transfer.source,
        target=transfer.target,
        state=state,
        bytes=whole(end, "bytes"),
        files=whole(end, "files"),
        seconds=number(end, "seconds"),
        checksum=text(end, "checksum") if end.get("checksum") is not None else None,
        engine=text(end, "engine"),
        resumed_bytes=whole(end, "resumed_bytes"),
        from_cache=flag(end, "from_cache"),
        retries=whole(end, "retries"),
        error=None if state == "done" else _error(end, state, transfer),
        file_checksums=_file_checksums(end),
        file_checksums_omitted=whole(end, "file_checksums_omitted"),
    )


def _file_checksums(end: dict[str, Any]) -> dict[str, str] | None:
    told = mapping(end, "file_checksums")
    if told is None:
        return None
    for path, digest in told.items():
        if not isinstance(path, (bytes, str)) or not isinstance(digest, str):
            raise odd_field("file_checksums", {path: digest}, "a text by path")
    return {os.fsdecode(path): digest for path, digest in told.items()}


_CODE_OF_STATE = {"failed": Code.INTERNAL, "cancelled": Code.CANCELLED, "expired": Code.DEADLINE_EXCEEDED}


def _error(end: dict[str, Any], state: str, transfer: Transfer) -> StageError:
    told = mapping(end, "error") or {}
    failures = [_failure(failure) for failure in maps(told, "failures")]
    return stage_error_of(
        whole(told, "code", _CODE_OF_STATE[state]),
        text(told, "message") or f"the transfer ended {state}",
        source=transfer.source,
        target=transfer.target,
        retryable=flag(told, "retryable"),
        failures=failures,
        failure_count=whole(told, "failure_count", len(failures)),
    )


def _failure(told: dict[str, Any]) -> FileFailure:
    path = told.get("path")
    if not isinstance(path, (bytes, str)):
        raise odd_field("path", path, "a path")
    return FileFailure(os.fsdecode(path), code_of(whole(told, "code", None)), text(told, "message"))


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

"""`windlass stage`."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import fields
from typing import Any

from .._errors import InvalidArgument, WindlassError
from .._stage import StageReport, Transfer, TransferReport, stage
from . import _files
from ._output import DONE, FAILED, PARTLY, Figure, bytes_text, error_record, print_json, print_table, printable

_FLAGS = [field.name for field in fields(Transfer) if field.name not in ("source", "target")]


def run(arguments: argparse.Namespace) -> int:
    transfers = _transfers(arguments)
    report = _staged(arguments, transfers)
    if arguments.json:
        print_json(_record(report))
    else:
        _print(report)
    if report.ok:
        return DONE
    return PARTLY if report.files or any(end.state == "done" for end in report.transfers) else FAILED


def _staged(arguments: argparse.Namespace, transfers: list[Transfer]) -> StageReport:
    progress = None if arguments.quiet or arguments.json or not sys.stderr.isatty() else True
    if not arguments.address and not arguments.daemon:
        return stage(transfers, progress=progress, on_error="report", roots=arguments.root, state=arguments.state)
    if arguments.root or arguments.state:
        raise InvalidArgument("--root and --state are for staging in this process; the daemon has its own")
    from .._client import Client

    with Client(arguments.address, keys=arguments.keys, server=arguments.server) as client:
        return client.stage(transfers, progress=progress, on_error="report")


def _transfers(arguments: argparse.Namespace) -> list[Transfer]:
    flags = {name: getattr(arguments, name) for name in _FLAGS}
    if arguments.batch is None:
        if arguments.source is None or arguments.target is None:
            raise InvalidArgument("give SRC and DST, or --from FILE; `windlass stage --help` says more")
        return [Transfer(arguments.source, arguments.target, **flags)]
    if arguments.source is not None:
        raise InvalidArgument("give either SRC and DST or --from FILE")
    rows = _files.read(arguments.batch)
    if not isinstance(rows, list):
        raise InvalidArgument(f'{arguments.batch}: give a list of {{"source": ..., "target": ...}}')
    return [_transfer(arguments.batch, number, row, flags) for number, row in enumerate(rows)]


def _transfer(path: str, number: int, row: Any, flags: dict[str, Any]) -> Transfer:
    where = f"{path}, entry {number}"
    if not isinstance(row, dict):
        raise InvalidArgument(f'{where}: give {{"source": ..., "target": ...}}')
    unknown = sorted(str(name) for name in set(row) - {"source", "target", *_FLAGS})
    if unknown:
        raise InvalidArgument(
            f"{where}: {', '.join(unknown)} is no field; there are source, target, {', '.join(_FLAGS)}"
        )
    missing = [name for name in ("source", "target") if name not in row]
    if missing:
        raise InvalidArgument(f"{where}: it has no {' and no '.join(missing)}")
    return Transfer(**{**flags, **row})


def _record(report: StageReport) -> dict[str, Any]:
    return {
        "ok": report.ok,
        "bytes": report.bytes,
        "files": report.files,
        "seconds": report.seconds,
        "rate": report.rate,
        "transfers": [_transfer_record(end) for end in report.transfers],
    }


def _transfer_record(end: TransferReport) -> dict[str, Any]:
    record = {field.name: getattr(end, field.name) for field in fields(end)}
    record |= {"source": os.fsdecode(end.source), "target": os.fsdecode(end.target)}
    if end.error is not None:
        failures = [failure._asdict() | {"code": failure.code.name} for failure in end.error.failures]
        record["error"] = error_record(end.error) | {"failures": failures, "failure_count": end.error.failure_count}
    return record


def _print(report: StageReport) -> None:
    ends = report.transfers
    rows = [
        (os.fsdecode(end.target), end.state, Figure(bytes_text(end.bytes)), end.files, end.checksum, end.engine or "-")
        for end in ends
    ]
    print_table(("TARGET", "STATE", "SIZE", "FILES", "CHECKSUM", "ENGINE"), rows)
    done = sum(end.state == "done" for end in ends)
    files = "1 file" if report.files == 1 else f"{report.files} files"
    speed = f"{bytes_text(report.bytes)} in {report.seconds:.2f} s, {bytes_text(report.rate)}/s"
    print(f"{done} of {len(ends)} done: {files}, {speed}")
    for end in ends:
        if end.error is not None:
            _print_error(end.error)
        for path, digest in (end.file_checksums or {}).items():
            print(f"{digest}  {printable(path)}")


def _print_error(error: WindlassError) -> None:
    print(f"windlass: {error.code.name}: {error}", file=sys.stderr)
    for failure in getattr(error, "failures", []):
        print(f"windlass:   {printable(failure.path)}: {failure.code.name}: {failure.message}", file=sys.stderr)

"""Staging: the names that users meet. `stage` runs in this process; `Client` and `Bridge` have it likewise."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from ._stage_encode import StageRequest, encode_transfers
from ._stage_future import StageFuture
from ._stage_progress import Counts, ProgressArgument, StageProgress
from ._stage_report import FileFailure, StageReport, TransferReport, report_from_body
from ._stage_transfer import Path, Transfer

__all__ = [
    "Counts",
    "FileFailure",
    "Path",
    "StageFuture",
    "StageProgress",
    "StageReport",
    "StageRequest",
    "Transfer",
    "TransferReport",
    "encode_transfers",
    "report_from_body",
    "stage",
]


def stage(
    transfers: Iterable[Transfer],
    *,
    progress: ProgressArgument = None,
    on_error: str = "raise",
    roots: Sequence[str | os.PathLike[str]] | None = None,
    state: str | os.PathLike[str] | None = None,
) -> StageReport:
    """Stages in this process and waits for the end: each target is complete or absent, whatever happens.

    progress  a callable (bytes done, bytes total or None, files done, files total or None), or True for a bar
    on_error  "raise": StageError once all have ended where one is not done, the report in it; "report": only reports
    roots     folders beneath which sources and targets must lie; None: your own rights are the limit
    state     a folder for the journal by which a later call resumes after a crash; None: no resume
    """
    from ._native_stage import stage_in_process

    return stage_in_process(transfers, progress=progress, on_error=on_error, roots=roots, state=state)

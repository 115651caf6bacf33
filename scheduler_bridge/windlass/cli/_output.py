"""What commands print: tables for people, JSON for programs, errors on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from .._errors import WindlassError
from .._stage_progress import size_text

DONE, FAILED, USAGE, PARTLY, INTERRUPTED = 0, 1, 2, 3, 130


def print_json(value: Any) -> None:
    print(json.dumps(value, indent=2, default=str))


def print_table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Columns as wide as they need to be; what is not printable is escaped. Numbers stand right."""
    cells = [[_cell(value) for value in row] for row in rows]
    numeric = [bool(rows) and all(_is_figure(row[column]) for row in rows) for column in range(len(header))]
    widths = [max(len(line[column]) for line in [list(header), *cells]) for column in range(len(header))]
    for line in [list(header), *cells]:
        parts = [
            text.rjust(width) if right else text.ljust(width)
            for text, width, right in zip(line, widths, numeric, strict=True)
        ]
        print("  ".join(parts).rstrip())


def print_error(error: BaseException, as_json: bool) -> None:
    """The error on stderr; for programs also as JSON on stdout, where they read."""
    if as_json:
        print_json({"error": error_record(error)})
    print(f"windlass: {_cell(error)}", file=sys.stderr)


def error_record(error: BaseException) -> dict[str, Any]:
    if isinstance(error, WindlassError):
        return {"code": error.code.name, "message": str(error), "retryable": error.retryable}
    return {"code": "UNKNOWN", "message": str(error), "retryable": False}


def bytes_text(count: float | None) -> str:
    return "-" if count is None else size_text(count)


class Figure(str):
    """Text of a number, which stands right in its column."""


def _is_figure(value: Any) -> bool:
    return value is None or isinstance(value, (int, float, Figure))


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    return printable(str(value))


def printable(text: str) -> str:
    """What cannot be shown, or would break the line, is escaped."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)

"""Tasks, offers and transfers from files of the usual kinds."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .._errors import InvalidArgument

# fields that stay text in a CSV, where everything is text to begin with
_WORDS = frozenset({"name", "node", "tenant", "group", "gang"})


def read(path: str) -> Any:
    """The content of a file; InvalidArgument where it cannot be understood, OSError where it cannot be read."""
    suffix = Path(path).suffix.lower()
    reader = _READERS.get(suffix)
    if reader is None:
        raise InvalidArgument(f"{path}: files end in {', '.join(_READERS)}", field="file", value=path)
    try:
        return reader(path)
    except OSError:
        raise
    except InvalidArgument:
        raise
    except Exception as error:  # each reader has errors of its own
        raise InvalidArgument(f"{path} cannot be read as {suffix[1:]}: {error}", field="file", value=path) from None


def _read_json(path: str) -> Any:
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def _read_lines(path: str) -> list[Any]:
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


def _read_yaml(path: str) -> Any:
    import yaml

    with open(path, encoding="utf-8") as file:
        return yaml.safe_load(file)


def _read_parquet(path: str) -> Any:
    try:
        import pyarrow.parquet
    except ImportError:
        raise InvalidArgument(f"{path}: Parquet needs pyarrow; install it, or give a CSV", field="file") from None
    return pyarrow.parquet.read_table(path)


def _read_csv(path: str) -> list[dict[str, Any]]:
    """A mapping per row; an empty cell is absent, and what reads as a number is one."""
    with open(path, encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file, strict=True)
        return [_row(path, rows.line_num, row) for row in rows]


def _row(path: str, line: int, row: dict[str | None, Any]) -> dict[str, Any]:
    if None in row or None in row.values():
        raise InvalidArgument(f"{path} line {line}: it has not as many cells as the header", field="file", value=path)
    return {name: _value(name, text) for name, text in row.items() if name is not None and text != ""}


def _value(name: str, text: str) -> Any:
    if name in _WORDS:
        return text
    for reading in (int, float):
        try:
            return reading(text)
        except ValueError:
            continue
    if text[0] in "[{":
        return json.loads(text)
    return text


_READERS: dict[str, Callable[[str], Any]] = {
    ".json": _read_json,
    ".jsonl": _read_lines,
    ".csv": _read_csv,
    ".yaml": _read_yaml,
    ".yml": _read_yaml,
    ".parquet": _read_parquet,
}

"""Tasks and offers: generated, or a user's own CSV files, and the files in which the nodes find their offers.

A CSV file has a column `name`; every other column is a dimension. An empty cell counts as 0.
"""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

from benchmarks import shapes

Record = dict[str, Any]


class InputError(Exception):
    """A fault of the user's file; the message names file, row and field."""


def write_csv(path: Path, records: list[Record]) -> None:
    dimensions = list(dict.fromkeys(dim for record in records for dim in record["resources"]))
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["name", *dimensions])
        for record in records:
            writer.writerow([record["name"], *(record["resources"].get(dim, 0.0) for dim in dimensions)])


def read_csv(path: Path) -> list[Record]:
    """`{"name": ..., "resources": {...}}` per row; every row has every dimension of the file."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            header = [word.strip() for word in next(reader, [])]
            _check_header(path, header)
            return _records(path, header, reader)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is no UTF-8 text ({error.reason} at byte {error.start})") from error
    except csv.Error as error:
        raise InputError(f"{path}: is no CSV file ({error})") from error


def _check_header(path: Path, header: list[str]) -> None:
    if "name" not in header:
        raise InputError(f"{path}, line 1: no column `name`; found {', '.join(header) or 'nothing'}")
    for word in header:
        if not word or header.count(word) > 1:
            raise InputError(f"{path}, line 1: column {word!r} is {'empty' if not word else 'there twice'}")


def _records(path: Path, header: list[str], reader: Any) -> list[Record]:
    records: list[Record] = []
    names: dict[str, int] = {}
    for row in reader:
        if not row:
            continue
        where = f"{path}, line {reader.line_num} (row {len(records)})"
        if len(row) != len(header):
            raise InputError(f"{where}: {len(row)} fields, and the header has {len(header)}")
        fields = dict(zip(header, (word.strip() for word in row), strict=True))
        name = fields.pop("name")
        if not name:
            raise InputError(f"{where}, field name: is empty")
        if name in names:
            raise InputError(f"{where}, field name: {name!r} is the name of row {names[name]} too")
        names[name] = len(records)
        records.append({"name": name, "resources": {dim: _amount(where, dim, word) for dim, word in fields.items()}})
    return records


def _amount(where: str, field: str, word: str) -> float:
    if not word:
        return 0.0
    try:
        value = float(word)
    except ValueError:
        raise InputError(f"{where}, field {field}: {word!r} is no number") from None
    if not math.isfinite(value) or value < 0:
        raise InputError(f"{where}, field {field}: {word} is no amount; finite numbers from 0 up are")
    return value


def generated(count: int, folder: Path, seed: int = 3) -> tuple[Path, Path]:
    """Writes tasks.csv and offers.csv with `count` rows each."""
    paths = folder / "tasks.csv", folder / "offers.csv"
    write_csv(paths[0], shapes.tasks(count, seed))
    write_csv(paths[1], shapes.offers(count, seed))
    return paths


def write_node_offers(records: list[Record], nodes: list[str], folder: Path) -> tuple[dict[str, Path], dict[str, str]]:
    """Deals the offers out to the nodes, one `offers.file` each; answers those and {offer as reported: user's name}."""
    files: dict[str, Path] = {}
    names: dict[str, str] = {}
    for number, node in enumerate(nodes):
        mine = records[number :: len(nodes)]
        offers = [{"name": f"{node}/{k}", "resources": offer["resources"]} for k, offer in enumerate(mine)]
        names.update((offer["name"], own["name"]) for offer, own in zip(offers, mine, strict=True))
        files[node] = folder / f"offers-{node}.json"
        files[node].write_text(json.dumps(offers))
    return files, names

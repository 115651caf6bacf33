"""A public trace of a production cluster (8,152 tasks, 1,523 machines) through every path: one answer.

The files stay outside of the project: $WINDLASS_TRACE_DIR names the folder with `openb/` in it.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import windlass
from support import same
from windlass import _native, legacy
from windlass._match import solve

FOLDER = Path(os.environ.get("WINDLASS_TRACE_DIR", "/nowhere")) / "openb"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="WINDLASS_TRACE_DIR does not name the folder of the trace")

Rows = list[dict[str, Any]]
Matcher = Callable[..., windlass.MatchResult]


def rows(name: str) -> list[dict[str, str]]:
    with (FOLDER / name).open(newline="") as lines:
        return list(csv.DictReader(lines))


@pytest.fixture(scope="module")
def plain() -> tuple[Rows, Rows]:
    """Amounts alone; shares of a GPU are thousandths."""
    tasks = [
        {
            "name": row["name"],
            "cpu": int(row["cpu_milli"]) / 1000,
            "memory": int(row["memory_mib"]),
            "gpu": int(row["num_gpu"]) * int(row["gpu_milli"]) / 1000,
            "priority": {"LS": 2, "Guaranteed": 2, "Burstable": 1}.get(row["qos"], 0),
        }
        for row in rows("openb_pod_list_default.csv")
    ]
    offers = [
        {
            "name": row["sn"],
            "cpu": int(row["cpu_milli"]) / 1000,
            "memory": int(row["memory_mib"]),
            "gpu": int(row["gpu"]),
            "price": (int(row["cpu_milli"]) / 1000 + 20 * int(row["gpu"])) / 64,
        }
        for row in rows("openb_node_list_all_node.csv")
    ]
    return tasks, offers


@pytest.fixture(scope="module")
def with_devices() -> tuple[Rows, Rows]:
    """GPUs as devices, their models as labels."""

    def task(row: dict[str, str]) -> dict[str, Any]:
        made: dict[str, Any] = {"name": row["name"], "resources": {"cpu": int(row["cpu_milli"]) / 1000}}
        made["resources"]["memory"] = int(row["memory_mib"])
        count = int(row["num_gpu"])
        if count:
            made["devices"] = {"gpu": int(row["gpu_milli"]) / 1000 if count == 1 else count}
        if row["gpu_spec"]:
            made["labels"] = {"model": row["gpu_spec"].split("|")}
        return made

    def offer(row: dict[str, str]) -> dict[str, Any]:
        made: dict[str, Any] = {"name": row["sn"], "resources": {"cpu": int(row["cpu_milli"]) / 1000}}
        made["resources"]["memory"] = int(row["memory_mib"])
        if int(row["gpu"]):
            made |= {"devices": {"gpu": [1] * int(row["gpu"])}, "labels": {"model": row["model"]}}
        return made

    tasks = [task(row) for row in rows("openb_pod_list_gpuspec33.csv")]
    return tasks, [offer(row) for row in rows("openb_node_list_all_node.csv")]


@pytest.fixture(scope="module")
def paths() -> Iterator[dict[str, Matcher]]:
    """Each way to an answer but legacy; none of them falls back."""

    def by(backend: Any) -> Matcher:
        return lambda tasks, offers, **options: solve(tasks, offers, backend=backend, fallback=False, **options)

    with windlass.LocalNode() as node, node.client() as ipc, windlass.Client(node.tcp_address) as tcp:
        found = {"ipc": by(ipc.place), "tcp": by(tcp.place)}
        if _native.available():
            found["in process"] = by(_native.place)
        yield found


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"mode": "packing"},
        {"ties": "swap_remove"},
        {"policy": "cost", "mode": "packing"},
        {"policy": "dot_product", "mode": "packing"},
        {"policy": "worst_fit"},
    ],
    ids=str,
)
def test_amounts(paths: dict[str, Matcher], plain: tuple[Rows, Rows], options: dict[str, Any]):
    tasks, offers = plain
    if options.get("policy") != "cost":
        offers = [{key: value for key, value in offer.items() if key != "price"} for offer in offers]
    want = legacy.match(tasks, offers, **options)
    assert len(want.assignments) > 1000
    for name, matcher in paths.items():
        assert same(matcher(tasks, offers, **options), want, tasks), name


@pytest.mark.parametrize("mode", ["exclusive", "packing"])
def test_devices_and_labels(paths: dict[str, Matcher], with_devices: tuple[Rows, Rows], mode: str):
    tasks, offers = with_devices
    want = legacy.match(tasks, offers, mode=mode)
    assert len(want.assignments) > 500
    for name, matcher in paths.items():
        result = matcher(tasks, offers, mode=mode)
        assert same(result, want, tasks), name
        assert all(result.devices(task["name"]) == want.devices(task["name"]) for task in tasks), name

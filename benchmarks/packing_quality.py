"""How much of a cluster's GPUs is put to use when tasks arrive one at a time until there are too many of them?

The cluster and the tasks are those of a published trace (`$WINDLASS_TRACE_DIR`, folder `openb`): the list of tasks is
shuffled, again and again, until the tasks so drawn ask for 130 % of all GPUs, and they are placed in that order
(`fragmentation` knows beforehand how often each demand occurs, as the authors' own policy does). A row's runs are ten
seeds. Rows `published:...` are what the authors of the trace report for it; they are no measurement of ours.
"""

from __future__ import annotations

import csv
import os
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import windlass

from benchmarks.harness import CannotRun, Row, WrongAnswer

UNIT, BETTER = "% of all GPUs", "more"
LISTS = {"default": "openb_pod_list_default.csv", "gpuspec33": "openb_pod_list_gpuspec33.csv"}
CASES = ("default", "gpuspec33")
QUICK_CASES = ("default",)
ROUNDS = 10  # seeds
LOAD = 1.3
PUBLISHED = {"best_fit": 93.1, "dot_product": 90.8, "fgd": 95.4}  # of the default list

WAYS: dict[str, dict[str, Any]] = {
    "best_fit": {"policy": "best_fit"},
    "best_fit:gpu": {"policy": "best_fit", "weights": {"cpu": 0.0, "memory": 0.0, "gpu": 1.0}},
    "dot_product": {"policy": "dot_product"},
    "dot_product:cpu": {"policy": "dot_product", "weights": {"cpu": 3.0, "memory": 1.0, "gpu": 0.25}},
    "worst_fit": {"policy": "worst_fit"},
    "fragmentation": {"policy": "fragmentation"},
}


def parse_case(case: str) -> str:
    """The file of a list of tasks."""
    if case not in LISTS:
        raise ValueError(f"case {case!r}: expected {' or '.join(LISTS)}")
    return LISTS[case]


def run(
    case: str, *, rounds: int, quick: bool, who: list[str] | None, folder: Path | None, say: Callable[[str], None]
) -> list[Row]:
    del quick, folder
    trace = Trace(parse_case(case))
    rows = []
    for name, options in WAYS.items():
        if who and not f"windlass:{name}".startswith(tuple(who)):
            continue
        shares, seconds = [], []
        for seed in range(rounds):
            say(f"{case}: seed {seed + 1} of {rounds}, {name}")
            arrivals = trace.arrivals(seed)
            begin = time.perf_counter()
            result = windlass.match(arrivals, trace.offers, mode="packing", **options)
            seconds.append(time.perf_counter() - begin)
            shares.append(100.0 * trace.share(arrivals, result))
        rows.append(_row(case, f"windlass:{name}", shares, seconds=statistics.median(seconds)))
    if case == "default" and not who:
        rows += [_row(case, f"published:{name}", [share]) for name, share in PUBLISHED.items()]
    return rows


def _row(case: str, who: str, shares: list[float], **more: Any) -> Row:
    return {
        "case": case,
        "who": who,
        "median": statistics.median(shares),
        "mean": statistics.fmean(shares),
        "min": min(shares),
        "max": max(shares),
        "runs": len(shares),
        **more,
    }


class Trace:
    """The machines as offers, and tasks to draw from. Raises CannotRun where the trace can't be had."""

    def __init__(self, tasks_file: str) -> None:
        top = os.environ.get("WINDLASS_TRACE_DIR")
        if not top or not (Path(top) / "openb").is_dir():
            raise CannotRun("WINDLASS_TRACE_DIR does not name the folder with `openb/`, the public trace, in it")
        self.folder = Path(top) / "openb"
        self.offers = [
            {
                "name": row["sn"],
                "resources": {"cpu": int(row["cpu_milli"]) / 1000, "memory": int(row["memory_mib"])},
                "devices": {"gpu": [1] * int(row["gpu"])},
                "labels": {"model": row["model"]},
            }
            for row in self._read("openb_node_list_all_node.csv")
        ]
        self.tasks = [_task(row) for row in self._read(tasks_file)]
        self.gpus = sum(len(offer["devices"]["gpu"]) for offer in self.offers)

    def _read(self, name: str) -> list[dict[str, str]]:
        with (self.folder / name).open(newline="") as lines:
            return list(csv.DictReader(lines))

    def arrivals(self, seed: int) -> list[Row]:
        """Tasks in the order they come, until they ask for 130 % of the GPUs."""
        draw = random.Random(f"arrivals {seed}")
        found: list[Row] = []
        asked = 0.0
        while True:
            for task in draw.sample(self.tasks, len(self.tasks)):
                if asked >= LOAD * self.gpus:
                    return found
                asked += task["devices"]["gpu"]
                found.append({**task, "name": len(found)})

    def share(self, arrivals: list[Row], result: windlass.MatchResult) -> float:
        """Of all GPUs what the placed tasks hold. Raises WrongAnswer where an offer holds more than it has."""
        held: dict[str, float] = {}
        for name, offer in result.assignments.items():
            held[offer] = held.get(offer, 0.0) + arrivals[name]["devices"]["gpu"]
        for offer in self.offers:
            if held.get(offer["name"], 0.0) > len(offer["devices"]["gpu"]) + 1e-6:
                raise WrongAnswer(f"{offer['name']} was given more than the GPUs it has")
        return sum(held.values()) / self.gpus


def _task(row: dict[str, str]) -> Row:
    count = int(row["num_gpu"])
    task: Row = {
        "name": row["name"],
        "resources": {"cpu": int(row["cpu_milli"]) / 1000, "memory": int(row["memory_mib"])},
        "devices": {"gpu": int(row["gpu_milli"]) / 1000 if count == 1 else count},
    }
    if row["gpu_spec"]:
        task["labels"] = {"model": row["gpu_spec"].split("|")}
    return task

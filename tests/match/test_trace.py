"""The public trace of a production cluster, where it can be had: the library and legacy agree on all of it."""

import csv
import os
from pathlib import Path

import pytest
import windlass

from . import support

FOLDER = os.environ.get("WINDLASS_TRACE_DIR")
pytestmark = pytest.mark.skipif(not FOLDER, reason="WINDLASS_TRACE_DIR is unset: the trace is kept outside the project")


def rows(name):
    with (Path(FOLDER or "") / "openb" / name).open(newline="") as lines:
        return list(csv.DictReader(lines))


def offers():
    return [
        {
            "name": row["sn"],
            "resources": {"cpu": int(row["cpu_milli"]) / 1000, "memory": int(row["memory_mib"])},
            "devices": {"gpu": [1] * int(row["gpu"])},
            "labels": {"model": row["model"]},
        }
        for row in rows("openb_node_list_all_node.csv")
    ]


def tasks(name, conditions):
    found = []
    for row in rows(name):
        count = int(row["num_gpu"])
        task = {
            "name": row["name"],
            "resources": {"cpu": int(row["cpu_milli"]) / 1000, "memory": int(row["memory_mib"])},
            "devices": {"gpu": int(row["gpu_milli"]) / 1000 if count == 1 else count},
        }
        if conditions and row["gpu_spec"]:
            task["labels"] = {"model": row["gpu_spec"].split("|")}
        found.append(task)
    return found


@pytest.mark.parametrize("policy", ("best_fit", "worst_fit", "dot_product"))
@pytest.mark.parametrize("name", ("openb_pod_list_default.csv", "openb_pod_list_gpuspec33.csv"))
def test_every_way_places_the_trace_alike(name, policy):
    given = tasks(name, conditions=True)
    answers = []
    for matcher in support.paths().values():
        result = matcher(given, offers(), mode="packing", policy=policy)
        scores = [result.score(task["name"]) for task in given]
        answers.append((result.assignments, result.unmatched, scores, [result.devices(t["name"]) for t in given]))
    assert len(answers[0][0]) > 4000
    assert all(each == answers[0] for each in answers)


def test_fragmentation_beyond_what_the_sampled_machines_hold():
    given, machines = tasks("openb_pod_list_default.csv", conditions=True)[::5], offers()[::7]
    answers = []
    for name, matcher in support.paths().items():
        if name == "general":
            continue  # the same as legacy here
        result = matcher(given, machines, mode="packing", policy="fragmentation")
        scores = [result.score(task["name"]) for task in given]
        answers.append((result.assignments, scores, [result.devices(t["name"]) for t in given]))
    demands = {str((task["resources"], task["devices"])) for task in given if task["devices"]["gpu"]}
    assert len(demands) > 64 and 0 < len(answers[0][0]) < len(given)
    assert all(each == answers[0] for each in answers)


def test_the_trace_exclusive_and_explained():
    given = tasks("openb_pod_list_default.csv", conditions=False)
    result = windlass.legacy.match(given, offers())
    assert len(result.assignments) > 1000
    told = result.explain(result.unmatched[0])
    assert told.reasons["taken"]["short"] > 0 and told.nearest is not None

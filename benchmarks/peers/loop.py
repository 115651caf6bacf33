"""The loop that teams have today, over mappings and over objects, alone, on threads, and over processes.

For each task it looks at every free offer, skips those that are short of anything, and keeps the one that would be
left with the least, each dimension measured against the largest offer. A used offer's place is taken by the last of
the list.
All peers do the same float operations in the same order, so their answers are equal to the last task.
"""

from __future__ import annotations

import concurrent.futures
import itertools
import multiprocessing
from collections.abc import Callable, Sequence
from typing import Any

Progress = Callable[[int, int], None]


def largest(offers: Sequence[dict[str, Any]], dimensions: Sequence[str]) -> dict[str, float]:
    """The largest offer in each dimension; 1 where none has any, so that it can be divided by."""
    return {dim: max((offer["resources"][dim] for offer in offers), default=0.0) or 1.0 for dim in dimensions}


def match_mappings(
    tasks: Sequence[dict[str, Any]],
    offers: Sequence[dict[str, Any]],
    weights: dict[str, float],
    progress: Progress | None = None,
) -> dict[str, str]:
    """{offer name: task name}. Records as of `benchmarks.shapes`; `progress` gets (tasks done, tasks)."""
    most = largest(offers, list(weights))
    free = list(offers)
    placed: dict[str, str] = {}
    for done, task in enumerate(tasks):
        best = _best_mapping(task, free, weights, most)
        if best >= 0:
            placed[free[best]["name"]] = task["name"]
            free[best] = free[-1]
            free.pop()
        if progress is not None and done % 100 == 0:
            progress(done, len(tasks))
    return placed


def _best_mapping(
    task: dict[str, Any], free: list[dict[str, Any]], weights: dict[str, float], most: dict[str, float]
) -> int:
    best, best_score = -1, float("inf")
    wanted = task["resources"]
    for position, offer in enumerate(free):
        available = offer["resources"]
        score = 0.0
        for dim, weight in weights.items():
            left = available[dim] - wanted[dim]
            if left < 0:
                break
            score += weight * left / most[dim]
        else:
            if score < best_score:
                best, best_score = position, score
    return best


class Row:
    """A record with attributes, as schedulers that care for memory hold it."""

    __slots__ = ("cpu", "gpu", "memory", "name")

    def __init__(self, name: str, cpu: float, memory: float, gpu: float) -> None:
        self.name = name
        self.cpu = cpu
        self.memory = memory
        self.gpu = gpu


def rows(records: Sequence[dict[str, Any]]) -> list[Row]:
    return [Row(record["name"], **record["resources"]) for record in records]


def match_slots(tasks: Sequence[Row], offers: Sequence[Row], weights: dict[str, float]) -> dict[str, str]:
    """The same loop over objects with slots, the dimensions written out."""
    top = [max((getattr(offer, dim) for offer in offers), default=0.0) or 1.0 for dim in ("cpu", "memory", "gpu")]
    free = list(offers)
    placed: dict[str, str] = {}
    for task in tasks:
        best = _best_slots(task, free, 0, len(free), weights, top)[0]
        if best >= 0:
            placed[free[best].name] = task.name
            free[best] = free[-1]
            free.pop()
    return placed


def _best_slots(
    task: Row, free: list[Row], begin: int, end: int, weights: dict[str, float], top: list[float]
) -> tuple[int, float]:
    weight_cpu, weight_memory, weight_gpu = weights["cpu"], weights["memory"], weights["gpu"]
    top_cpu, top_memory, top_gpu = top
    task_cpu, task_memory, task_gpu = task.cpu, task.memory, task.gpu
    best, best_score = -1, float("inf")
    for position in range(begin, end):
        offer = free[position]
        if offer.cpu < task_cpu or offer.memory < task_memory or offer.gpu < task_gpu:
            continue
        score = 0.0 + weight_cpu * (offer.cpu - task_cpu) / top_cpu
        score += weight_memory * (offer.memory - task_memory) / top_memory
        score += weight_gpu * (offer.gpu - task_gpu) / top_gpu
        if score < best_score:
            best, best_score = position, score
    return best, best_score


def match_threads(
    tasks: Sequence[Row], offers: Sequence[Row], weights: dict[str, float], threads: int
) -> dict[str, str]:
    """The scan of each task shared among threads, which is what a first idea for more speed looks like."""
    top = [max((getattr(offer, dim) for offer in offers), default=0.0) or 1.0 for dim in ("cpu", "memory", "gpu")]
    free = list(offers)
    placed: dict[str, str] = {}
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        for task in tasks:
            cuts = [len(free) * part // threads for part in range(threads + 1)]
            parts = pool.map(_best_slots, *_arguments(task, free, cuts, weights, top))
            best, _ = _smallest(list(parts))
            if best >= 0:
                placed[free[best].name] = task.name
                free[best] = free[-1]
                free.pop()
    return placed


def _arguments(task: Row, free: list[Row], cuts: list[int], weights: Any, top: Any) -> list[list[Any]]:
    parts = len(cuts) - 1
    return [[task] * parts, [free] * parts, cuts[:-1], cuts[1:], [weights] * parts, [top] * parts]


def _smallest(parts: list[tuple[int, float]]) -> tuple[int, float]:
    best = (-1, float("inf"))
    for part in parts:
        if part[1] < best[1]:
            best = part
    return best


def match_processes(
    tasks: Sequence[Row], offers: Sequence[Row], weights: dict[str, float], processes: int
) -> dict[str, str]:
    """The same over processes: every task pays for sending the free offers to each of them."""
    top = [max((getattr(offer, dim) for offer in offers), default=0.0) or 1.0 for dim in ("cpu", "memory", "gpu")]
    free = list(offers)
    placed: dict[str, str] = {}
    with concurrent.futures.ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        for task in tasks:
            cuts = [len(free) * part // processes for part in range(processes + 1)]
            pieces = [free[begin:end] for begin, end in itertools.pairwise(cuts)]
            asked = [pool.submit(_best_slots, task, piece, 0, len(piece), weights, top) for piece in pieces]
            parts = [_moved(future.result(), begin) for future, begin in zip(asked, cuts, strict=False)]
            best, _ = _smallest(parts)
            if best >= 0:
                placed[free[best].name] = task.name
                free[best] = free[-1]
                free.pop()
    return placed


def _moved(part: tuple[int, float], by: int) -> tuple[int, float]:
    return (part[0] + by if part[0] >= 0 else -1, part[1])

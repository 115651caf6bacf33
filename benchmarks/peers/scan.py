"""The plain SIMD scan (`simd_scan/scan.cpp`, built by `benchmarks/build_peers`) as a backend of `windlass.match`."""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np
from windlass._problem import Placement, Problem

LIBRARY = Path(__file__).resolve().parents[2] / "build" / "peers" / "libsimd_scan.so"
ABSENT = None if LIBRARY.exists() else "not built: benchmarks/build_peers needs a C++ compiler"


def place(problem: Problem) -> Placement:
    """Best fit with stable ties and no more than three dimensions; scores are not told."""
    library = ctypes.CDLL(str(LIBRARY))
    count = len(problem.dimensions)
    if problem.policy != "best_fit" or problem.ties != "stable" or problem.constraints or problem.priority is not None:
        raise NotImplementedError("the plain scan knows best fit only")
    keep = []

    def table(columns: list[np.ndarray | None], rows: int) -> ctypes.Array[ctypes.c_void_p]:
        arrays = [np.zeros(rows, np.int64) if column is None else column for column in columns]
        keep.append(arrays)
        return (ctypes.c_void_p * count)(*[array.ctypes.data for array in arrays])

    weights = []
    for weight, column in zip(problem.weights, problem.offer_amounts, strict=True):
        largest = 0 if column is None else int(column.max(initial=0))
        whole = weight * 2**64 // largest if largest else 0
        weights += [whole >> 64, whole & (2**64 - 1)]
    halves = np.array(weights, dtype=np.uint64)
    found = np.empty(problem.tasks, dtype=np.int32)
    library.simd_scan(
        ctypes.c_int64(count),
        ctypes.c_int64(problem.tasks),
        ctypes.c_int64(problem.offers),
        table(problem.task_amounts, problem.tasks),
        table(problem.offer_amounts, problem.offers),
        ctypes.c_void_p(halves.ctypes.data),
        ctypes.c_int32(problem.mode == "packing"),
        ctypes.c_void_p(found.ctypes.data),
    )
    order = np.arange(problem.tasks, dtype=np.int32)
    none = np.zeros(problem.tasks, dtype=np.int64)
    return Placement(found, order, none, none.astype(np.uint64), engine="simd-scan")

"""The library in this process, by ctypes (plugin/include/windlass/windlass.h).

The library is looked for at `$WINDLASS_LIBRARY`, then inside the package. It is loaded once; where it cannot be had
each call says so as `Unavailable`, with what to do. ctypes releases the GIL around every call.
"""

from __future__ import annotations

import ctypes
import os
import threading
import weakref
from collections.abc import Callable
from ctypes import POINTER, byref, c_char, c_char_p, c_double, c_int32, c_int64, c_size_t, c_uint32, c_uint64, c_void_p
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ._errors import Unavailable, WindlassError, error_of
from ._problem import I32, Placement, Problem
from .legacy._amounts import Cut

ABI_VERSION = 1
BUNDLED = Path(__file__).parent / "_native" / "libwindlass.so"

_CUT_KINDS = {"offer": 0, "task": 1, "cap": 2, "share": 3}
_MODES = {"exclusive": 0, "packing": 1}
_POLICIES = {"best_fit": 0, "worst_fit": 1, "dot_product": 2, "cost": 3, "fragmentation": 4}
_TIES = {"stable": 0, "swap_remove": 1}
_ENGINES = {0: "scalar", 1: "avx2", 2: "avx512", 3: "neon"}
_COLUMN_TYPES = {"int32": 0, "int64": 1, "uint64": 2}
_SIDES = {1: "tasks", 2: "offers", 3: "options"}


class Error(ctypes.Structure):
    """`windlass_error`."""

    _fields_ = (
        ("size", c_uint32),
        ("code", c_int32),
        ("side", c_int32),
        ("retryable", c_int32),
        ("row", c_int64),
        ("retry_after_ms", c_int64),
        ("field", c_char * 128),
        ("message", c_char * 1024),
    )


class _Column(ctypes.Structure):
    _fields_ = (("data", c_void_p), ("count", c_uint64), ("type", c_uint32), ("reserved", c_uint32))


class Request(ctypes.Structure):
    """`windlass_match_request`."""

    _fields_ = (
        ("size", c_uint32),
        ("mode", c_uint32),
        ("policy", c_uint32),
        ("ties", c_uint32),
        ("normalize", c_uint32),
        ("threads", c_uint32),
        ("dimensions", c_uint32),
        ("has_max_score", c_uint32),
        ("max_score", c_double),
        ("max_price", c_int64),
        ("tasks", c_uint64),
        ("offers", c_uint64),
        ("task_amounts", c_void_p),
        ("offer_amounts", c_void_p),
        ("weights", c_void_p),
        ("scale", c_void_p),
        ("priority", c_void_p),
        ("price", c_void_p),
        ("constraints", c_void_p),
        ("constraints_bytes", c_uint64),
        ("columns", c_void_p),
        ("columns_count", c_uint64),
    )


class _View(ctypes.Structure):
    _fields_ = (
        ("size", c_uint32),
        ("engine", c_uint32),
        ("tasks", c_uint64),
        ("placed", c_uint64),
        ("offer_index", c_void_p),
        ("order", c_void_p),
        ("score_high", c_void_p),
        ("score_low", c_void_p),
        ("price_added", c_void_p),
        ("device_begin", c_void_p),
        ("device_dimension", c_void_p),
        ("device_index", c_void_p),
        ("offer_number", c_void_p),
        ("version", c_uint64),
    )


class Library(ctypes.CDLL):
    """The library. Through `held` go calls that are over at once: they keep the GIL, for who gives it up beside a busy
    thread waits 5 ms to have it again."""

    held: ctypes.PyDLL


_lock = threading.Lock()
_loaded: tuple[str, Library | Unavailable] | None = None


def library() -> Library:
    """The library, loaded on the first call. Raises `Unavailable` where there is none that fits. Any thread."""
    global _loaded
    named = os.environ.get("WINDLASS_LIBRARY", "")
    with _lock:
        if _loaded is None or _loaded[0] != named:
            _loaded = (named, _load(Path(named) if named else BUNDLED))
        found = _loaded[1]
    if isinstance(found, Unavailable):
        raise Unavailable(str(found), retryable=False)
    return found


def available() -> bool:
    """Whether the library can be had."""
    try:
        library()
    except Unavailable:
        return False
    return True


def _load(path: Path) -> Library | Unavailable:
    if not path.exists():
        return Unavailable(
            f"no library at {path}: run `make build`, or set WINDLASS_LIBRARY to where libwindlass.so is"
        )
    try:
        found = Library(str(path))
        found.held = ctypes.PyDLL(str(path))
        found.windlass_abi_version.restype = c_uint32
        version = found.windlass_abi_version()
        _declare(found)
    except (OSError, AttributeError) as error:
        return Unavailable(f"{path} cannot be loaded ({error}): build it again with `make build`")
    if version != ABI_VERSION:
        return Unavailable(
            f"{path} speaks version {version} of the interface, this package {ABI_VERSION}: build them together"
        )
    return found


def _declare(found: Library) -> None:
    found.windlass_version.restype = c_char_p
    found.windlass_cut_amounts.argtypes = [c_void_p, c_size_t, ctypes.c_int, c_void_p, POINTER(Error)]
    found.windlass_cut_columns.argtypes = [c_void_p, c_size_t, c_size_t, ctypes.c_int, c_void_p, POINTER(Error)]
    found.windlass_match.argtypes = [POINTER(Request), POINTER(c_void_p), POINTER(Error)]
    found.held.windlass_match_begin.argtypes = [POINTER(Request), POINTER(c_void_p), POINTER(Error)]
    found.windlass_match_wait.argtypes = [c_void_p, POINTER(c_void_p), POINTER(Error)]
    found.windlass_check_placement.argtypes = [c_void_p, c_void_p, c_uint64, c_uint64, ctypes.c_int, POINTER(Error)]
    found.held.windlass_match_view_of.argtypes = [c_void_p, POINTER(_View)]
    found.held.windlass_match_view_of.restype = None
    found.windlass_match_free.argtypes = [c_void_p]
    found.windlass_match_free.restype = None


def new_error() -> Error:
    """An empty error for a call to fill."""
    error = Error()
    error.size = ctypes.sizeof(Error)
    return error


def error_from(error: Error, code: int) -> WindlassError:
    """The error of the tree for one that the library filled."""
    retry_after = error.retry_after_ms / 1000.0 if error.retry_after_ms > 0 else None
    message = error.message.decode("utf-8", "replace") or f"the library answered code {code}"
    made = error_of(code, message, retryable=bool(error.retryable), retry_after=retry_after)
    for attribute, value in (
        ("side", _SIDES.get(error.side)),
        ("row", int(error.row) if error.row >= 0 else None),
        ("field", error.field.decode("utf-8", "replace") or None),
    ):
        setattr(made, attribute, value)
    return made


class _Cut(Cut):
    """By the library."""

    def __call__(self, values: npt.NDArray[np.float64], kind: str) -> npt.NDArray[np.int64]:
        found = library()
        values = np.ascontiguousarray(values, dtype=np.float64)
        amounts = np.empty(len(values), dtype=np.int64)
        error = new_error()
        code = found.windlass_cut_amounts(
            values.ctypes.data, len(values), _CUT_KINDS[kind], amounts.ctypes.data, byref(error)
        )
        if code:
            raise error_from(error, code)
        return amounts

    def columns(self, columns: list[npt.NDArray[np.float64]], kind: str) -> npt.NDArray[np.int64] | None:
        found = library()
        keep: list[Any] = []
        table = column_table([np.ascontiguousarray(column) for column in columns], keep)
        amounts = np.empty((len(columns), len(columns[0])), dtype=np.int64)
        code = found.windlass_cut_columns(
            table, len(columns), len(columns[0]), _CUT_KINDS[kind], amounts.ctypes.data, None
        )
        return None if code else amounts


cut = _Cut()

MANY_ROWS = 10_000  # of tasks and offers, from which on a thread for the engine pays


def place(problem: Problem, meanwhile: Callable[[], None] | None = None) -> Placement:
    """The in-process backend. `meanwhile` is called before the answer is looked at, of many rows while the engine works
    in a thread of the library's."""
    if meanwhile is not None and problem.tasks + problem.offers < MANY_ROWS:
        meanwhile()
        meanwhile = None
    found = library()
    keep: list[Any] = []
    request, result, error = request_of(problem, keep), c_void_p(), new_error()
    if meanwhile is None:
        code = found.windlass_match(byref(request), byref(result), byref(error))
    else:
        code = _match_beside(found, request, result, error, meanwhile)
    if code:
        raise error_from(error, code)
    return take_result(found, result)[0]


def _match_beside(
    found: Library, request: Request, result: c_void_p, error: Error, meanwhile: Callable[[], None]
) -> int:
    job = c_void_p()
    code: int = found.held.windlass_match_begin(byref(request), byref(job), byref(error))
    if code:
        return code
    try:
        meanwhile()
    except BaseException:
        found.windlass_match_wait(job, byref(result), None)
        found.windlass_match_free(result)
        raise
    return int(found.windlass_match_wait(job, byref(result), byref(error)))


def odd_placement(offer_index: I32, order: I32, tasks: int, offers: int, mode: str) -> str:
    """Why columns of so many tasks cannot be an answer; "" where they can."""
    error = new_error()
    index, order = np.require(offer_index, requirements=["A", "C"]), np.require(order, requirements=["A", "C"])
    code = library().windlass_check_placement(
        index.ctypes.data, order.ctypes.data, tasks, offers, _MODES[mode], byref(error)
    )
    return str(error_from(error, code)) if code else ""


class _Result:
    """What the library answered, freed with the last array over it."""

    def __init__(self, found: Library, result: c_void_p) -> None:
        self.view = _View()
        self.view.size = ctypes.sizeof(_View)
        found.held.windlass_match_view_of(result, byref(self.view))
        weakref.finalize(self, found.windlass_match_free, result).atexit = False

    def array(self, address: int | None, count: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """An array over what stands there; zeros where there is nothing."""
        if not address or not count:
            return np.zeros(count, dtype=dtype)
        return np.asarray(_Piece(self, address, count, np.dtype(dtype)))


class _Piece:
    """A part of a result, as numpy takes it."""

    def __init__(self, owner: _Result, address: int, count: int, dtype: np.dtype[Any]) -> None:
        self._owner = owner
        self.__array_interface__ = {"version": 3, "data": (address, True), "shape": (count,), "typestr": dtype.str}


def take_result(found: Library, result: c_void_p) -> tuple[Placement, int]:
    """A Placement over a result, which is freed with it, and its version."""
    own = _Result(found, result)
    return _placement_of(own), int(own.view.version)


def column_table(columns: list[npt.NDArray[np.int64] | None], keep: list[Any]) -> int:
    """The address of a table of columns' addresses; what it points to is put into `keep`."""
    keep += columns
    pointers = (c_void_p * max(1, len(columns)))(*[None if c is None else c.ctypes.data for c in columns])
    keep.append(pointers)
    return ctypes.addressof(pointers)


def columns_of(columns: list[npt.NDArray[Any]]) -> Any:
    """The columns that `constraints` refers to, as C structs; the columns must outlive them."""
    made = (_Column * max(1, len(columns)))()
    for column, array in zip(made, columns, strict=False):
        column.data = array.ctypes.data
        column.count = len(array)
        column.type = _COLUMN_TYPES[array.dtype.name]
    return made


def request_of(problem: Problem, keep: list[Any]) -> Request:
    """The C struct; everything it points to is put into `keep`."""

    def pointer(array: npt.NDArray[Any] | None) -> int | None:
        if array is None:
            return None
        keep.append(array)
        return int(array.ctypes.data)

    request = Request()
    request.size = ctypes.sizeof(Request)
    request.mode = _MODES[problem.mode]
    request.policy = _POLICIES[problem.policy]
    request.ties = _TIES[problem.ties]
    request.normalize = int(problem.normalize)
    request.threads = 1
    request.dimensions = len(problem.dimensions)
    request.has_max_score = int(problem.max_score is not None)
    request.max_score = problem.max_score or 0.0
    request.max_price = -1 if problem.max_price is None else problem.max_price
    request.tasks, request.offers = problem.tasks, problem.offers
    request.task_amounts = column_table(problem.task_amounts, keep)
    request.offer_amounts = column_table(problem.offer_amounts, keep)
    request.weights = pointer(np.array(problem.weights, dtype=np.int64))
    request.scale = pointer(np.array(problem.scale, dtype=np.int64))
    request.priority = pointer(problem.priority)
    request.price = pointer(problem.price)
    if problem.constraints:
        _add_constraints(request, problem, keep)
    return request


def _add_constraints(request: Request, problem: Problem, keep: list[Any]) -> None:
    import msgpack

    packed = msgpack.packb(problem.constraints, use_bin_type=True)
    buffer = ctypes.create_string_buffer(packed, len(packed))
    columns = columns_of(problem.columns)
    keep += [buffer, columns, problem.columns]
    request.constraints = ctypes.addressof(buffer)
    request.constraints_bytes = len(packed)
    request.columns = ctypes.addressof(columns)
    request.columns_count = len(problem.columns)


def array_at(address: int | None, count: int, dtype: Any) -> npt.NDArray[Any]:
    """A copy of what stands at an address; zeros where there is nothing."""
    size = count * np.dtype(dtype).itemsize
    if not address or not size:
        return np.zeros(count, dtype=dtype)
    return np.frombuffer(ctypes.string_at(address, size), dtype=dtype)


def _placement_of(result: _Result) -> Placement:
    view, over = result.view, result.array
    tasks = int(view.tasks)
    placement = Placement(
        offer_index=over(view.offer_index, tasks, np.int32),
        order=over(view.order, tasks, np.int32),
        score_high=over(view.score_high, tasks, np.int64),
        score_low=over(view.score_low, tasks, np.uint64),
        engine=_ENGINES.get(view.engine, ""),
    )
    if view.price_added:
        placement.price_added = over(view.price_added, tasks, np.int64)
    if view.offer_number:
        placement.offer_number = over(view.offer_number, tasks, np.int64)
    if view.device_begin:
        placement.device_begin = over(view.device_begin, tasks + 1, np.int64)
        count = int(placement.device_begin[-1])
        placement.device_dimension = over(view.device_dimension, count, np.int32)
        placement.device_index = over(view.device_index, count, np.int32)
    return placement

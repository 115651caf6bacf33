"""Sessions of the library in this process, by ctypes (plugin/include/windlass/windlass.h, "Matching sessions")."""

from __future__ import annotations

import ctypes
import threading
import weakref
from ctypes import POINTER, byref, c_int64, c_uint32, c_uint64, c_void_p
from typing import Any

import msgpack
import numpy as np
import numpy.typing as npt

from . import _native
from ._errors import FailedPrecondition, Unavailable
from ._inputs._options import Options
from ._native import Error, array_at, column_table, error_from, new_error
from ._problem import I64, Placement, Problem
from ._session_backend import Ask, Change, View


class _Change(ctypes.Structure):
    _fields_ = (
        ("size", c_uint32),
        ("dimensions", c_uint32),
        ("rescale", c_uint32),
        ("reserved", c_uint32),
        ("expect_version", c_int64),
        ("adds", c_uint64),
        ("updates", c_uint64),
        ("removes", c_uint64),
        ("releases", c_uint64),
        ("offer_numbers", c_void_p),
        ("offer_amounts", c_void_p),
        ("price", c_void_p),
        ("weights", c_void_p),
        ("scale", c_void_p),
        ("remove_numbers", c_void_p),
        ("release_numbers", c_void_p),
        ("constraints", c_void_p),
        ("constraints_bytes", c_uint64),
        ("columns", c_void_p),
        ("columns_count", c_uint64),
    )


class _Answer(ctypes.Structure):
    _fields_ = (
        ("size", c_uint32),
        ("reserved", c_uint32),
        ("version", c_uint64),
        ("removed", c_uint64),
        ("released", c_uint64),
    )


class _OffersView(ctypes.Structure):
    _fields_ = (
        ("size", c_uint32),
        ("dimensions", c_uint32),
        ("version", c_uint64),
        ("placed", c_uint64),
        ("offers", c_uint64),
        ("offer_numbers", c_void_p),
        ("free_amounts", c_void_p),
        ("price", c_void_p),
        ("held", c_void_p),
        ("scale", c_void_p),
        ("kinds", c_uint64),
        ("kind_dimension", c_void_p),
        ("device_begin", c_void_p),
        ("free_shares", c_void_p),
    )


_lock = threading.Lock()
_declared: _native.Library | None = None


def _library() -> _native.Library:
    """The library with its session calls declared; Unavailable where it is too old to have them."""
    global _declared
    found = _native.library()
    with _lock:
        if _declared is not found:
            try:
                _declare(found)
            except AttributeError as error:
                raise Unavailable(f"the library has no sessions ({error}): build it again", retryable=False) from None
            _declared = found
    return found


def _declare(found: _native.Library) -> None:
    error, session = POINTER(Error), c_void_p
    found.windlass_session_open.argtypes = [POINTER(_native.Request), POINTER(c_void_p), error]
    found.windlass_session_close.argtypes = [session]
    found.windlass_session_close.restype = None
    found.windlass_session_apply.argtypes = [session, POINTER(_Change), POINTER(_Answer), error]
    found.windlass_session_match.argtypes = [
        session,
        POINTER(_native.Request),
        c_void_p,
        c_int64,
        POINTER(c_void_p),
        error,
    ]
    found.windlass_session_offers.argtypes = [session, POINTER(_OffersView), error]


class NativeSession:
    """One session of the library. One thread at a time."""

    is_remote = False

    def __init__(self, options: Options) -> None:
        self._library = _library()
        problem = Problem(
            mode=options.mode,
            policy=options.policy,
            ties=options.ties,
            normalize=options.normalize,
            tasks=0,
            offers=0,
            dimensions=[],
            task_amounts=[],
            offer_amounts=[],
            weights=[],
            scale=[],
            max_score=options.max_score,
            max_price=options.max_price,
        )
        keep: list[Any] = []
        request = _native.request_of(problem, keep)
        request.task_amounts = request.offer_amounts = request.weights = request.scale = None
        handle = c_void_p()
        error = new_error()
        code = self._library.windlass_session_open(byref(request), byref(handle), byref(error))
        if code:
            raise error_from(error, code)
        self._open = handle.value
        self._version = 0
        self._finalizer = weakref.finalize(self, self._library.windlass_session_close, c_void_p(handle.value))

    @property
    def _handle(self) -> c_void_p:
        if not self._finalizer.alive:
            raise FailedPrecondition("the session is closed: open a new one")
        return c_void_p(self._open)

    def require(self) -> None:
        _ = self._handle

    def apply(self, change: Change) -> None:
        keep: list[Any] = [change]
        request, error, answer = _change_of(change, keep), new_error(), _Answer()
        request.expect_version = self._version
        answer.size = ctypes.sizeof(_Answer)
        code = self._library.windlass_session_apply(self._handle, byref(request), byref(answer), byref(error))
        if code:
            raise error_from(error, code)
        self._version = int(answer.version)

    def match(self, ask: Ask) -> Placement:
        keep: list[Any] = [ask]
        request = _native.request_of(ask.problem, keep)
        request.offers, request.offer_amounts = 0, None
        result, error = c_void_p(), new_error()
        code = self._library.windlass_session_match(
            self._handle, byref(request), ask.numbers.ctypes.data, self._version, byref(result), byref(error)
        )
        if code:
            raise error_from(error, code)
        placement, self._version = _native.take_result(self._library, result)
        return placement

    def view(self) -> View | None:
        view, error = _OffersView(), new_error()
        view.size = ctypes.sizeof(_OffersView)
        code = self._library.windlass_session_offers(self._handle, byref(view), byref(error))
        if code:
            raise error_from(error, code)
        return _view_of(view)

    def close(self) -> None:
        self._finalizer()


def _change_of(change: Change, keep: list[Any]) -> _Change:
    """The C struct; everything it points to is put into `keep`."""

    def pointer(array: npt.NDArray[Any] | None) -> int | None:
        if array is None or not len(array):
            return None
        keep.append(array)
        return int(array.ctypes.data)

    made = _Change()
    made.size = ctypes.sizeof(_Change)
    made.dimensions = change.dimensions
    made.rescale = int(change.rescale)
    made.adds, made.updates = change.adds, len(change.numbers) - change.adds
    made.removes, made.releases = len(change.removes), len(change.releases)
    made.offer_numbers = pointer(change.numbers)
    made.offer_amounts = column_table(list(change.amounts), keep)
    made.price = pointer(change.price)
    if change.widens:  # else they are known
        made.weights = pointer(np.array(change.weights, dtype=np.int64))
        made.scale = pointer(np.array(change.scale, dtype=np.int64))
    made.remove_numbers, made.release_numbers = pointer(change.removes), pointer(change.releases)
    packed = msgpack.packb(change.constraints, use_bin_type=True)
    buffer = ctypes.create_string_buffer(packed, len(packed))
    columns = _native.columns_of(change.columns)
    keep += [buffer, columns]
    made.constraints, made.constraints_bytes = ctypes.addressof(buffer), len(packed)
    made.columns, made.columns_count = ctypes.addressof(columns), len(change.columns)
    return made


def _view_of(view: _OffersView) -> View:
    count = int(view.offers)

    def addresses(table: int | None, number: int) -> list[int]:
        return [int(each) for each in array_at(table, number, np.uint64)]

    def column(address: int | None, size: int) -> I64:
        return array_at(address, size, np.int64)

    kinds = int(view.kinds)
    devices = {}
    begins, shares = addresses(view.device_begin, kinds), addresses(view.free_shares, kinds)
    for dimension, begin, own in zip(array_at(view.kind_dimension, kinds, np.int32), begins, shares, strict=True):
        starts = column(begin, count + 1)
        devices[int(dimension)] = starts, column(own, int(starts[-1]))
    return View(
        numbers=column(view.offer_numbers, count),
        free=[column(each, count) for each in addresses(view.free_amounts, int(view.dimensions))],
        scale=column(view.scale, int(view.dimensions)),
        devices=devices,
    )

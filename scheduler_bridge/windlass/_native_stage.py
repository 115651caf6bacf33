"""Staging in this process by the library (plugin/include/windlass/windlass.h), or by `legacy` where there is none.

A process has one stager for each (engine, roots, state, limit of decompressing): it owns the I/O threads. Idle ones
beyond a few are closed, the rest at exit; a forked child begins with none. Any thread may stage; each waits for its own
call.
`WINDLASS_STAGE__ENGINE` (auto, uring, threads) chooses how files are read and written, and
`WINDLASS_STAGE__DECOMPRESS_RATIO_MAX` is what `stage.decompress_ratio_max` is to a daemon.
"""

from __future__ import annotations

import atexit
import ctypes
import logging
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from ctypes import POINTER, byref, c_char_p, c_double, c_int64, c_size_t, c_uint32, c_uint64, c_void_p
from dataclasses import dataclass
from typing import Any

import msgpack

from ._errors import InvalidTransfer, StageError, Unavailable, stage_error_of
from ._native import Error, library, new_error
from ._stage_encode import StageRequest
from ._stage_limits import decompress_ratio_max
from ._stage_progress import Counts, ProgressArgument
from ._stage_report import StageReport, report_from_body
from ._stage_run import run_stage
from ._stage_transfer import Transfer
from ._stats import count

Path = str | os.PathLike[str]
Key = tuple[int, tuple[bytes, ...], bytes | None, float]

ENGINES = {"auto": 0, "uring": 1, "threads": 2}
ENGINE_VARIABLE = "WINDLASS_STAGE__ENGINE"
IDLE_MAX = 4
# So that each thread's share has room for a window of 128 MiB, the largest that zstd takes unasked. It is held while
# such a file is decompressed, and else a few MiB.
BYTES_IN_FLIGHT_MAX = 512 << 20

_log = logging.getLogger("windlass.stage")


class _Options(ctypes.Structure):
    """`windlass_stage_options`."""

    _fields_ = (
        ("size", c_uint32),
        ("engine", c_uint32),
        ("threads", c_uint32),
        ("retries", c_uint32),
        ("roots", POINTER(c_char_p)),
        ("roots_count", c_uint64),
        ("bytes_in_flight_max", c_uint64),
        ("bandwidth_max", c_uint64),
        ("free_min", c_uint64),
        ("inodes_min", c_uint64),
        ("quota_per_client", c_uint64),
        ("queue_max", c_uint64),
        ("state_path", c_char_p),
        ("symlinks", c_uint32),
        ("confine", c_uint32),
        ("resume_keep_s", c_uint64),
        ("owner", c_char_p),
        ("bandwidth_max_input", c_uint64),
        ("bandwidth_max_result", c_uint64),
        ("decompress_ratio_max", c_double),
    )


class _SubmitOptions(ctypes.Structure):
    """`windlass_stage_submit_options`."""

    _fields_ = (("size", c_uint32), ("reserved", c_uint32), ("tag", c_uint64), ("client", c_char_p))


class _Progress(ctypes.Structure):
    """`windlass_stage_progress`."""

    _fields_ = (
        ("size", c_uint32),
        ("ended", c_uint32),
        ("bytes_done", c_uint64),
        ("files_done", c_uint64),
        ("bytes_total", c_int64),
        ("files_total", c_int64),
    )


class _Bytes(ctypes.Structure):
    """`windlass_bytes`."""

    _fields_ = (("data", c_void_p), ("count", c_uint64))


def stage_in_process(
    transfers: Iterable[Transfer],
    *,
    progress: ProgressArgument,
    on_error: str,
    roots: Sequence[Path] | None,
    state: Path | None,
) -> StageReport:
    """`windlass.stage`."""
    try:
        library()
    except Unavailable as why:
        if count("fallbacks", "stage") == 1:
            _log.warning("staging with windlass.legacy, which is slower: %s", why)
        from .legacy import stage

        return stage(transfers, progress=progress, on_error=on_error, roots=roots, state=state)
    with _STAGERS.borrowed(_key(roots, state)) as stager:
        calls: list[NativeCall] = []

        def submit(request: StageRequest) -> NativeCall:
            calls.append(stager.submit(request))
            return calls[0]

        try:
            return run_stage(transfers, submit, progress=progress, on_error=on_error, cache=False)
        finally:
            for call in calls:
                call.free()


def engine_in_process() -> str:
    """What transfers of this process will use: "uring" or "threads". Raises `Unavailable` without the library."""
    with _STAGERS.borrowed(_key(None, None)) as stager:
        return stager.engine()


def _key(roots: Sequence[Path] | None, state: Path | None) -> Key:
    if isinstance(roots, (str, bytes, os.PathLike)):
        raise InvalidTransfer(f"roots = {roots!r}: give a list of folders")
    name = os.environ.get(ENGINE_VARIABLE, "auto")
    if name not in ENGINES:
        raise InvalidTransfer(f"{ENGINE_VARIABLE} = {name!r}: give one of {', '.join(ENGINES)}")
    if state is not None and not os.fspath(state):
        raise InvalidTransfer("state is empty; give the path of a folder, or None")
    folders = tuple(os.fsencode(root) for root in roots or ())
    folder = None if state is None else os.path.abspath(os.fsencode(state))
    return ENGINES[name], folders, folder, decompress_ratio_max()


class NativeCall:
    """An accepted call (`_stage_run.StageCall`). Used by one thread, which frees it."""

    def __init__(self, found: ctypes.CDLL, handle: c_void_p, request: StageRequest) -> None:
        self._library = found
        self._handle = handle
        self._request = request

    def wait(self, timeout: float | None) -> bool:
        milliseconds = 100 if timeout is None else max(0, round(timeout * 1000))
        while not self._library.windlass_stage_wait(self._handle, milliseconds):
            if timeout is not None:
                return False  # and where it waits for ever, Ctrl-C gets its turn every 0.1 s
        return True

    def counts(self) -> Counts:
        progress = _Progress(size=ctypes.sizeof(_Progress))
        self._library.windlass_stage_progress_of(self._handle, byref(progress))
        return Counts(
            progress.bytes_done,
            progress.bytes_total if progress.bytes_total >= 0 else None,
            progress.files_done,
            progress.files_total if progress.files_total >= 0 else None,
        )

    def cancel(self) -> bool:
        return bool(self._library.windlass_stage_cancel(self._handle))

    def outcome(self) -> StageReport:
        told: _Bytes = self._library.windlass_stage_report(self._handle)
        packed = ctypes.string_at(told.data, told.count)
        body = msgpack.unpackb(packed, raw=False, strict_map_key=False)
        return report_from_body(body, self._request.transfers)

    def free(self) -> None:
        """Cancels and waits where it still runs."""
        self._library.windlass_stage_free(self._handle)


class _Stager:
    """One open stager of the library; any thread."""

    def __init__(self, key: Key) -> None:
        self._library = _declared(library())
        engine, roots, state, ratio = key
        options = _Options(
            size=ctypes.sizeof(_Options),
            engine=engine,
            state_path=state,
            bytes_in_flight_max=BYTES_IN_FLIGHT_MAX,
            decompress_ratio_max=ratio,
        )
        if roots:
            options.roots = (c_char_p * len(roots))(*roots)
            options.roots_count = len(roots)
        self._handle = c_void_p()
        error = new_error()
        code = self._library.windlass_stager_open(byref(options), byref(self._handle), byref(error))
        if code:
            raise _error(error, code, None)

    def submit(self, request: StageRequest) -> NativeCall:
        packed = msgpack.packb(request.body(), use_bin_type=True)
        options = _SubmitOptions(size=ctypes.sizeof(_SubmitOptions))
        call, error = c_void_p(), new_error()
        code = self._library.windlass_stage_submit(
            self._handle, packed, len(packed), byref(options), byref(call), byref(error)
        )
        if code:
            raise _error(error, code, request)
        return NativeCall(self._library, call, request)

    def engine(self) -> str:
        name: bytes = self._library.windlass_stager_engine(self._handle)
        return name.decode()

    def close(self) -> None:
        self._library.windlass_stager_close(self._handle)


def _error(error: Error, code: int, request: StageRequest | None) -> StageError:
    transfer = request.transfers[error.row] if request is not None and error.row >= 0 else None
    return stage_error_of(
        code,
        error.message.decode("utf-8", "replace") or f"the library answered code {code}",
        source=None if transfer is None else transfer.source,
        target=None if transfer is None else transfer.target,
        retryable=bool(error.retryable),
        retry_after=error.retry_after_ms / 1000 if error.retry_after_ms > 0 else None,
    )


@dataclass
class _Held:
    stager: _Stager
    users: int = 0


class _Stagers:
    """The stagers of this process, the least recently used first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[Key, _Held] = {}

    @contextmanager
    def borrowed(self, key: Key) -> Iterator[_Stager]:
        with self._lock:
            held = self._held.pop(key, None) or _Held(_Stager(key))
            self._held[key] = held
            held.users += 1
        try:
            yield held.stager
        finally:
            with self._lock:
                held.users -= 1
                self._close_idle(IDLE_MAX)

    def close(self) -> None:
        with self._lock:
            self._close_idle(0)

    def _close_idle(self, keep: int) -> None:
        idle = [key for key, held in self._held.items() if held.users == 0]
        for key in idle[: max(len(idle) - keep, 0)]:
            self._held.pop(key).stager.close()

    def forget(self) -> None:
        """In a forked child: the threads are the parent's, so the handles cannot even be closed."""
        self._lock = threading.Lock()
        self._held = {}


_STAGERS = _Stagers()
atexit.register(_STAGERS.close)
os.register_at_fork(after_in_child=_STAGERS.forget)


def _declared(found: ctypes.CDLL) -> ctypes.CDLL:
    for name, (result, arguments) in _FUNCTIONS.items():
        function = getattr(found, name)
        function.restype, function.argtypes = result, arguments
    return found


_FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "windlass_stager_open": (ctypes.c_int, [POINTER(_Options), POINTER(c_void_p), POINTER(Error)]),
    "windlass_stager_close": (None, [c_void_p]),
    "windlass_stager_engine": (c_char_p, [c_void_p]),
    "windlass_stage_submit": (
        ctypes.c_int,
        [c_void_p, c_char_p, c_size_t, POINTER(_SubmitOptions), POINTER(c_void_p), POINTER(Error)],
    ),
    "windlass_stage_progress_of": (None, [c_void_p, POINTER(_Progress)]),
    "windlass_stage_wait": (ctypes.c_int, [c_void_p, c_int64]),
    "windlass_stage_cancel": (ctypes.c_int, [c_void_p]),
    "windlass_stage_report": (_Bytes, [c_void_p]),
    "windlass_stage_free": (None, [c_void_p]),
}

"""`windlass doctor`: what is found on this machine, and what to do about each thing that is missing."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import resource
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

from .. import __version__
from .._address import endpoint_of
from .._errors import WindlassError
from .._keys import Role, load_allowed, load_own
from .._keys_curve import check_pair
from ._ask import Keys, daemon, keys_of, load_of
from ._output import DONE, FAILED, bytes_text, print_json, print_table

OK, NOTE, WRONG = "ok", "note", "wrong"

_NEEDED = ("pyzmq", "msgpack", "numpy", "PyYAML")
_OPTIONAL = {
    "tqdm": "progress bars",
    "pandas": "DataFrames as input",
    "pyarrow": "Arrow tables and Parquet",
    "distributed": "Dask",
    "ray": "Ray",
}
_NOFILE_WANTED = 4096
_MEMLOCK_WANTED = 8 << 20


@dataclass
class Finding:
    """`state` is ok, note (works, but could be better, or is not needed) or wrong."""

    what: str
    state: str
    found: str
    advice: str = ""


def run(arguments: argparse.Namespace) -> int:
    findings = list(_all(arguments.address, keys_of(arguments)))
    healthy = all(finding.state != WRONG for finding in findings)
    if arguments.json:
        print_json({"ok": healthy, "findings": [asdict(finding) for finding in findings]})
    else:
        print_table(("WHAT", "STATE", "FOUND"), [(one.what, one.state, one.found) for one in findings])
        for finding in findings:
            if finding.advice:
                print(f"{finding.what}: {finding.advice}")
        print("everything needed is there" if healthy else "something is wrong; see above")
    return DONE if healthy else FAILED


def _all(address: str | None, keys: Keys) -> Iterator[Finding]:
    checks: list[Callable[[], Iterator[Finding]]] = [
        _python,
        _packages,
        _library,
        _engine,
        _program,
        lambda: _keys_found(keys),
        lambda: _daemon(address, keys),
        _limits,
        _mode,
    ]
    for check in checks:
        yield from check()


def _python() -> Iterator[Finding]:
    yield Finding("windlass", OK, f"{__version__} in {os.path.dirname(os.path.dirname(__file__))}")
    yield Finding("Python", OK, f"{platform.python_version()} at {sys.executable}")
    yield Finding("kernel", OK, f"{platform.system()} {platform.release()} {platform.machine()}")


def _packages() -> Iterator[Finding]:
    for name in _NEEDED:
        found = _version(name)
        if found is None:
            yield Finding(name, WRONG, "missing", f"install it: {sys.executable} -m pip install {name}")
        else:
            yield Finding(name, OK, found)
    for name, purpose in _OPTIONAL.items():
        yield Finding(name, OK if (found := _version(name)) else NOTE, found or f"missing; only needed for {purpose}")


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _library() -> Iterator[Finding]:
    from .._native import library

    try:
        found = library()
    except WindlassError as error:
        yield Finding(
            "libwindlass", WRONG, "not loaded", f"{error}. Until then everything runs in Python, more slowly."
        )
        return
    version = found.windlass_version().decode()
    path = str(found._name)
    if version == __version__:
        yield Finding("libwindlass", OK, f"{version} at {path}")
    else:
        yield Finding("libwindlass", NOTE, f"{version} at {path}", f"the package is {__version__}: build them together")


def _engine() -> Iterator[Finding]:
    from .._native_stage import engine_in_process

    try:
        engine = engine_in_process()
    except WindlassError as error:
        yield Finding("staging engine", NOTE, "legacy (plain Python)", str(error))
        return
    if engine == "uring":
        yield Finding("staging engine", OK, "io_uring")
    else:
        yield Finding("staging engine", NOTE, f"{engine}, without io_uring", _why_no_uring())


def _why_no_uring() -> str:
    same = "results are the same, large files cost more CPU"
    try:
        with open("/proc/sys/kernel/io_uring_disabled") as file:
            if file.read().strip() != "0":
                return f"io_uring is off on this machine (sysctl kernel.io_uring_disabled); {same}"
    except OSError:
        pass
    return f"the kernel or the container's seccomp profile denies it, or WINDLASS_STAGE__ENGINE says so; {same}"


def _program() -> Iterator[Finding]:
    from .._local_node import find_windlassd

    try:
        path = find_windlassd()
        asked = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10, check=True)
    except WindlassError as error:
        yield Finding("windlassd", NOTE, "not found", f"{error}. It is needed where a daemon is to run.")
    except (OSError, subprocess.SubprocessError) as error:
        yield Finding("windlassd", WRONG, f"{path} does not run", f"{error}; build it again with `make build`")
    else:
        yield Finding("windlassd", OK, f"{asked.stdout.strip()} at {path}")


def _keys_found(keys: Keys) -> Iterator[Finding]:
    folder = keys.folder or os.environ.get("WINDLASS_SECURITY__KEYS")
    if not folder:
        return
    try:
        own, allowed = check_pair(load_own(folder)), load_allowed(folder)
    except WindlassError as error:
        yield Finding("keys", WRONG, f"not usable in {folder}", str(error))
        return
    in_use = sum(key.role != Role.REVOKED for key in allowed.values())
    yield Finding("keys", OK, f"{own.name} ({own.role}) in {folder}, {in_use} keys are let in")


def _daemon(address: str | None, keys: Keys) -> Iterator[Finding]:
    endpoint = endpoint_of(address)
    named = address is not None or bool(os.environ.get("WINDLASS_LOCAL__SOCKET"))
    path = endpoint.removeprefix("ipc://")
    if endpoint.startswith("ipc://"):
        if not os.path.exists(path):
            advice = "start windlassd here, or give --address, where a daemon is wanted; in process it is not needed"
            yield Finding("daemon", WRONG if named else NOTE, f"none at {path}", advice)
            return
        yield _rights(path)
    try:
        with daemon(address, keys) as asker:
            load = load_of(asker.ask())
    except WindlassError as error:
        yield Finding("daemon", WRONG, f"no answer at {endpoint}", str(error))
        return
    yield Finding("daemon", OK, f"answers at {endpoint}, staging by {load.get('engine')}")
    for reason in load.get("degraded") or []:
        yield Finding("daemon", NOTE, "degraded", str(reason))
    for root, space in (load.get("roots") or {}).items():
        free = f"{bytes_text(space.get('free_bytes'))} and {space.get('free_inodes')} inodes free"
        full = not space.get("free_bytes") or not space.get("free_inodes")
        yield Finding(f"root {root}", WRONG if full else OK, free, "make room there" if full else "")


def _rights(path: str) -> Finding:
    try:
        info = os.stat(path)
    except OSError as error:
        return Finding("socket", WRONG, f"{path}: {error.strerror}", "run as the daemon's user")
    bits = stat.S_IMODE(info.st_mode)
    found = f"{path}, mode {bits:04o}, of uid {info.st_uid}"
    if not stat.S_ISSOCK(info.st_mode):
        return Finding("socket", WRONG, found, "it is no socket: remove it and start windlassd again")
    if not os.access(path, os.R_OK | os.W_OK):
        return Finding("socket", WRONG, found, "run as the daemon's user, or add your uid to security.local_uids")
    return Finding("socket", OK, found)


def _limits() -> Iterator[Finding]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    few = soft != resource.RLIM_INFINITY and soft < _NOFILE_WANTED
    advice = f"for many transfers at once raise it: ulimit -n {_NOFILE_WANTED}" if few else ""
    yield Finding("open files", NOTE if few else OK, f"{_limit(soft)} (hard {_limit(hard)})", advice)
    soft, hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    few = soft != resource.RLIM_INFINITY and soft < _MEMLOCK_WANTED
    advice = "io_uring works with less then; raise it: ulimit -l 8192" if few else ""
    yield Finding("locked memory", NOTE if few else OK, f"{_limit(soft)} (hard {_limit(hard)})", advice)


def _limit(value: int) -> str:
    return "unlimited" if value == resource.RLIM_INFINITY else str(value)


def _mode() -> Iterator[Finding]:
    mode = os.environ.get("WINDLASS_MODE")
    if mode is None:
        return
    name, _, share = mode.partition(":")
    known = (name in ("off", "shadow", "on") and not share) or (
        name == "canary" and share.isdecimal() and int(share) <= 100
    )
    if known:
        yield Finding("WINDLASS_MODE", NOTE, f"{mode}, which changes nothing", "no part of this version reads it yet")
    else:
        yield Finding("WINDLASS_MODE", WRONG, mode, "give off, shadow, canary:PERCENT or on")

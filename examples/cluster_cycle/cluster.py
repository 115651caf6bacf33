"""Real processes: a Dask scheduler, per node a windlassd beside a Dask worker, and a supervisor of the daemons."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import windlass

ROOT = Path(__file__).resolve().parent.parent.parent
START_S = 60.0
STARTS_MAX = 5
_PR_SET_PDEATHSIG = 1


class ClusterError(Exception):
    """A process of the demo did not come up; the message names its log."""


def wait_for(what: str, holds: Callable[[], Any], timeout_s: float = START_S) -> Any:
    """Polls until `holds()` answers something true, and answers that."""
    end = time.monotonic() + timeout_s
    while True:
        answer = holds()
        if answer:
            return answer
        if time.monotonic() > end:
            raise ClusterError(f"waited {timeout_s:.0f} s for {what}")
        time.sleep(0.02)


class DaskProcesses:
    """`dask scheduler` and one `dask worker` per node, each with its log in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, nodes: list[str]) -> str:
        """The scheduler's address."""
        contact = self.folder / "dask-scheduler.json"
        self._run("scheduler", ["--host", "127.0.0.1", "--port", "0", "--dashboard-address", "127.0.0.1:0"], contact)
        wait_for("the Dask scheduler", lambda: self._up("scheduler") and contact.exists())
        for node in nodes:
            options = ["--name", node, "--nthreads", "1", "--no-nanny", "--no-dashboard", "--host", "127.0.0.1"]
            self._run("worker", [*options, "--local-directory", str(self.folder / node / "dask")], contact, node)
        address: str = json.loads(contact.read_text())["address"]
        return address

    def _run(self, kind: str, options: list[str], contact: Path, name: str = "scheduler") -> None:
        command = [sys.executable, "-m", "dask", kind, "--scheduler-file", str(contact), *options]
        paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(paths),
            "DASK_TEMPORARY_DIRECTORY": str(self.folder),
        }
        with open(self.folder / f"dask-{name}.log", "wb") as log:
            self._processes[name] = subprocess.Popen(
                command, stdout=log, stderr=log, env=environment, cwd=self.folder, preexec_fn=_end_with_parent
            )

    def _up(self, name: str) -> bool:
        code = self._processes[name].poll()
        if code is not None:
            log = self.folder / f"dask-{name}.log"
            raise ClusterError(f"dask {name} ended with {code}:\n{log.read_text(errors='replace')[-2000:]}")
        return True

    def stop(self) -> None:
        """Workers first, for they say goodbye to the scheduler; whoever does not end within 10 s is killed."""
        scheduler = self._processes.pop("scheduler", None)
        _end(list(self._processes.values()))
        _end([scheduler] if scheduler else [])


def _end_with_parent() -> None:
    """Runs in the new process: the kernel ends it when the demo dies, however it dies."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _end(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.send_signal(signal.SIGTERM)
    end = time.monotonic() + 10
    for process in processes:
        try:
            process.wait(max(0.1, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def started(config: dict[str, Any] | None = None) -> windlass.LocalNode:
    """A windlassd; one that somebody kills before it is ready is started again, as a cluster manager does."""
    for _ in range(STARTS_MAX - 1):
        with contextlib.suppress(windlass.Unavailable):
            return windlass.LocalNode(config=config)
    return windlass.LocalNode(config=config)


class Supervisor:
    """What a cluster manager does: starts a daemon again when it has died, and remembers when.

    A LocalNode belongs to one thread at a time, so whoever else touches one does it through here.
    """

    def __init__(self, daemons: dict[str, windlass.LocalNode]) -> None:
        self.restarts: list[tuple[str, float]] = []  # (daemon, time.time() of its new start)
        self._daemons = daemons
        self._guard = threading.Lock()
        self._held: set[str] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="supervisor")
        self._thread.start()

    @contextlib.contextmanager
    def holding(self, name: str) -> Iterator[None]:
        """Leaves that daemon dead for as long as the block runs."""
        self._held.add(name)
        try:
            yield
        finally:
            self._held.discard(name)

    def pause(self, name: str) -> None:
        """SIGSTOP."""
        with self._guard:
            self._daemons[name].signal(signal.SIGSTOP)

    def kill(self, name: str) -> None:
        """SIGKILL; answers when the daemon is gone."""
        with self._guard:
            self._daemons[name].kill()

    def _watch(self) -> None:
        while not self._stop.wait(0.05):
            for name, daemon in self._daemons.items():
                with self._guard:
                    if name not in self._held and daemon.pid is None:
                        self.restarts.append((name, time.time()))
                        with contextlib.suppress(windlass.Unavailable):  # it is tried again at the next look
                            daemon.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()

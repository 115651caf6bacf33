"""Netflix's Fenzo (`FenzoPeer.java`, built by `benchmarks/build_peers`): `scheduleOnce` in a Java process.

Rows are sent to the process before anything is timed, as a scheduler that uses Fenzo has them there already, and its
compiler is warmed up. One call is one fresh scheduler, all tasks and leases in one `scheduleOnce`, and never a "good
enough" offer: it looks at all of them, as the others do.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.harness import CannotRun
from benchmarks.shapes import DIMENSIONS

_BUILT = Path(__file__).resolve().parents[3] / "build" / "peers" / "fenzo"
_READY_MARK = _BUILT / "classes" / "FenzoPeer.class"
ABSENT = (
    None if _READY_MARK.exists() and shutil.which("java") else "not built: benchmarks/build_peers needs java and mvn"
)


class Fenzo:
    """One process that holds one problem."""

    def __init__(self, process: subprocess.Popen[str], tasks: list[dict[str, Any]], offers: list[dict[str, Any]]):
        self._process, self._tasks, self._offers = process, tasks, offers
        assert process.stdin is not None
        rows = [" ".join(repr(float(row["resources"][dim])) for dim in DIMENSIONS) for row in (*tasks, *offers)]
        process.stdin.write("\n".join([f"{len(tasks)} {len(offers)}", *rows, ""]))
        process.stdin.flush()
        self._line()

    @property
    def pid(self) -> int:
        """Of the Java process."""
        return self._process.pid

    def match(self) -> dict[str, str]:
        """{offer name: task name}."""
        assert self._process.stdin is not None
        self._process.stdin.write("match\n")
        self._process.stdin.flush()
        found = map(int, self._line().split())
        tasks, offers = self._tasks, self._offers
        return {offers[at]["name"]: tasks[row]["name"] for row, at in enumerate(found) if at >= 0}

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise CannotRun(f"Fenzo's process ended with {self._process.wait()}")
        return line


@contextlib.contextmanager
def opened(tasks: list[dict[str, Any]], offers: list[dict[str, Any]]) -> Iterator[Fenzo]:
    """A Fenzo with these records (`benchmarks.shapes`), warmed up."""
    command = ["java", "-cp", f"{_BUILT}/classes:{_BUILT}/lib/*", "FenzoPeer"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            yield Fenzo(process, tasks, offers)
        finally:
            process.kill()

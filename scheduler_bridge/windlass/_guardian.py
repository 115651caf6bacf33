"""The keeper of a LocalNode's daemon: a small program of its own, run by the same Python, with one thread.

It starts the daemon as its child and lives until its standard input ends, which happens when the LocalNode is closed
and also when the interpreter that made it dies in whatever way. Then it drains the daemon (SIGTERM, SIGKILL after
DRAIN_S) and removes the folder. Should the guardian itself be killed, the kernel ends the daemon: the death signal
follows the guardian's only thread, which is why the daemon is not started from a thread of the user's.

Orders come as JSON lines: {"start": [argv], "env": {...}, "stdout": path, "stderr": path} and {"signal": number}.
Answers are JSON lines: {"started": pid}, {"failed": "why"}, {"exited": code} (negative: the signal).
Nothing beyond the standard library, and little of that: it starts in some hundredths of a second.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
from typing import Any

DRAIN_S = 10.0
_PR_SET_PDEATHSIG = 1
_IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # Ctrl-C and the like are for the interpreter
_libc = ctypes.CDLL(None, use_errno=True)


def _answer(**fields: object) -> None:
    with contextlib.suppress(BrokenPipeError):  # the interpreter is gone; the end of standard input comes next
        os.write(1, json.dumps(fields).encode() + b"\n")


def _die_with_guardian() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    for number in _IGNORED:
        signal.signal(number, signal.SIG_DFL)


def _start(order: dict[str, Any]) -> subprocess.Popen[bytes] | None:
    try:
        with open(order["stdout"], "ab") as out, open(order["stderr"], "ab") as err:
            child = subprocess.Popen(
                order["start"],
                env=order["env"],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                preexec_fn=_die_with_guardian,
            )
    except OSError as error:
        _answer(failed=str(error))
        return None
    _answer(started=child.pid)
    return child


def _end(child: subprocess.Popen[bytes] | None) -> None:
    if child is None or child.poll() is not None:
        return
    child.send_signal(signal.SIGCONT)  # a stopped daemon drains too
    child.terminate()
    try:
        child.wait(DRAIN_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def main(folder: str) -> None:
    """Serves orders until standard input ends, then ends the daemon and removes the folder."""
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    child: subprocess.Popen[bytes] | None = None
    exits, announce = os.pipe()
    os.set_blocking(announce, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(announce)
    pending = b""
    while True:
        readable, _, _ = select.select([0, exits], [], [])
        if exits in readable:
            os.read(exits, 4096)
            if child is not None and child.poll() is not None:
                _answer(exited=child.returncode)
                child = None
        if 0 in readable:
            data = os.read(0, 65536)
            if not data:
                break
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                order = json.loads(line)
                if "start" in order:
                    child = _start(order)
                elif child is not None:
                    child.send_signal(order["signal"])
    _end(child)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1])

"""The file system that fails on purpose (passthrough.cpp), mounted in a process of its own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

PROGRAM = Path(__file__).resolve().parents[2] / "build/release/bin/passthrough"


class Passthrough:
    """`path` shows what lies in `beneath`. What is armed holds until the next word; counting begins with the word."""

    def __init__(self, folder: Path) -> None:
        self.beneath, self.path = folder / "beneath", folder / "passthrough"
        self.beneath.mkdir()
        self.path.mkdir()
        assert PROGRAM.exists(), f"{PROGRAM} is not built; run make build"
        self._process = subprocess.Popen(
            [PROGRAM, self.beneath, self.path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "ready\n":
            told = self._process.communicate()[1]
            pytest.skip(f"mounts of FUSE are not allowed here: {told.strip()}")

    def fail(self, operation: str, nth: int, error: int, at: int | None = None) -> None:
        self._say("fail", operation, nth, error, at)

    def cut_short(self, operation: str, nth: int, size: int, at: int | None = None) -> None:
        self._say("short", operation, nth, size, at)

    def stall(self, operation: str, nth: int, at: int | None = None) -> None:
        self._say("stall", operation, nth, at)

    def hang(self, operation: str) -> None:
        """No such operation is answered any more."""
        self._say("hang", operation, 1)

    def release(self) -> None:
        self._say("release")

    def struck(self) -> bool:
        return self._ask("struck") == "1"

    def close(self) -> None:
        """Releases what is stalled, and unmounts."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        with suppress(OSError):
            if os.path.ismount(self.path):
                subprocess.run(["umount", "-l", self.path], check=False)

    def _say(self, *words: object) -> None:
        answer = self._ask(" ".join(str(word) for word in words if word is not None))
        assert answer == "ok", answer

    def _ask(self, line: str) -> str:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()


@contextmanager
def mounted(folder: Path) -> Iterator[Passthrough]:
    if os.geteuid() != 0 or not os.path.exists("/dev/fuse"):
        pytest.skip("only root may mount, and there must be a /dev/fuse")
    made = Passthrough(folder)
    try:
        yield made
    finally:
        made.close()

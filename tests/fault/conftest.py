"""Real faults: small file systems on loop devices that fill up, lose power, or share blocks; a kernel without io_uring.

What the machine does not allow (mounts, above all) is skipped with its reason. `make soak` sets WINDLASS_SOAK, and then
the campaigns of seeds are long; a failure names its seed, and WINDLASS_SEED runs that one alone, or a range of them
(`WINDLASS_SEED=100-199`).
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import struct
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import windlass

MAKE = {
    "ext4": ["mkfs.ext4", "-q", "-F"],
    "xfs": ["mkfs.xfs", "-q", "-f", "-m", "reflink=1"],
    "btrfs": ["mkfs.btrfs", "-q", "-f"],
}
IMAGE_BYTES = 320 << 20  # the least that mkfs.xfs takes; the image has holes
BUSY_MAX_S = 60.0
_SHUTDOWN = 0x8004587D  # FS_IOC_SHUTDOWN
_WITHOUT_LOG = struct.pack("I", 2)  # as when the power goes: what is in the log's memory is lost


def seeds(few: int, many: int) -> list[int]:
    if "WINDLASS_SEED" in os.environ:
        first, _, last = os.environ["WINDLASS_SEED"].partition("-")
        return list(range(int(first), int(last or first) + 1))
    return list(range(many if "WINDLASS_SOAK" in os.environ else few))


class Disk:
    """A file system in an image file, mounted."""

    def __init__(self, folder: Path, kind: str, size: int = IMAGE_BYTES) -> None:
        self.kind = kind
        self.image = folder / f"{kind}.img"
        self.path = folder / kind
        self.path.mkdir()
        if kind == "tmpfs":
            self._options = ["-t", "tmpfs", "-o", f"size={size}", "none"]
        elif kind == "overlay":
            parts = [folder / f"overlay-{part}" for part in ("lower", "upper", "work")]
            for part in parts:
                part.mkdir()
            self._options = ["-t", "overlay", "-o", "lowerdir={},upperdir={},workdir={}".format(*parts), "none"]
        else:
            program = MAKE[kind]
            if shutil.which(program[0]) is None:
                pytest.skip(f"no {program[0]} here")
            with open(self.image, "wb") as image:
                image.truncate(size)
            subprocess.run([*program, str(self.image)], check=True, capture_output=True)
            self._options = ["-o", "loop", str(self.image)]
        self.mount()

    def mount(self) -> None:
        done = subprocess.run(["mount", *self._options, str(self.path)], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"mounts of {self.kind} are not allowed here: {done.stderr.strip()}")

    def unmount(self) -> None:
        """Waits where it is busy: the kernel closes the files of a killed process after its parent heard of the end."""
        deadline = time.monotonic() + BUSY_MAX_S
        while True:
            done = subprocess.run(["umount", str(self.path)], capture_output=True, text=True, check=False)
            if done.returncode == 0:
                return
            if "busy" not in done.stderr or time.monotonic() > deadline:
                raise OSError(f"{done.stderr.strip()}\n{self._users()}")
            time.sleep(0.05)

    def _users(self) -> str:
        """Which processes hold files beneath, for the message."""
        top = str(self.path)
        held: dict[str, list[str]] = {}
        for entry in Path("/proc").glob("[0-9]*/fd/*"):
            with suppress(OSError):
                path = os.readlink(entry)
                if path == top or path.startswith(top + "/"):
                    held.setdefault(entry.parts[2], []).append(path)
        return "\n".join(f"process {pid} holds {paths}" for pid, paths in held.items()) or "no process holds a file"

    def lose_power(self) -> None:
        """What was not synced is gone; `unmount` and `mount` start again."""
        fd = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, _SHUTDOWN, _WITHOUT_LOG)
        finally:
            os.close(fd)

    def close(self) -> None:
        if os.path.ismount(self.path):
            self.unmount()
        with suppress(FileNotFoundError):
            self.image.unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[..., Disk]]:
    """`disk(kind, size)` makes and mounts one."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount")
    made: list[Disk] = []

    def make(kind: str, size: int = IMAGE_BYTES) -> Disk:
        made.append(Disk(tmp_path, kind, size))
        return made[-1]

    try:
        yield make
    finally:
        for one in made:
            one.close()


def leftovers(folder: Path) -> list[str]:
    return [
        os.path.join(top, name)
        for top, folders, files in os.walk(folder)
        for name in folders + files
        if name.startswith(".windlass-")
    ]


def fallbacks(node: windlass.LocalNode, done: int) -> dict[str, float]:
    """How often a daemon's stager had to do the plainer thing, by kind; once it tells of so many transfers done."""
    deadline = time.monotonic() + 30
    while True:
        with urllib.request.urlopen(f"{node.http_url}/metrics", timeout=10) as page:
            text = page.read().decode()
        told = dict(re.findall(r'^windlass_stage_(?:transfers|fallbacks)_total{\w+="(\w+)"} (\S+)', text, re.MULTILINE))
        if float(told["done"]) >= done:
            return {kind: float(count) for kind, count in told.items()}
        assert time.monotonic() < deadline, told
        time.sleep(0.02)


def noise(size: int, seed: int) -> bytes:
    """Bytes that differ from seed to seed and from sector to sector."""
    head, body = seed.to_bytes(8, "little"), bytes([seed % 251]) * 496
    return b"".join(head + number.to_bytes(8, "little") + body for number in range(size // 512 + 1))[:size]

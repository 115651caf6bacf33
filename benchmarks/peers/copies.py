"""Ways to copy one file, and what the benchmark does to files around them."""

from __future__ import annotations

import ctypes
import os
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

_BUFFER = 16 << 20
GLOMMIO_COPY = Path(__file__).parents[2] / "build/peers/windlass_glommio_copy"  # by benchmarks/build_peers


def python_16mib(source: Path, target: Path) -> None:
    """The loop that teams have today: read and write in pieces of 16 MiB."""
    with open(source, "rb") as reader, open(target, "wb") as writer:
        while piece := reader.read(_BUFFER):
            writer.write(piece)


def with_shutil(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)


def with_cp(source: Path, target: Path) -> None:
    subprocess.run(["cp", "--reflink=auto", "--", source, target], check=True)


def with_rsync(source: Path, target: Path) -> None:
    subprocess.run(["rsync", "--whole-file", "--inplace", "--", source, target], check=True)


def with_sendfile(source: Path, target: Path) -> None:
    with open(source, "rb") as reader, open(target, "wb") as writer:
        while os.sendfile(writer.fileno(), reader.fileno(), None, 1 << 30):
            pass


PEERS: dict[str, Callable[[Path, Path], None]] = {
    "python-16MiB": python_16mib,
    "shutil": with_shutil,
    "cp": with_cp,
    "rsync": with_rsync,
    "sendfile": with_sendfile,
}
PROGRAMS = {"cp": "cp", "rsync": "rsync"}


def fio_command(pairs: list[tuple[Path, Path]], size: int) -> list[str]:
    """The disk's own limit: fio reads sources and writes targets at once, with direct I/O, and copies nothing."""
    common = ["--direct=1", "--bs=1M", "--ioengine=libaio", "--iodepth=8", "--allow_file_create=1", f"--size={size}"]
    command = ["fio", "--minimal", *common]
    for number, (source, target) in enumerate(pairs):
        command += [f"--name=read{number}", "--rw=read", f"--filename={source}", *common]
        command += [
            f"--name=write{number}",
            "--rw=write",
            "--fallocate=none",
            "--end_fsync=1",
            f"--filename={target}",
            *common,
        ]
    return command


def fill(path: Path, size: int) -> None:
    """A file of bytes that no file system can make smaller; synced."""
    block = random.Random(path.name).randbytes(min(size, 4 << 20))
    with open(path, "wb") as file:
        written = 0
        while written < size:
            stamp = written.to_bytes(8, "little")
            piece = (stamp + block[8:])[: size - written]
            written += file.write(piece)
        os.fsync(file.fileno())


def forget(path: Path) -> None:
    """Puts a file's clean pages out of the page cache."""
    with open(path, "rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def sync(path: Path) -> None:
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def xxh3_library() -> ctypes.CDLL | None:
    """libxxhash, or None where it is not installed."""
    try:
        library = ctypes.CDLL("libxxhash.so.0")
    except OSError:
        return None
    library.XXH3_createState.restype = ctypes.c_void_p
    library.XXH3_64bits_digest.restype = ctypes.c_uint64
    return library


def xxh3(library: ctypes.CDLL, path: Path) -> int:
    """XXH3 (64 bits) of a file, read in pieces of 1 MiB."""
    state = ctypes.c_void_p(library.XXH3_createState())
    buffer = ctypes.create_string_buffer(1 << 20)
    try:
        library.XXH3_64bits_reset(state)
        with open(path, "rb", buffering=0) as file:
            while count := file.readinto(buffer):
                library.XXH3_64bits_update(state, buffer, ctypes.c_size_t(count))
        return int(library.XXH3_64bits_digest(state))
    finally:
        library.XXH3_freeState(state)

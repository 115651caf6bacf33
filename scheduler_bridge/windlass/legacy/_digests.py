"""The checksums by name."""

from __future__ import annotations

import hashlib
from typing import Protocol

from ._crc import crc32c, crc64nvme
from ._xxh3 import Xxh3

_ZEROS = bytes(1 << 20)


class Digest(Protocol):
    def update(self, data: bytes, /) -> None: ...

    def hexdigest(self) -> str: ...


def new_digest(name: str) -> Digest:
    if name == "xxh3":
        return Xxh3()
    if name == "crc32c":
        return crc32c()
    if name == "crc64nvme":
        return crc64nvme()
    return hashlib.new(name, usedforsecurity=False)


def update_zeros(digest: Digest, count: int) -> None:
    """A hole, as its bytes read."""
    while count > 0:
        digest.update(_ZEROS[: min(count, len(_ZEROS))])
        count -= len(_ZEROS)

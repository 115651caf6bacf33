"""`Transfer`: one thing to bring from a source to a target.

A Transfer only holds what the caller wrote. It is checked when a call takes it (`_stage_encode`), so that a malformed
field refuses the whole call before anything begins, and so that a relative path or a deadline in seconds means what it
means at that moment.
"""

from __future__ import annotations

import datetime
import os
from dataclasses import KW_ONLY, dataclass
from typing import Union

Path = Union[str, bytes, "os.PathLike[str]", "os.PathLike[bytes]"]


@dataclass(frozen=True)
class Transfer:
    """One file or tree to stage.

    source      a path, or a URL: file://, http(s)://, s3://bucket/key, windlass://node/path; a folder is a tree
    target      the path of the file (or tree) itself, or for results s3://... or windlass://node/path
    range       (first byte, length) of the source
    size        how many bytes must get published (of what comes out, where it is decompressed; a checksum likewise)
    checksum    "xxh3:HEX" (or crc32c, crc64nvme, sha256, md5) to check, or the bare name to compute and report
    mode        exact permission bits of the target, such as 0o640; None: the source's
    priority    higher first
    deadline    seconds from the call on, or an aware datetime: what has not begun by then ends `expired`
    decompress  "gzip", "zstd", or "auto": by the first bytes; what is neither is copied as it is
    cache, pin  through the node's cache; in process both do nothing
    kind        "input", or "result" (which is `full` durable unless told otherwise)
    durability  "none": renamed; "file": synced before; "full": its folders too
    symlinks    in trees: "keep", "skip", or "refuse" those that leave the tree
    tree_atomic a tree appears all at once or not at all
    """

    source: Path
    target: Path
    _: KW_ONLY
    range: tuple[int, int] | None = None
    size: int | None = None
    checksum: str | None = None
    mode: int | None = None
    priority: int = 0
    deadline: float | datetime.datetime | None = None
    decompress: str | None = None
    cache: bool = False
    pin: bool = False
    kind: str = "input"
    durability: str | None = None
    symlinks: str | None = None
    tree_atomic: bool = False

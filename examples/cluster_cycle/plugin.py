"""What runs inside each Dask worker: a plugin that opens a Client to the node's daemon, and the task that uses it."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import Any

import windlass
from distributed import Worker, WorkerPlugin, get_worker


class NodeClient(WorkerPlugin):
    """Keeps one `windlass.Client` per worker; `addresses` tells each worker the socket of its node's daemon."""

    name = "windlass"

    def __init__(self, addresses: dict[str, str]) -> None:
        self.addresses = addresses

    def setup(self, worker: Worker) -> None:
        self.client = windlass.Client(self.addresses[worker.name])

    def teardown(self, worker: Worker) -> None:
        self.client.close()


def read_staged(path: str, result: str, home: str) -> dict[str, Any]:
    """Reads one staged file, writes its digest beside it, and has the node's daemon bring that home."""
    begin = time.time()
    content = Path(path).read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    Path(result).write_text(digest)
    client = get_worker().plugins["windlass"].client
    client.stage([windlass.Transfer(result, home, kind="result", durability="none")])
    return {"digest": digest, "bytes": len(content), "worker": get_worker().name, "begin": begin, "end": time.time()}

"""What does a client that only waits cost, and does it slow down one that works?

Cases: `1K`, `10K`, and `max`, the hard limit of descriptors less a hundred. The clients live in a process of their own,
come by tcp with the NULL mechanism, and are welcomed each (windlassd) or hear their greeting back (the echo). A row is
the resident memory that each added to the server; `accept_s` how long it took until all were welcomed; `active_p50`
and `active_p99` what one more client waits for an answer while they are there, `alone_p50` and `alone_p99` before.
"""

from __future__ import annotations

import os
import re
import resource
import statistics
import subprocess
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import show, wire
from benchmarks.harness import Row, WrongAnswer, measure

UNIT, BETTER = "bytes per client", "less"
CASES = ("1K", "10K", "max")
QUICK_CASES = ("1K",)
ROUNDS = 3
WHO = ("windlass", "cppzmq-echo")
SPARE = 100  # descriptors of the limit that are left to the server itself
ACTIVE_REQUESTS, ACTIVE_REQUESTS_QUICK = 20_000, 2_000


def parse_case(case: str) -> int:
    """`10K` -> 10000."""
    if case == "max":
        return resource.getrlimit(resource.RLIMIT_NOFILE)[1] - SPARE
    found = re.fullmatch(r"([1-9]\d*)(K?)", case)
    if not found:
        raise ValueError(f"case {case!r}: expected a number of clients, such as 10K, or max")
    return int(found[1]) * (1000 if found[2] else 1)


def run(
    case: str, *, rounds: int, quick: bool, who: list[str] | None, folder: Path | None, say: Callable[[str], None]
) -> list[Row]:
    clients = parse_case(case)
    requests = ACTIVE_REQUESTS_QUICK if quick else ACTIVE_REQUESTS
    told: dict[str, list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory(dir=folder, prefix="wire-") as place:
        peers = wire.chosen(WHO, who, told)
        for peer in peers:
            if peer.absent is None:
                peer.run = partial(one, peer.who, clients, requests, Path(place))
        rows = measure(case, peers, rounds, say)
    return [row if "absent" in row else {**row, **_figures(told[row["who"]]), "clients": clients} for row in rows]


def one(who: str, clients: int, requests: int, folder: Path) -> dict[str, float]:
    """A fresh server, the active client alone, all the others, and the active one among them."""
    with wire.serve(who, "tcp", folder) as server:
        alone = wire.ask(server, 1, requests)
        before = _resident(server.pid)
        words = [str(wire.program("hold")), str(server.script), server.address, str(clients)]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as crowd:
            assert crowd.stdin is not None and crowd.stdout is not None
            said = crowd.stdout.readline()
            found = re.search(r'"accept_s": ([\d.]+)', said)
            if not found:
                raise WrongAnswer(f"{who}: not all of {clients} clients were welcomed")
            each = (_resident(server.pid) - before) / clients
            active = wire.ask(server, 1, requests)
            crowd.stdin.close()
    return {
        "each": each,
        "accept_s": float(found[1]),
        **{f"active_{key}": active[key] for key in ("p50", "p99")},
        **{f"alone_{key}": alone[key] for key in ("p50", "p99")},
    }


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _figures(runs: list[dict[str, float]]) -> dict[str, float]:
    middle = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
    each = [run["each"] for run in runs]
    return {"median": middle.pop("each"), "min": min(each), "max": max(each), **middle}


def details(answer: dict[str, Any]) -> str:
    """Accept times and the active client's latency, with and without the others."""
    lines = [["case", "who", "clients", "accept s", "p50 us", "alone", "p99 us", "alone"]]
    for row in answer["rows"]:
        if "absent" not in row:
            keys = ("active_p50", "alone_p50", "active_p99", "alone_p99")
            micros = [f"{row[key] * 1e6:,.1f}" for key in keys]
            lines.append([row["case"], row["who"], f"{row['clients']:,}", f"{row['accept_s']:.3f}", *micros])
    return show.aligned(lines)

"""What does an exact answer cost at sizes where a scan takes long, and where an index helps least?

Cases are `TASKSxOFFERS[-packing]:KIND`, the kinds those of `benchmarks.columns`. Each engine runs in a process of its
own from columns; `rss_bytes` is the memory that a call took beyond its inputs. `simd-scan` is a plain scan of all free
offers. Answers are compared with those of the scalar engine up to 20K x 20K, above with the digests kept in
`scale_digests.json`; one that is missing is made by the plain scan, which takes minutes.
"""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import columns
from benchmarks.harness import CannotRun, Peer, Row, WrongAnswer, measure
from benchmarks.peers import scan

UNIT, BETTER = "s", "less"
ADVERSARIES = ("all-tie", "near", "none-fits", "correlated", "grid", "sum-ties")
LARGE = tuple(f"{size}:{kind}" for size in ("100Kx100K", "1Mx100K-packing") for kind in ("continuous", "shapes"))
CASES = (*LARGE, "20Kx20K:continuous", *(f"20Kx20K:{kind}" for kind in ADVERSARIES))
QUICK_CASES = tuple(f"20Kx20K:{kind}" for kind in ("continuous", "shapes", *ADVERSARIES))
ROUNDS = 3
SEED = 20
STORE = Path(__file__).with_name("scale_digests.json")
ENGINES = {"windlass": "auto", "simd-scan": "simd-scan"}
_PAIRS_CHECKED = 400_000_000  # pairs of task and offer up to which the run computes what is right
_UNITS = {"": 1, "K": 1000, "M": 1_000_000}

Sizes = tuple[str, str, int, int]


def parse_case(case: str) -> Sizes:
    """`1Mx100K-packing:shapes` -> ("shapes", "packing", 1000000, 100000)."""
    found = re.fullmatch(r"(\d+)([KM]?)x(\d+)([KM]?)(-packing)?:([a-z-]+)", case)
    if not found or found[6] not in columns.KINDS:
        raise ValueError(f"case {case!r}: expected TASKSxOFFERS[-packing]:KIND, KIND one of {', '.join(columns.KINDS)}")
    mode = "packing" if found[5] else "exclusive"
    return found[6], mode, int(found[1]) * _UNITS[found[2]], int(found[3]) * _UNITS[found[4]]


def run(
    case: str, *, rounds: int, quick: bool, who: list[str] | None, folder: Path | None, say: Callable[[str], None]
) -> list[Row]:
    del quick, folder
    sizes = parse_case(case)
    say(f"{case}: the oracle")
    right = expected(case, say)
    told: dict[str, list[dict[str, Any]]] = {}
    with contextlib.ExitStack() as stack:
        peers: list[Peer] = []
        names = [name for name in ENGINES if not who or name.startswith(tuple(who))]
        for name in names:
            if name == "simd-scan" and scan.ABSENT:
                peers.append(Peer(name, absent=scan.ABSENT))
            else:
                peers.append(_peer(name, stack.enter_context(Worker(ENGINES[name], sizes)), right, told))
        rows = measure(case, peers, rounds, say)
    for row in rows:
        if "absent" not in row:
            answers = told[row["who"]]
            row["rss_bytes"] = max(answer["rss_bytes"] for answer in answers)
            row.update({key: answers[0][key] for key in ("digest", "engine", "placed")})
    return rows


def expected(case: str, say: Callable[[str], None] = lambda text: None) -> str:
    """The digest of the right answer: computed where that is quick, else the stored one, else computed and stored."""
    _, _, tasks, offers = parse_case(case)
    if tasks * offers <= _PAIRS_CHECKED:
        return compute(case, "scalar")
    stored = json.loads(STORE.read_text()) if STORE.exists() else {}
    if case not in stored:
        engine = "scalar" if scan.ABSENT else "simd-scan"
        say(f"{case}: no digest in {STORE.name}; the {engine} engine computes it, which takes minutes")
        stored[case] = compute(case, engine)
        STORE.write_text(json.dumps(stored, indent=1, sort_keys=True) + "\n")
        say(f'{case}: by the {engine} engine "{case}": "{stored[case]}", now in {STORE}; commit it')
    return str(stored[case])


def compute(case: str, engine: str) -> str:
    """The digest of one engine's answer."""
    with Worker(engine, parse_case(case)) as worker:
        worker.ask("match")
        return str(worker.ask("told")["digest"])


class Worker:
    """A process with one engine and one problem (`scale_worker`)."""

    def __init__(self, engine: str, sizes: Sizes) -> None:
        command = [sys.executable, "-m", "benchmarks.scale_worker", engine, *map(str, sizes), str(SEED)]
        root = Path(__file__).resolve().parent.parent
        self.engine = engine
        self.process = subprocess.Popen(
            command,
            cwd=root,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._read()

    def ask(self, what: str) -> dict[str, Any]:
        """Sends a line and waits for the answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(what + "\n")
        self.process.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise CannotRun(f"the process of the {self.engine} engine ended with {self.process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *unused: object) -> None:
        self.process.kill()
        self.process.communicate()


def _peer(name: str, worker: Worker, right: str, told: dict[str, list[dict[str, Any]]]) -> Peer:
    def check(unused: Any) -> None:
        answer = worker.ask("told")
        if answer["engine"] == "legacy":
            raise CannotRun("no libwindlass: make build")
        if answer["digest"] != right:
            raise WrongAnswer(f"{name} answers otherwise than the scalar engine: {answer['digest']}, not {right}")
        told.setdefault(name, []).append(answer)

    return Peer(name, lambda: worker.ask("match"), check, pids=[worker.process.pid])

"""How long does a small request take through the daemon's front, beside a server that does nothing?

Cases: `closed8:tcp` and `closed8:ipc`, eight clients that ask again once they are answered; `open10K` and so on, that
many requests a second over eight tcp connections on a fixed schedule, whatever comes back, latency counted from the
moment the schedule names. `windlass` answers a MATCH of four tasks, each answer compared byte by byte; `cppzmq-echo` (a
ROUTER) and `epoll-echo` (no protocol at all) send the same bytes back. A figure is the median of its rounds.
"""

from __future__ import annotations

import contextlib
import re
import statistics
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import show, wire
from benchmarks.harness import Row, measure

UNIT, BETTER = "s", "less"
CASES = ("closed8:tcp", "closed8:ipc", "open10K", "open30K", "open50K")
QUICK_CASES = ("closed8:tcp", "closed8:ipc", "open10K")
ROUNDS = 9
WHO = ("windlass", "cppzmq-echo", "epoll-echo")
CLIENTS = 8
CLOSED_REQUESTS, CLOSED_REQUESTS_QUICK = 120_000, 5_000  # of one round: a million in nine
OPEN_SECONDS, OPEN_SECONDS_QUICK = 4.0, 0.5


def parse_case(case: str) -> tuple[int, str, float]:
    """`closed8:ipc` -> (8, "ipc", 0.0); `open10K` -> (8, "tcp", 10000.0)."""
    found = re.fullmatch(r"closed(\d+):(tcp|ipc)|open(\d+)(K?)", case)
    if not found or found[1] == "0" or found[3] == "0":
        raise ValueError(f"case {case!r}: expected closedCLIENTS:tcp, closedCLIENTS:ipc or openRATE, such as open10K")
    if found[1]:
        return int(found[1]), found[2], 0.0
    return CLIENTS, "tcp", float(found[3]) * (1000 if found[4] else 1)


def run(
    case: str, *, rounds: int, quick: bool, who: list[str] | None, folder: Path | None, say: Callable[[str], None]
) -> list[Row]:
    clients, transport, rate = parse_case(case)
    if rate:
        requests = int(rate * (OPEN_SECONDS_QUICK if quick else OPEN_SECONDS))
    else:
        requests = CLOSED_REQUESTS_QUICK if quick else CLOSED_REQUESTS
    told: dict[str, list[dict[str, Any]]] = {}
    with contextlib.ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=folder, prefix="wire-")))
        peers = wire.chosen(WHO, who, told)
        for peer in peers:
            if peer.absent is None:
                server = stack.enter_context(wire.serve(peer.who, transport, place))
                peer.run = partial(wire.ask, server, clients, requests, rate)
                peer.pids = [server.pid]
        rows = measure(case, peers, rounds, say)
    return [row if "absent" in row else {**row, **figures(told[row["who"]])} for row in rows]


def figures(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """What the runs of a row come to."""

    def middle(key: str) -> float:
        return statistics.median(run[key] for run in runs)

    halves = [run["p50"] for run in runs]
    columns = zip(*(run["percentiles"] for run in runs), strict=True)
    return {
        "median": statistics.median(halves),
        "min": min(halves),
        "max": max(halves),
        "rate": middle("rate"),
        "p99": middle("p99"),
        "p999": middle("p999"),
        "requests": sum(run["requests"] for run in runs),
        **{key: [statistics.median(run[key][at] for run in runs) for at in (0, 1)] for key in ("between", "together")},
        "percentiles": [[points[0][0], statistics.median(value for _, value in points)] for points in columns],
    }


def details(answer: dict[str, Any]) -> str:
    """Rates, tails and the table of percentiles, in microseconds, and how far each is from epoll."""
    rows = [row for row in answer["rows"] if "absent" not in row]
    bare = {row["case"]: row["median"] for row in rows if row["who"] == "epoll-echo"}
    lines = [["case", "who", "requests/s", "p50 us", "p99 us", "p99.9 us", "p50 / epoll's", "requests"]]
    for row in rows:
        ratio = f"{row['median'] / bare[row['case']]:.2f}" if row["case"] in bare else ""
        micros = [f"{row[key] * 1e6:,.1f}" for key in ("median", "p99", "p999")]
        lines.append([row["case"], row["who"], f"{row['rate']:,.0f}", *micros, ratio, f"{row['requests']:,}"])
    shown = (0.0, 0.5, 0.75, 0.875, 0.9375, 0.96875, 0.984375, 0.9921875, 0.99609375, 0.998046875, 0.9990234375)
    heads = [f"{100 * quantile:.6g}%" for quantile in shown]
    table = [["case", "who", *heads]]
    for row in rows:
        at = {round(quantile, 9): value for quantile, value in row["percentiles"]}
        cells = [f"{at[round(q, 9)] * 1e6:,.1f}" if round(q, 9) in at else "" for q in shown]
        table.append([row["case"], row["who"], *cells])
    tail = [["case", "who", "between", "of the slowest", "together", "of the slowest"]]
    for row in rows:
        means = [f"{value:.1f}" for key in ("between", "together") for value in row[key]]
        tail.append([row["case"], row["who"], *means])
    return (
        f"{show.aligned(lines)}\n\nlatency in us by percentile\n{show.aligned(table)}\n\n"
        "answers between asking and the answer, and together with it: the mean of all, and of the slowest 1 %\n"
        f"{show.aligned(tail)}"
    )


def plot(answer: dict[str, Any], file: Path) -> None:
    """Latency by percentile, the tail drawn out, one panel per case."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rows = [row for row in answer["rows"] if "absent" not in row]
    cases = list(dict.fromkeys(row["case"] for row in rows))
    figure, panels = plt.subplots(len(cases), 1, figsize=(9, 3.2 * len(cases)), squeeze=False, layout="constrained")
    for panel, case in zip(panels[:, 0], cases, strict=True):
        for row in rows:
            if row["case"] == case:
                across = [1 / (1 - quantile) for quantile, _ in row["percentiles"]]
                panel.plot(across, [value * 1e6 for _, value in row["percentiles"]], label=row["who"])
        panel.set(xscale="log", yscale="log", title=f"{answer['name']} {case}", ylabel="us")
        ticks = [1, 2, 10, 100, 1000, 10_000, 100_000]
        panel.set_xticks(ticks, ["0", "50%", "90%", "99%", "99.9%", "99.99%", "99.999%"])
        panel.grid(alpha=0.3)
        panel.legend(fontsize=8)
    figure.savefig(file, dpi=120)
    plt.close(figure)

"""The table that the demo prints, and the same as cycle.json."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from benchmarks.show import aligned


def step(name: str, today_s: float, windlass_s: float, *, note: str = "", complete: bool = True) -> dict[str, Any]:
    """One row; `complete` is False where today's loop was stopped before its end."""
    ratio = today_s / windlass_s if windlass_s else None
    return {
        "step": name,
        "today_s": today_s,
        "windlass_s": windlass_s,
        "ratio": ratio,
        "complete": complete,
        "note": note,
    }


def table(steps: list[dict[str, Any]]) -> str:
    lines = [["step", "", "today's Python loop", "Windlass", "ratio"]]
    for row in steps:
        more = "" if row["complete"] else "> "
        ratio = f"{more}{row['ratio']:.1f}x" if row["ratio"] is not None else ""
        lines.append([row["step"], row["note"], f"{more}{row['today_s']:.3f} s", f"{row['windlass_s']:.3f} s", ratio])
    return aligned(lines)


def write(answer: dict[str, Any], file: Path) -> None:
    file.write_text(json.dumps(answer, indent=1) + "\n")


def write_placed(names: dict[str, str], placed: dict[str, str], file: Path) -> None:
    """`task,offer,node` with the names of the user's files."""
    with open(file, "w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["task", "offer", "node"])
        for offer, task in placed.items():
            writer.writerow([task, names[offer], offer.partition("/")[0]])


def summary(answer: dict[str, Any]) -> str:
    checks = answer["checks"]
    megabytes = answer["bytes"] / 1e6
    lines = [
        f"{answer['placed']:,} of {answer['tasks']:,} tasks placed on {answer['offers']:,} offers, as windlass.legacy",
        f"{answer['files']} files, {megabytes:,.0f} MB, staged to {answer['nodes']} nodes and read whole on Dask",
    ]
    if "float_loop_agrees" in checks:
        lines.append(f"today's loop works in floats and gives {checks['float_loop_agrees']:.2%} of the same placements")
    if checks["match_fallbacks"]:
        lines.append(f"matching fell back to windlass.legacy {checks['match_fallbacks']} times, with the same answer")
    if checks["staged_again"]:
        lines.append(f"{checks['staged_again']} files were staged again after a daemon had died; no file was torn")
    return "\n".join(lines)

"""The cycle as a picture: when what ran where, and the steps beside today's loop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_COLOURS = {
    "get offers": "#8da0b6",
    "get tasks": "#b3a38d",
    "match": "#1f6f8b",
    "prepare payloads": "#d98b3a",
    "task": "#5b9a68",
}


def draw(answer: dict[str, Any], file: Path) -> None:
    """`answer` is what stands in cycle.json."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (above, below) = plt.subplots(
        2, 1, figsize=(10, 7), layout="constrained", gridspec_kw={"height_ratios": [3, 2]}
    )
    _timeline(above, answer["timeline"])
    _steps(below, answer["steps"])
    figure.suptitle(
        f"One cycle: {answer['tasks']:,} tasks, {answer['offers']:,} offers, {answer['nodes']} nodes, "
        f"{answer['files']} files, {answer['bytes'] / 1e6:,.0f} MB"
    )
    figure.savefig(file, dpi=120)
    plt.close(figure)


def _timeline(panel: Any, events: list[dict[str, Any]]) -> None:
    first, *others = dict.fromkeys(event["lane"] for event in events)
    lanes = [*sorted(others, reverse=True), first]
    for event in events:
        colour = _COLOURS.get(event["name"], "#999999")
        width = max(event["end"] - event["begin"], 0.002)
        panel.broken_barh([(event["begin"], width)], (lanes.index(event["lane"]) - 0.38, 0.76), color=colour)
    panel.set_yticks(range(len(lanes)), lanes)
    panel.set_xlabel("seconds since the cycle began")
    names = [name for name in _COLOURS if any(event["name"] == name for event in events)]
    handles = [panel.plot([], [], color=_COLOURS[name], linewidth=6)[0] for name in names]
    panel.legend(handles, names, loc="upper right", fontsize=8)
    panel.set_title("What ran when", fontsize=10)


def _steps(panel: Any, steps: list[dict[str, Any]]) -> None:
    shown = [step for step in steps if step["today_s"]][::-1]
    for row, step in enumerate(shown):
        panel.barh(row + 0.2, step["today_s"], 0.38, color="#b8b8b8")
        panel.barh(row - 0.2, step["windlass_s"], 0.38, color="#1f6f8b")
        panel.text(step["today_s"] * 1.05, row + 0.2, f"{step['today_s']:.3g} s", va="center", fontsize=8)
        panel.text(step["windlass_s"] * 1.05, row - 0.2, f"{step['windlass_s']:.3g} s", va="center", fontsize=8)
    panel.set_yticks(range(len(shown)), ["\n".join(filter(None, [step["step"], step["note"]])) for step in shown])
    panel.set_xscale("log")
    panel.margins(x=0.15)
    panel.set_xlabel("seconds (logarithmic): today's Python loop in grey, Windlass in blue")
    panel.set_title("The steps", fontsize=10)

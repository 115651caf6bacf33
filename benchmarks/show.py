"""Rows as a table and as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

Answer = dict[str, Any]


def table(answer: Answer) -> str:
    """Cases one after another; the ratio is to the best peer that is not ours: above 1 is better than it."""
    columns = ["case", "who", "median", "min", "max", "runs", "cpu_s", "vs best peer"]
    lines = [columns]
    for row in answer["rows"]:
        if "absent" in row:
            lines.append([label(row), row["who"], f"absent: {row['absent']}", "", "", "", "", ""])
            continue
        ratio = _ratio(answer, row)
        figures = [_figure(row[key]) for key in ("median", "min", "max")]
        cpu = _figure(row["cpu_s"]) if "cpu_s" in row else ""
        lines.append([label(row), row["who"], *figures, str(row["runs"]), cpu, ratio])
    return f"{answer['name']} ({answer['unit']}, {answer['better']} is better)\n" + aligned(lines)


def label(row: dict[str, Any]) -> str:
    """What rows have in common that may be compared: the case, and the step where there is one."""
    return " ".join(filter(None, [row["case"], row.get("step")]))


def aligned(lines: list[list[str]]) -> str:
    """Columns of text, the first two to the left, the others to the right; a row of absence is left as it is."""
    plain = [line for line in lines if not (len(line) > 2 and line[2].startswith("absent"))]
    widths = [max(len(line[column]) for line in plain) for column in range(len(lines[0]))]
    widths[:2] = [max(len(line[column]) for line in lines) for column in range(2)]
    out = []
    for line in lines:
        cells = [text.ljust(width) for text, width in zip(line[:2], widths[:2], strict=True)]
        if line in plain:
            cells += [text.rjust(width) for text, width in zip(line[2:], widths[2:], strict=True)]
        else:
            cells.append(line[2])
        out.append("  ".join(cells).rstrip())
    return "\n".join(out)


def _best(answer: Answer, case: str) -> float | None:
    peers = [
        row["median"]
        for row in answer["rows"]
        if label(row) == case
        and "absent" not in row
        and not row["who"].startswith("windlass")
        and row.get("peer", True)
    ]
    if not peers:
        return None
    return float(min(peers) if answer["better"] == "less" else max(peers))


def _ratio(answer: Answer, row: dict[str, Any]) -> str:
    best = _best(answer, label(row))
    if best is None or not row["median"] or not best:
        return ""
    ratio = best / row["median"] if answer["better"] == "less" else row["median"] / best
    return f"{ratio:.2f}x"


def _figure(value: float) -> str:
    if 0 < value < 0.001:
        return f"{value:.7f}"
    return f"{value:.3f}" if value < 100 else f"{value:,.0f}"


def plot(answer: Answer, file: Path) -> None:
    """Horizontal bars, one panel per case, on a logarithmic scale where the figures span more than a decade."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    measured = [row for row in answer["rows"] if "absent" not in row]
    cases = list(dict.fromkeys(label(row) for row in measured))
    rows = {case: [row for row in measured if label(row) == case] for case in cases}
    height = sum(0.32 * len(rows[case]) + 1.0 for case in cases)
    figure, panels = plt.subplots(len(cases), 1, figsize=(9, height), squeeze=False, layout="constrained")
    for panel, case in zip(panels[:, 0], cases, strict=True):
        shown = rows[case][::-1]
        colours = ["#1f6f8b" if row["who"].startswith("windlass") else "#b8b8b8" for row in shown]
        bars = panel.barh([row["who"] for row in shown], [row["median"] for row in shown], color=colours)
        panel.bar_label(bars, labels=[_figure(row["median"]) for row in shown], padding=3, fontsize=8)
        medians = [row["median"] for row in shown if row["median"] > 0]
        if medians and max(medians) > 10 * min(medians):
            panel.set_xscale("log")
        panel.margins(x=0.15)
        panel.set_title(f"{answer['name']} {case}", fontsize=10)
        panel.set_xlabel(f"{answer['unit']}, {answer['better']} is better", fontsize=8)
    figure.savefig(file, dpi=120)
    plt.close(figure)

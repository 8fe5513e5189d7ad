"""Drift: columns and outputs by window, as a share of their thresholds."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from almanac.reports import COLOURS, Block, Note, Plot, Section, Table, Times, new_figure
from operations.reports.facts import Facts, Row

#: Columns in the table, and lines in the plot.
_LISTED, _DRAWN = 12, 4
_HEADER = ("column", "drifted", "of windows", "last score", "highest score", "missing", "cause")
_LINES = ("forecast", "warning", "truth", "neutral")


def section(facts: Facts) -> Section:
    """Return the section on drift."""
    return Section("Drift", _blocks(facts))


def _blocks(facts: Facts) -> Iterator[Block]:
    columns = by_column(facts)
    if not columns:
        yield Note("No window was compared with the reference in this period.")
        return
    rows = sorted((_row(name, found) for name, found in columns.items()), key=lambda row: (-row[1], -row[4], row[0]))
    yield Table(_HEADER, rows[:_LISTED])
    more = f" {len(rows) - _LISTED} columns with lower scores are left out." if len(rows) > _LISTED else ""
    yield Note(f"A score is the share of a threshold; from 1 on, the column has drifted.{more}")
    drawn = [name for name, *_ in rows[:_DRAWN]]
    if len(facts.windows) > 1:
        caption = "Scores of the columns with the highest ones, by window; the line is the threshold."
        yield Plot(_figure({name: columns[name] for name in drawn}, facts.times), caption)


def by_column(facts: Facts) -> dict[str, list[tuple[str, Row]]]:
    """Return the drift of each column or output by window, as pairs of the window's stop and the figures."""
    found: dict[str, list[tuple[str, Row]]] = {}
    for window in facts.windows:
        for row in facts.columns[window["run"], window["start"]]:
            name = f"{row['output']}: {row['column']}" if row["output"] else row["column"]
            found.setdefault(name, []).append((window["stop"], row))
    return found


def _row(name: str, found: list[tuple[str, Row]]) -> tuple[Any, ...]:
    scores = [row["score"] for _, row in found if row["score"] is not None]
    drifted = [row for _, row in found if row["drifted"]]
    cause = (drifted[-1]["cause"] or "–") if drifted else "–"
    last = scores[-1] if scores else None
    return name, len(drifted), len(found), last, max(scores, default=0.0), found[-1][1]["missing_rate"], cause


def _figure(columns: dict[str, list[tuple[str, Row]]], times: Times) -> Any:
    figure, axes = new_figure(height=2.4)
    plot = axes[0, 0]
    for (name, found), colour in zip(columns.items(), _LINES, strict=False):
        stops = [datetime.fromisoformat(stop) for stop, _ in found]
        scores = [float("nan") if row["score"] is None else row["score"] for _, row in found]
        plot.plot(stops, scores, color=COLOURS[colour], label=name, marker="." if len(found) < 40 else "")
    plot.axhline(1, color=COLOURS["neutral"], linestyle="--", linewidth=1)
    plot.set_title("Score of drift")
    plot.set_ylim(bottom=0)
    plot.legend(loc="upper left", ncols=len(columns))
    times.ticks(plot)
    return figure

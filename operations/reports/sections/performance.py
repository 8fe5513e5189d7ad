"""Performance: errors and coverage of each target by window, against persistence on the same rows."""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

from almanac.reports import COLOURS, Block, Note, Plot, Section, Table, Times, new_figure
from operations.reports.facts import Facts, Row

_HEADER = ("target", "windows", "first", "lowest", "highest", "last", "expected", "persistence", "coverage")
_ERRORS = (
    ("mae", "error", "forecast"),
    ("estimated_mae", "expected from the inputs", "neutral"),
    ("baseline_mae", "persistence", "warning"),
)


def section(facts: Facts) -> Section:
    """Return the section on performance."""
    return Section("Performance", _blocks(facts))


def points(facts: Facts, target: str) -> list[Row]:
    """Return a target's figures by window, oldest first, with the window's stop and version."""
    found = []
    for window in facts.windows:
        figures = facts.targets[window["run"], window["start"]].get(target)
        if figures is not None:
            found.append({**figures, "stop": window["stop"], "version": window["version"]})
    return found


def _blocks(facts: Facts) -> Iterator[Block]:
    targets = sorted({name for figures in facts.targets.values() for name in figures}, key=_by_numbers)
    if not targets:
        yield Note("No window was judged in this period, so that there are no errors to show.")
        return
    yield Table(_HEADER, [_row(name, points(facts, name)) for name in targets], digits=3)
    yield Note(
        "Mean absolute error by window: the first, the lowest, the highest and the last one; and of the last window "
        "the error that its inputs let expect, the error of persistence on the same rows, and the share of truths "
        "within the interval."
    )
    for name in targets:
        found = points(facts, name)
        if len(found) > 1:
            yield Plot(
                _figure(name, found, facts.times), f"{name}: error and coverage by window; a line marks a new version."
            )


def _by_numbers(name: str) -> list[int | str]:
    """Return a key that sorts 6h before 24h."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]


def _row(name: str, found: Sequence[Row]) -> tuple[Any, ...]:
    errors = [row["mae"] for row in found if row["mae"] is not None]
    if not errors:
        return (name, len(found), *[None] * 7)
    last = next(row for row in reversed(found) if row["mae"] is not None)
    spread = (errors[0], min(errors), max(errors), errors[-1])
    return (name, len(found), *spread, last["estimated_mae"], last["baseline_mae"], last["coverage"])


def _figure(name: str, found: Sequence[Row], times: Times) -> Any:
    figure, axes = new_figure(height=2.6, columns=2, gridspec_kw={"width_ratios": [3, 2]})
    left, right = axes[0]
    stops = [datetime.fromisoformat(row["stop"]) for row in found]
    for key, label, colour in _ERRORS:
        values = [float("nan") if row[key] is None else row[key] for row in found]
        if any(row[key] is not None for row in found):
            left.plot(stops, values, color=COLOURS[colour], label=label, marker="." if len(found) < 40 else "")
    left.set_title(f"{name}: mean absolute error")
    left.set_ylim(bottom=0)
    left.legend(loc="lower left", ncols=3)
    coverage = [float("nan") if row["coverage"] is None else row["coverage"] for row in found]
    right.plot(stops, coverage, color=COLOURS["forecast"], marker="." if len(found) < 40 else "")
    right.set_title("Share of truths within the interval")
    for before, after in pairwise(found):
        if before["version"] != after["version"]:
            for each in (left, right):
                each.axvline(datetime.fromisoformat(after["stop"]), color=COLOURS["truth"], linestyle=":")
    times.ticks(left)
    times.ticks(right, 5)
    return figure

"""How a task tells its progress: plain lines in a log, which a local run also draws as a bar.

[progress] 3/18 demand_1h: trial 3, rmse 20.91
[summary] 43824 rows; 3 warnings
"""

import re
from dataclasses import dataclass

_PROGRESS = re.compile(r"^\[progress\] (\d+)/(\d+) (.*)$")
_SUMMARY = re.compile(r"^\[summary\] (?:(\d+) rows; )?(.*)$")


@dataclass(frozen=True)
class Progress:
    """So many of so many units are done."""

    done: int
    total: int
    text: str


@dataclass(frozen=True)
class Summary:
    """What a task has to show for itself: its rows, where it has any, and its key figure."""

    rows: int | None
    figure: str


def progress(done: int, total: int, text: str) -> None:
    """Tell that `done` of `total` units are done."""
    print(f"[progress] {done}/{total} {text}", flush=True)


def summary(figure: str, rows: int | None = None) -> None:
    """Tell the task's key figure, and its rows where it has any."""
    print(f"[summary] {f'{rows} rows; ' if rows is not None else ''}{figure}", flush=True)


def figure(value: float) -> str:
    """Return a key figure as it is told: two decimals, or three digits where it is small."""
    return f"{value:.2f}" if abs(value) >= 1 else f"{value:.3g}"


def parse(line: str) -> Progress | Summary | None:
    """Return what a line of a task's log tells, or None where it tells nothing."""
    if match := _PROGRESS.match(line):
        return Progress(int(match[1]), int(match[2]), match[3])
    if match := _SUMMARY.match(line):
        return Summary(int(match[1]) if match[1] else None, match[2])
    return None

"""Progress of a task as plain lines in its log, which a local run also draws as a bar.

[progress] 3/18 demand_1h: trial 3, rmse 20.91
[summary] 43824 rows; 3 warnings
"""

import re
from dataclasses import dataclass

_PROGRESS = re.compile(r"^\[progress\] (\d+)/(\d+) (.*)$")
_SUMMARY = re.compile(r"^\[summary\] (?:(\d+) rows; )?(.*)$")


@dataclass(frozen=True)
class Progress:
    """Number of finished units of work, and their total."""

    done: int
    total: int
    text: str


@dataclass(frozen=True)
class Summary:
    """The result of a task in a line: its rows, if it has any, and a text."""

    rows: int | None
    text: str


def progress(done: int, total: int, text: str) -> None:
    """Print the progress of a task."""
    # Flushed, because the parent process draws while the task runs.
    print(f"[progress] {done}/{total} {text}", flush=True)


def summary(text: str, rows: int | None = None) -> None:
    """Print the result of a task."""
    print(f"[summary] {f'{rows} rows; ' if rows is not None else ''}{text}", flush=True)


def format_metric(value: float) -> str:
    """Return a metric with two decimals, or with three digits if it is below 1."""
    return f"{value:.2f}" if abs(value) >= 1 else f"{value:.3g}"


def parse(line: str) -> Progress | Summary | None:
    """Return the progress or the summary in a line of a log, None if it has neither."""
    if match := _PROGRESS.match(line):
        return Progress(int(match[1]), int(match[2]), match[3])
    if match := _SUMMARY.match(line):
        return Summary(int(match[1]) if match[1] else None, match[2])
    return None

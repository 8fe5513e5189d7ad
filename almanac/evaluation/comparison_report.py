"""The chapter of a report that compares the models of all targets with the baselines."""

import math
from collections.abc import Iterator
from typing import Any

from almanac.evaluation.interval_text import digits, percent, with_interval
from almanac.evaluation.labels import label, unit_of
from almanac.evaluation.metrics import ERRORS
from almanac.evaluation.plots import errors
from almanac.reports import Block, Note, Plot, Table, format_number

_SHOWN = {
    "regression": ("rmse", "mae", "mdape", "mae_log", "r2", "smape", "mase", "bias", "pinball"),
    "classification": ("log_loss", "brier", "ece", "auc", "bias", "base_rate"),
}
#: Targets that fit beside each other in a table.
_COLUMNS = 3


def comparison(targets: dict[str, Any], events: bool) -> Iterator[Block]:
    """Yield the plot of all errors, and tables of a few targets each.

    Args:
        targets: entries of metrics.json by target.
        events: whether the rows are events.
    """
    yield Plot(
        errors.overview(targets, events),
        "Errors of the model and of the baselines; each baseline on the rows where it has a forecast.",
    )
    for task in sorted({entry["task"] for entry in targets.values()}):
        names = [name for name, entry in targets.items() if entry["task"] == task]
        columns = math.ceil(len(names) / math.ceil(len(names) / _COLUMNS))
        for start in range(0, len(names), columns):
            yield _figures(task, {name: targets[name] for name in names[start : start + columns]})
    yield Note(
        "Skill is the share of a baseline's error that the model saves, on the rows where the baseline has a forecast: "
        "persistence repeats the last known value, seasonal the newest known value of the same phase (where the target "
        "lies whole seasons ahead the two are one, called persistence), mean is that of the training span, climatology "
        "that at the same phase, recent mean that of the last season, and drift adds the training span's slope to the "
        "last value. The skill in the headlines and at the gate is the one against the best of them on the rows where "
        "all have a forecast."
    )


def _figures(task: str, entries: dict[str, Any]) -> Table:
    """Return the figures of the targets, a column for each."""
    shown = [metric for metric in _SHOWN[task] if any(entry.get(metric) is not None for entry in entries.values())]
    names = [f"{name} ({unit_of(entry)})" if unit_of(entry) else name for name, entry in entries.items()]
    rows = [[label(m), *(with_interval(e[m], e["ci"].get(m), digits(e, m)) for e in entries.values())] for m in shown]
    return Table(["", *names], rows + _against_baselines(list(entries.values())))


def _against_baselines(entries: list[dict[str, Any]]) -> list[list[Any]]:
    """Return the rows of the comparison on baselines and intervals."""
    # Targets of another leading error would need lines of their own.
    leading = {entry["headline"]["metric"] for entry in entries}
    metric = leading.pop() if len(leading) == 1 else ERRORS[entries[0]["task"]][0]
    rows: list[list[Any]] = []
    for name in dict.fromkeys(name for entry in entries for name in entry["skill"]):
        there = (e["baselines"][name][metric] if name in e["skill"] else None for e in entries)
        theirs = (
            "–" if error is None else format_number(error, digits(e, metric))
            for e, error in zip(entries, there, strict=True)
        )
        said = name.replace("_", " ")
        rows.append([f"{label(metric)} of {said}", *theirs])
        skills = (e["skill"].get(name) for e in entries)
        rows.append([f"Skill against {said}", *(percent(s[metric], s["cis"][metric]) if s else "–" for s in skills)])
    best = (
        f"{percent(e['headline']['skill'], e['headline']['ci'])} {(e['headline']['baseline'] or '').replace('_', ' ')}"
        for e in entries
    )
    rows.append(["Skill against the best baseline", *best])
    if all("coverage" in entry for entry in entries):
        coverages = [entry["coverage"] for entry in entries]
        rows.append(["Interval coverage", *(percent(c["overall"], c["ci"]) for c in coverages)])
        rows.append(["Interval width", *(with_interval(c["width"], c["width_ci"], 1) for c in coverages)])
    return rows

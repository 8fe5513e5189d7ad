"""Report that sets runs side by side: figures on the same rows, settings, forecasts over time."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from almanac.reports import Note, Page, Plot, Section, Table, new_figure

if TYPE_CHECKING:
    import polars as pl
    from matplotlib.figure import Figure

_LINES = ("#0a7e8c", "#d1495b", "#8d6a9f", "#e0a030", "#4a7c59", "#8d99ae")
#: Rows that are drawn as a line; more would be a block of ink.
_DRAWN = 336


def comparison_page(
    names: Sequence[str],
    targets: Mapping[str, Mapping[str, Any]],
    rows: "Mapping[str, pl.DataFrame]",
    settings: Sequence[tuple[str, list[str]]],
) -> Page:
    """Return the page.

    Args:
        names: names of the runs.
        targets: of each target, the number of rows in common and the metrics of each run on them.
        rows: of each target, the rows in common, as `almanac.evaluation.common_rows.joined` returns them.
        settings: settings that differ, with their value in each run.
    """
    lead = "Figures are of the rows that every run has scored with the same truth."
    return Page(f"Comparison of {' and '.join(names)}", lead, _blocks(names, targets, rows, settings))


def _blocks(
    names: Sequence[str],
    targets: Mapping[str, Mapping[str, Any]],
    rows: "Mapping[str, pl.DataFrame]",
    settings: Sequence[tuple[str, list[str]]],
) -> Iterator[Section]:
    for target, told in targets.items():
        if not told["rows"]:
            yield Section(target, [Note("The runs have no row in common.")])
            continue
        table = [[metric, *values] for metric, values in told["metrics"].items()]
        yield Section(
            f"{target}: {told['rows']:,} rows",
            [
                Table(["metric", *names], table, digits=4),
                Plot(_errors(names, rows[target]), "Mean absolute error by week of the rows in common."),
                Plot(_forecasts(names, rows[target]), "The newest rows in common: truth and forecasts."),
            ],
        )
    if settings:
        yield Section("What differs", [Table(["setting", *names], [[name, *values] for name, values in settings])])


def _errors(names: Sequence[str], rows: "pl.DataFrame") -> "Figure":
    figure, axes = new_figure(height=2.6)
    time, y = rows.to_series(_time(rows)), rows["y"].to_numpy()
    week = time.dt.truncate("1w")
    for number, name in enumerate(names):
        error = np.abs(rows[f"prediction {number}"].to_numpy() - y)
        by_week = rows.select(week.alias("week"), _series("error", error)).group_by("week").mean().sort("week")
        axes[0, 0].plot(by_week["week"], by_week["error"], color=_LINES[number % len(_LINES)], label=name)
    axes[0, 0].legend()
    axes[0, 0].set_ylabel("absolute error")
    return figure


def _forecasts(names: Sequence[str], rows: "pl.DataFrame") -> "Figure":
    figure, axes = new_figure(height=2.8)
    time = rows.columns[_time(rows)]
    # Of one series, if there are several: a line through all of them would be none of theirs.
    keys = [name for name in rows.columns[: rows.columns.index("y")] if name not in (time, "target")]
    if keys:
        rows = rows.filter(rows[keys[0]] == rows[keys[0]][0])
    newest = rows.sort(time).tail(_DRAWN)
    axes[0, 0].plot(newest[time], newest["y"], color="#2b2d42", label="truth")
    for number, name in enumerate(names):
        axes[0, 0].plot(newest[time], newest[f"prediction {number}"], color=_LINES[number % len(_LINES)], label=name)
    axes[0, 0].legend()
    return figure


def _time(rows: "pl.DataFrame") -> int:
    return next(index for index, kind in enumerate(rows.dtypes) if kind.is_temporal())


def _series(name: str, values: Any) -> "pl.Series":
    import polars as pl

    return pl.Series(name, values)

"""Rules of time: order, duplicates, the grid and its gaps."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from almanac.data.checks.findings import Finding, count_of, first_rows
from almanac.usecase import UseCase
from almanac.usecase.types import to_microseconds

_TIME = pl.Datetime("us")


@dataclass(frozen=True)
class Gap:
    """Times that are missing between two rows."""

    entity: str | None
    start: datetime
    end: datetime
    steps: int


def keys(usecase: UseCase) -> list[str]:
    """Return the columns that tell rows apart: the entity where there is one, and the time."""
    return [*([usecase.entity] if usecase.entity else []), usecase.time.column]


def check_order(table: pl.DataFrame, usecase: UseCase) -> list[Finding]:
    """Return a finding where time runs backwards within an entity."""
    step = _over(pl.col(usecase.time.column).diff(), usecase)
    back = table.filter(step.dt.total_microseconds() < 0)
    if back.is_empty():
        return []
    sort = usecase.validation.unsorted == "sort"
    text = f"{count_of(back.height, 'row')} earlier than the row before"
    return [
        Finding(
            "warning" if sort else "error",
            "unsorted",
            usecase.time.column,
            back.height,
            f"{text}; sorted" if sort else f"{text}; set validation.unsorted to sort to allow it",
            first_rows(back, usecase),
        )
    ]


def in_order(table: pl.DataFrame, usecase: UseCase) -> pl.DataFrame:
    """Return the rows by entity and time; rows that agree in both keep their order."""
    return table.sort(keys(usecase), maintain_order=True)


def check_duplicates(table: pl.DataFrame, usecase: UseCase) -> tuple[list[Finding], pl.DataFrame]:
    """Return a finding where rows share entity and time, and the table in which one of them is kept."""
    rule, names = usecase.validation.duplicates, keys(usecase)
    surplus = table.filter(~table.select(pl.struct(names).is_first_distinct()).to_series())
    if surplus.is_empty():
        return [], table
    kept = {"keep_first": "; the first row of each time is kept", "keep_last": "; the last row of each time is kept"}
    finding = Finding(
        "error" if rule == "error" else "warning",
        "duplicates",
        usecase.time.column,
        surplus.height,
        f"{count_of(surplus.height, 'row')} with the {' and '.join(names)} of an earlier one"
        f"{kept.get(rule, '; set validation.duplicates to keep_first or keep_last to allow it')}",
        first_rows(surplus, usecase),
    )
    return [finding], table.unique(names, keep="last" if rule == "keep_last" else "first", maintain_order=True)


def check_grid(table: pl.DataFrame, usecase: UseCase) -> list[Finding]:
    """Return a finding where times do not stand on the grid that most of them stand on."""
    phase = pl.col(usecase.time.column).cast(pl.Int64) % to_microseconds(usecase.time.frequency)
    usual = table.group_by(phase.alias("phase")).len().sort("len", "phase", descending=[True, False])["phase"][0]
    off = table.filter(phase != usual)
    if off.is_empty():
        return []
    text = f"{count_of(off.height, 'row')} off the grid of {usecase.time.frequency}"
    return [Finding("error", "grid", usecase.time.column, off.height, text, first_rows(off, usecase))]


def find_gaps(table: pl.DataFrame, usecase: UseCase) -> list[Gap]:
    """Return the gaps in a sorted table without duplicates, longest first."""
    time, frequency = usecase.time.column, to_microseconds(usecase.time.frequency)
    step = pl.col(time).cast(pl.Int64)
    gaps = (
        table.select(*keys(usecase), before=_over(step.shift(1), usecase))
        .with_columns(steps=(step - pl.col("before")) // frequency - 1)
        .filter(pl.col("steps") > 0)
        .with_columns(
            start=(pl.col("before") + frequency).cast(_TIME),
            end=(step - frequency).cast(_TIME),
        )
        .sort("steps", "start", descending=[True, False], maintain_order=True)
    )
    entity = usecase.entity
    return [
        Gap(row[entity] if entity else None, row["start"], row["end"], row["steps"])
        for row in gaps.iter_rows(named=True)
    ]


def check_gaps(gaps: list[Gap], usecase: UseCase) -> list[Finding]:
    """Return findings for gaps where they are errors or worth a warning, and for those that are too long."""
    rules, findings = usecase.validation, []
    if gaps:
        missing = count_of(sum(gap.steps for gap in gaps), "time")
        findings.append(_gap_finding(rules.gaps, "gaps", f"{count_of(len(gaps), 'gap')}, {missing} missing", gaps))
    if rules.max_gap is not None:
        limit = to_microseconds(rules.max_gap) // to_microseconds(usecase.time.frequency)
        long = [gap for gap in gaps if gap.steps > limit]
        if long:
            text = f"{count_of(len(long), 'gap')} longer than {rules.max_gap}"
            findings.append(_gap_finding("error", "max_gap", text, long))
    return findings


def complete(table: pl.DataFrame, usecase: UseCase) -> pl.DataFrame:
    """Return the sorted table with a row for every time between each entity's first and last; new rows are missing."""
    time = usecase.time.column
    span = pl.datetime_range(pl.col(time).min(), pl.col(time).max(), usecase.time.frequency.replace("min", "m"))
    if usecase.entity:
        grid = table.group_by(usecase.entity, maintain_order=True).agg(span.alias(time)).explode(time)
    else:
        grid = table.select(span.alias(time))
    return grid.join(table, on=keys(usecase), how="left", maintain_order="left").select(table.columns)


def _gap_finding(severity: Any, rule: str, text: str, gaps: list[Gap]) -> Finding:
    rows = [
        {
            **({"entity": gap.entity} if gap.entity else {}),
            "time": f"{gap.start.isoformat()} to {gap.end.isoformat()}",
            "value": gap.steps,
        }
        for gap in gaps[:3]
    ]
    return Finding(severity, rule, None, len(gaps), f"{text} (longest first, with their steps)", tuple(rows))


def _over(expression: pl.Expr, usecase: UseCase) -> pl.Expr:
    return expression.over(usecase.entity) if usecase.entity else expression

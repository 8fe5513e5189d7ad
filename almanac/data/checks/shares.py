"""Rules of how much is there: rows, missing values, completeness of each source, age of the newest row."""

from datetime import datetime
from typing import Any

import polars as pl

from almanac.data.checks.findings import Finding
from almanac.usecase import UseCase
from almanac.usecase.types import to_timedelta


def check_rows(table: pl.DataFrame, usecase: UseCase) -> list[Finding]:
    """Return a finding where the table has too few rows."""
    least = usecase.validation.min_rows
    if table.height >= least:
        return []
    return [Finding("error", "min_rows", None, table.height, f"has {table.height:,} rows, and should have {least:,}")]


def missing_shares(table: pl.DataFrame, usecase: UseCase) -> dict[str, float]:
    """Return the share of missing values of each column, among the rows that are there."""
    return {name: table[name].null_count() / table.height for name in usecase.columns}


def check_missing(table: pl.DataFrame, usecase: UseCase) -> list[Finding]:
    """Return findings for columns with too many missing values, and for targets without any value."""
    findings = []
    targets = {target.column for target in usecase.targets}
    for name, share in missing_shares(table, usecase).items():
        most, count = usecase.columns[name].max_missing, table[name].null_count()
        if share == 1.0 and name in targets:
            findings.append(Finding("error", "target_missing", name, count, "is a target, and has no value at all"))
        elif share > most:
            text = f"{count:,} of {table.height:,} values missing ({share:.2%}); at most {most:.2%} may be"
            findings.append(Finding("error", "max_missing", name, count, text))
    return findings


def completeness(grid: pl.DataFrame, usecase: UseCase, lineage: dict[str, Any] | None) -> dict[str, float]:
    """Return for each source the share of the grid's times at which it has a value."""
    sources = (lineage or {}).get("sources") or [{"name": "table", "columns": list(usecase.columns)}]
    return {
        source["name"]: float(grid.select(pl.any_horizontal(pl.col(source["columns"]).is_not_null()).mean()).item())
        for source in sources
        if source["columns"]
    }


def check_completeness(shares: dict[str, float], usecase: UseCase) -> list[Finding]:
    """Return a finding for each source that covers too few of the grid's times."""
    least = usecase.validation.completeness
    return [
        Finding("error", "completeness", None, 1, f"source {name} covers {share:.2%} of the times; {least:.2%} needed")
        for name, share in shares.items()
        if share < least
    ]


def newest(table: pl.DataFrame, usecase: UseCase) -> dict[str, datetime]:
    """Return the newest time of each entity, or of the table under its use case's name."""
    time = usecase.time.column
    if usecase.entity is None:
        return {usecase.name: table[time].max()}  # type: ignore[dict-item]
    rows = table.group_by(usecase.entity).agg(pl.col(time).max()).sort(usecase.entity).rows()
    return dict(rows)


def check_staleness(table: pl.DataFrame, usecase: UseCase) -> list[Finding]:
    """Return a finding where the newest row is too old."""
    rule = usecase.validation.staleness
    if rule is None:
        return []
    as_of = usecase.now()
    old = {name: time for name, time in newest(table, usecase).items() if as_of - time > to_timedelta(rule.max_age)}
    if not old:
        return []
    shown = ", ".join(f"{name} {time.isoformat(' ')}" for name, time in list(old.items())[:5])
    text = f"newest row older than {rule.max_age} on {as_of:%Y-%m-%d %H:%M}: {shown}{', …' * (len(old) > 5)}"
    return [Finding(rule.severity, "staleness", usecase.time.column, len(old), text)]

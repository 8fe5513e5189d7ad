"""The result of a validation, as tables and as JSON."""

from dataclasses import dataclass, field
from typing import Any

import polars as pl

from almanac.data.checks import Finding
from almanac.data.checks.gaps import Gap
from almanac.data.checks.missing_shares import missing_shares
from almanac.usecase import UseCase

#: Levels whose counts are recorded; a column may have millions.
_MOST_LEVELS = 50


@dataclass(frozen=True)
class ValidationResult:
    """The findings of all checks, and the table as far as it could be repaired.

    Attributes:
        findings: Broken rules, errors and warnings.
        table: The rows in order, without duplicates; None if the validation ended before.
        grid: The table on the complete grid; None if the validation ended before.
        gaps: Gaps of the grid, longest first.
        completeness: Share of the grid's times that each source covers.
    """

    findings: list[Finding]
    table: pl.DataFrame | None = None
    grid: pl.DataFrame | None = None
    gaps: list[Gap] = field(default_factory=list)
    completeness: dict[str, float] = field(default_factory=dict)


def to_record(result: ValidationResult, raw: pl.DataFrame, usecase: UseCase) -> dict[str, Any]:
    """Return the result as JSON."""
    table, grid = result.table, result.grid
    time = None if table is None else table[usecase.time.column]
    return {
        "passed": grid is not None and not any(finding.severity == "error" for finding in result.findings),
        "rows_in": raw.height,
        "rows": None if grid is None else grid.height,
        "inserted": None if grid is None or table is None else grid.height - table.height,
        "span": None if time is None else [str(edge.isoformat()) for edge in (time.min(), time.max())],  # type: ignore[union-attr]
        "frequency": usecase.time.frequency,
        "entities": None if table is None or usecase.entity is None else table[usecase.entity].n_unique(),
        "findings": [finding.record() for finding in result.findings],
        "columns": {} if table is None else _columns(table, usecase),
        "gaps": _gaps(result.gaps),
        "completeness": result.completeness,
    }


def _columns(table: pl.DataFrame, usecase: UseCase) -> dict[str, dict[str, Any]]:
    records: dict[str, dict[str, Any]] = {}
    for name, share in missing_shares(table, usecase).items():
        records[name] = {"missing": share, "type": usecase.columns[name].type, "unit": usecase.columns[name].unit}
        records[name] |= _statistics(table[name].drop_nulls())
    return records


def _statistics(values: pl.Series) -> dict[str, Any]:
    if values.dtype == pl.String:
        # Ties are in the order of their names, so that equal tables give equal records.
        counts = values.value_counts(sort=True, name="count").sort("count", values.name, descending=[True, False])
        more = {"levels": counts.height} if counts.height > _MOST_LEVELS else {}
        return {"counts": dict(counts.head(_MOST_LEVELS).iter_rows()), **more}
    finite = values.filter(values.is_finite())
    if finite.is_empty():
        return {"mean": None, "std": None, "min": None, "median": None, "max": None}
    names = ("mean", "std", "min", "median", "max")
    return {name: getattr(finite, name)() for name in names}


def _gaps(gaps: list[Gap]) -> dict[str, Any]:
    longest = [
        {
            **({"entity": gap.entity} if gap.entity else {}),
            "from": gap.start.isoformat(),
            "to": gap.end.isoformat(),
            "steps": gap.steps,
        }
        for gap in gaps[:20]
    ]
    return {"count": len(gaps), "missing": sum(gap.steps for gap in gaps), "longest": longest}

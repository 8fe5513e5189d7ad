"""Validation: the rules of the use case, a complete time grid, and a report of what was found."""

from pathlib import Path
from typing import Any

import polars as pl

from almanac.core.errors import TableError
from almanac.data.checks.columns import check_structure, check_values, without_out_of_range
from almanac.data.checks.findings import ROW, Finding
from almanac.data.checks.order import (
    Gap,
    check_duplicates,
    check_gaps,
    check_grid,
    check_order,
    complete,
    find_gaps,
    in_order,
)
from almanac.data.checks.shares import check_completeness, check_missing, check_rows, check_staleness, completeness
from almanac.data.disk import named_when_full
from almanac.data.lineage import read_lineage, table_record, without_times, write_table
from almanac.data.validation_result import Checked, to_record
from almanac.usecase import UseCase

__all__ = ["Finding", "validate"]


def validate(usecase: UseCase, table_path: Path, out_table: Path, out_html: Path) -> dict[str, Any]:
    """Check a table against every rule of its use case, and write it sorted and on a complete grid.

    Args:
        usecase: The use case.
        table_path: The ingested table.
        out_table: Where to write the valid table: rows by entity and time, one for every time between an
            entity's first and last, so that a lag is a shift; times that were missing have missing values.
            The file carries the lineage without the times of fetching, so that its bytes depend on content alone.
        out_html: Where to write the report; it is written even when a rule is broken.

    Returns:
        {"passed", "rows", "rows_in", "inserted", "span", "frequency", "entities", "findings", "columns", "gaps",
        "completeness", "table"}.

    Raises:
        TableError: a rule is broken whose breach is an error; all of them are listed, with the first rows of each.
    """
    from almanac.data.validation_report import write_report

    raw, lineage = _read(table_path), read_lineage(table_path)
    checked = check(raw, usecase, lineage)
    record = to_record(checked, raw, usecase)
    with named_when_full(out_table, out_html):
        write_report(out_html, checked, record, usecase, lineage)
        grid = refuse_errors(checked, usecase)
        record["table"] = table_record(grid)
        write_table(out_table, grid, {**without_times(lineage or {"sources": []}), "table": record["table"]})
    return record


def refuse_errors(checked: Checked, usecase: UseCase) -> pl.DataFrame:
    """Return the table on its grid.

    Raises:
        TableError: a rule is broken whose breach is an error; all of them are listed.
    """
    errors = [finding for finding in checked.findings if finding.severity == "error"]
    if errors or checked.grid is None:
        lines = [f"  {finding.message()}" for finding in errors]
        raise TableError("\n".join([f"the table of {usecase.name} breaks {len(errors)} of its rules:", *lines]))
    return checked.grid


def check(raw: pl.DataFrame, usecase: UseCase, lineage: dict[str, Any] | None) -> Checked:
    """Return what the rules find in a table, and the table as far as it could be brought into shape."""
    if structure := check_structure(raw, usecase):
        return Checked(structure)
    if raw.is_empty():
        return Checked(check_rows(raw, usecase))
    table = raw.select(pl.int_range(1, pl.len() + 1).alias(ROW), pl.all())
    findings = [*check_values(table, usecase)]
    if table.select(pl.any_horizontal(pl.col(usecase.time.column, *_entity(usecase)).is_null().any())).item():
        return Checked(findings)
    findings += check_order(table, usecase)
    if usecase.validation.out_of_range == "null":
        table = without_out_of_range(table, usecase)
    duplicates, table = check_duplicates(in_order(table, usecase), usecase)
    off_grid = check_grid(table, usecase)
    findings += [*duplicates, *off_grid, *check_rows(table, usecase)]
    findings += [*check_missing(table, usecase), *check_staleness(table, usecase)]
    if off_grid:
        return Checked(findings, table.drop(ROW))
    return _on_grid(table.drop(ROW), findings, usecase, lineage)


def _on_grid(table: pl.DataFrame, findings: list[Finding], usecase: UseCase, lineage: dict[str, Any] | None) -> Checked:
    gaps: list[Gap] = find_gaps(table, usecase)
    grid = complete(table, usecase) if gaps else table
    shares = completeness(grid, usecase, lineage)
    findings = [*findings, *check_gaps(gaps, usecase), *check_completeness(shares, usecase)]
    return Checked(findings, table, grid, gaps, shares)


def _entity(usecase: UseCase) -> list[str]:
    return [usecase.entity] if usecase.entity else []


def _read(path: Path) -> pl.DataFrame:
    try:
        return pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise TableError(f"{path}: is no Parquet table: {str(error).splitlines()[0]}") from None

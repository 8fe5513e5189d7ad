"""Validation: run the checks, bring the table on a complete time grid, and write a report."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from almanac.core.errors import TableError
from almanac.data.checks import ROW, Check, Finding, Stage, Subject
from almanac.data.checks.completeness import completeness
from almanac.data.checks.gaps import find_gaps
from almanac.data.disk import named_when_full
from almanac.data.lineage import read_lineage, table_record, without_times, write_table
from almanac.data.validation_result import ValidationResult, to_record
from almanac.reports import write_page
from almanac.usecase import UseCase
from almanac.usecase.validation_section import CHECKS


def validate(usecase: UseCase, table_path: Path, out_table: Path, out_html: Path) -> dict[str, Any]:
    """Validate a table by the rules of its use case, and write it sorted and on a complete grid.

    Args:
        usecase: The use case.
        table_path: The ingested table.
        out_table: Where to write the valid table: rows by entity and time, one for every time between an
            entity's first and last, so that a lag is a shift; times that were missing have missing values.
            The file has the lineage without the times of fetching, so that its bytes depend on the content only.
        out_html: Where to write the report, which is written even if a rule is broken.

    Returns:
        {"passed", "rows", "rows_in", "inserted", "span", "frequency", "entities", "findings", "columns", "gaps",
        "completeness", "table"}.

    Raises:
        TableError: a finding is an error; all errors are listed, with the first rows of each.
    """
    # Matplotlib is slow to import, and only a validation draws.
    from almanac.data.validation_report import report

    raw, lineage = _read(table_path), read_lineage(table_path)
    result = run_checks(raw, usecase, lineage)
    record = to_record(result, raw, usecase)
    with named_when_full(out_table, out_html):
        # Before the errors are raised, because a refused table is the one to look at.
        write_page(report(result, record, usecase, lineage), out_html)
        grid = refuse_errors(result, usecase)
        record["table"] = table_record(grid)
        write_table(out_table, grid, {**without_times(lineage or {"sources": []}), "table": record["table"]})
    return record


def refuse_errors(result: ValidationResult, usecase: UseCase) -> pl.DataFrame:
    """Return the table on its grid.

    Raises:
        TableError: a finding is an error; all errors are listed.
    """
    errors = [finding for finding in result.findings if finding.severity == "error"]
    if errors or result.grid is None:
        lines = [f"  {finding.message()}" for finding in errors]
        raise TableError("\n".join([f"the table of {usecase.name} breaks {len(errors)} of its rules:", *lines]))
    return result.grid


def run_checks(raw: pl.DataFrame, usecase: UseCase, lineage: dict[str, Any] | None) -> ValidationResult:
    """Run the checks stage by stage until one stops the validation, and repair the table after each stage."""
    table, tables, findings = raw, {}, []
    for stage in Stage:
        if stage == Stage.VALUES:
            # Shares and grids of no rows are undefined.
            if raw.is_empty():
                return ValidationResult([*CHECKS["min_rows"].find(Subject(raw, usecase))])
            # Numbered before any repair, so that findings name the rows as they were ingested.
            table = table.select(pl.int_range(1, pl.len() + 1).alias(ROW), pl.all())
        tables[stage] = table
        stopped, found = False, []
        for check, options in _checks(stage, usecase):
            new = [*check.find(Subject(table, usecase, lineage, options))]
            stopped |= bool(new) and check.stops
            found += new
        findings += sorted(found, key=lambda finding: _position(finding, table))
        if stopped:
            break
        # Repairs come after all checks of the stage, so that none hides what another would find.
        for check, _ in _checks(stage, usecase):
            table = check.repair(table, usecase) if check.repair else table
    rows, grid = (tables[stage].drop(ROW) if stage in tables else None for stage in (Stage.ROWS, Stage.GRID))
    if rows is None or grid is None:
        return ValidationResult(findings, rows)
    return ValidationResult(findings, rows, grid, find_gaps(rows, usecase), completeness(grid, usecase, lineage))


def _checks(stage: Stage, usecase: UseCase) -> Iterator[tuple[Check, Any]]:
    """Yield the checks of a stage, each with its options."""
    for check in CHECKS.values():
        if check.stage == stage and check.declaration is None:
            yield check, None
    for options in usecase.validation.checks:
        if CHECKS[options.rule].stage == stage:
            yield CHECKS[options.rule], options


def _position(finding: Finding, table: pl.DataFrame) -> int:
    return table.columns.index(finding.column) if finding.column in table.columns else -1


def _read(path: Path) -> pl.DataFrame:
    try:
        return pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise TableError(f"{path}: is not a Parquet table: {str(error).splitlines()[0]}") from None

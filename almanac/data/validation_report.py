"""The validation report: findings, the data in plots, columns and sources."""

import re
from collections.abc import Iterator
from typing import Any

from almanac.data import validation_plots
from almanac.data.checks import Finding, count_of
from almanac.data.checks.range import range_text
from almanac.data.validation_result import ValidationResult
from almanac.reports import Block, Callout, Page, Plot, Section, Table, Text, Tiles, Times
from almanac.usecase import UseCase
from almanac.usecase.column_section import Column


def report(result: ValidationResult, record: dict[str, Any], usecase: UseCase, lineage: dict[str, Any] | None) -> Page:
    """Return the report of a validation.

    Args:
        result: the result.
        record: the result as JSON.
        usecase: the use case.
        lineage: lineage of the table, if it carries one.
    """
    times = Times.of(usecase)
    blocks = [*_verdict(result, record, times), Section("Findings", _findings(result, times))]
    blocks += _data(result, record, usecase, times)
    blocks.append(Section("Sources", _sources(record, lineage, times)))
    lead = f"{usecase.description.strip()} {times.sentence}".strip()
    return Page(f"Validation: {usecase.title}", lead, blocks)


def _verdict(result: ValidationResult, record: dict[str, Any], times: Times) -> Iterator[Block]:
    errors = sum(finding.severity == "error" for finding in result.findings)
    items = [("rows read", f"{record['rows_in']:,}")]
    if record["rows"] is not None:
        items += [("rows inserted", f"{record['inserted']:,}")]
    if record["span"]:
        items += [("first to last day", " – ".join(times.day(edge[:10]) for edge in record["span"]))]
    yield Tiles([*items, ("errors", str(errors)), ("warnings", str(len(result.findings) - errors))])
    if errors:
        yield Callout(f"The table breaks {errors} of its rules and is not used.", "bad")
    else:
        yield Callout("The table keeps every rule whose breach is an error.", "good")


def _findings(result: ValidationResult, times: Times) -> Iterator[Block]:
    rows = [
        [f.severity, f.rule, f.column or "table", f.count, f.text[:1].upper() + f.text[1:], _examples(f, times)]
        for f in sorted(result.findings, key=lambda finding: finding.severity)
    ]
    if rows:
        yield Table(["Severity", "Rule", "Column", "Count", "What", "First"], rows)


def _data(result: ValidationResult, record: dict[str, Any], usecase: UseCase, times: Times) -> Iterator[Block]:
    if result.table is None:
        return
    grid = result.grid if result.grid is not None else result.table
    if (figure := validation_plots.series(grid, usecase)) is not None:
        caption = "Means over equal spans of time (line) and the range around them (band)."
        yield Section("The series", [Plot(figure, caption)])
    caption = "Share of the grid's times without a value, by column over time."
    yield Section("Missing values", [Plot(validation_plots.missing(grid, usecase), caption)])
    yield Section("Time grid", _gaps(result, record, usecase, times))
    distributions = validation_plots.distributions(result.table, usecase)
    yield Section("Distributions", [Plot(figure, caption) for figure, caption in distributions])
    yield Section("Columns", [_columns(record, usecase)])


def _examples(finding: Finding, times: Times) -> str:
    shown = []
    for row in finding.rows[:3]:
        where = [str(row["entity"])] if row.get("entity") is not None else []
        where += [_short(row["time"], times)] if row.get("time") is not None else []
        number = f"row {row['row']:,}, " if row.get("row") else ""
        value = f": {row['value']}" if "value" in row else ""
        shown.append(f"{number}{' '.join(where)}{value}")
    return "; ".join(shown) + ("; …" if 0 < len(shown) < finding.count else "")


def _short(time: str, times: Times) -> str:
    """Return a time, or a span, without the seconds that are zero."""
    shown = " to ".join(map(times.day, time.split(" to ")))
    return re.sub(r"(\d\d:\d\d):00(?!\S)", r"\1", shown.replace("T", " "))


def _gaps(result: ValidationResult, record: dict[str, Any], usecase: UseCase, times: Times) -> Iterator[Block]:
    if not result.gaps or result.grid is None:
        every = usecase.time.frequency if usecase.time.calendar is None else "open day of the calendar"
        yield Callout(f"One row for every {every}, without a gap.", "good")
        return
    gaps = record["gaps"]
    yield Text(
        f"{count_of(gaps['count'], 'gap')} in which {gaps['missing']:,} of {record['rows']:,} times are missing; "
        "they stand in the table as rows without values."
    )
    figure = validation_plots.gaps(result.gaps, result.grid, usecase)
    yield Plot(figure, "Where times are missing, and how long the gaps are.")
    header = ["Longest gaps, from", "to", "steps"]
    rows = [[_short(gap["from"], times), _short(gap["to"], times), gap["steps"]] for gap in gaps["longest"][:8]]
    if usecase.entity:
        header = [usecase.entity, *header]
        rows = [[gap["entity"], *row] for gap, row in zip(gaps["longest"], rows, strict=False)]
    yield Table(header, rows)


def _columns(record: dict[str, Any], usecase: UseCase) -> Table:
    rows: list[list[Any]] = []
    for name, column in usecase.columns.items():
        facts = record["columns"][name]
        if "counts" in facts:
            cells = [_levels(facts.get("levels", len(facts["counts"])), column), None, None, None, None]
        else:
            cells = [range_text(column), *(facts[key] for key in ("min", "median", "mean", "max"))]
        rows.append([name, column.description, f"{facts['missing']:.2%}", *cells])
    return Table(["Column", "Description", "Missing", "Declared", "Min", "Median", "Mean", "Max"], rows)


def _levels(found: int, column: Column) -> str:
    return f"{found:,} levels" if column.categories is None else f"{found:,} of {len(column.categories):,} categories"


def _sources(record: dict[str, Any], lineage: dict[str, Any] | None, times: Times) -> Iterator[Block]:
    shares = {name: f"{share:.2%}" for name, share in record["completeness"].items()}
    rows = [
        [
            source["name"],
            source["title"],
            source["licence"],
            source["rows"],
            " to ".join(times.day(edge[:10]) for edge in source["time_span"]),
            shares.get(source["name"], "–"),
            source["sha256"][:12],
        ]
        for source in (lineage or {}).get("sources", [])
    ]
    if rows:
        yield Table(["Source", "Title", "Licence", "Rows", "Span", "Complete", "sha256"], rows)

"""The validation report: what was found, what the data look like, where they came from."""

import re
from pathlib import Path
from typing import Any

from almanac.data import validation_plots
from almanac.data.checks import count_of
from almanac.data.checks.range import range_text
from almanac.data.validation_result import ValidationResult
from almanac.reports.page import Report
from almanac.usecase import UseCase


def write_report(
    path: Path, checked: ValidationResult, record: dict[str, Any], usecase: UseCase, lineage: dict[str, Any] | None
) -> None:
    """Write the report of a validation as one self-contained HTML file."""
    report = Report(f"Validation: {usecase.title}", usecase.description)
    _verdict(report, checked, record)
    if checked.table is not None:
        grid = checked.grid if checked.grid is not None else checked.table
        if (figure := validation_plots.series(grid, usecase)) is not None:
            report.heading("The series")
            report.plot(figure, "Means over equal spans of time (line) and the range around them (band).")
        report.heading("Missing values")
        report.plot(
            validation_plots.missing(grid, usecase), "Share of the grid's times without a value, by column over time."
        )
        _gaps(report, checked, record, usecase)
        report.heading("Distributions")
        for figure, caption in validation_plots.distributions(checked.table, usecase):
            report.plot(figure, caption)
        _columns(report, record, usecase)
    _sources(report, record, lineage)
    report.write(path)


def _verdict(report: Report, checked: ValidationResult, record: dict[str, Any]) -> None:
    errors = sum(finding.severity == "error" for finding in checked.findings)
    warnings = len(checked.findings) - errors
    items = [("rows read", f"{record['rows_in']:,}")]
    if record["rows"] is not None:
        items += [("rows inserted", f"{record['inserted']:,}")]
    if record["span"]:
        items += [("first to last day", " – ".join(edge[:10] for edge in record["span"]))]
    items += [("errors", str(errors)), ("warnings", str(warnings))]
    report.figures(items)
    if errors:
        report.text(f"The table breaks {errors} of its rules and is not used.", "bad")
    else:
        report.text("The table keeps every rule whose breach is an error.", "good")
    if not checked.findings:
        return
    report.heading("Findings")
    rows = [
        [f.severity, f.rule, f.column or "table", f.count, _sentence(f.text), _examples(f.rows, f.count)]
        for f in sorted(checked.findings, key=lambda finding: finding.severity)
    ]
    report.table(["Severity", "Rule", "Column", "Count", "What", "First"], rows)


def _examples(rows: tuple[dict[str, Any], ...], count: int) -> str:
    shown = []
    for row in rows[:3]:
        where = [_short(str(row[key])) for key in ("entity", "time") if row.get(key) is not None]
        number = f"row {row['row']:,}, " if row.get("row") else ""
        value = f": {row['value']}" if "value" in row else ""
        shown.append(f"{number}{' '.join(where)}{value}")
    return "; ".join(shown) + ("; …" if 0 < len(shown) < count else "")


def _short(time: str) -> str:
    """Return a time, or a span, without the seconds that are zero."""
    return re.sub(r"(\d\d:\d\d):00(?!\S)", r"\1", time.replace("T", " "))


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _gaps(report: Report, checked: ValidationResult, record: dict[str, Any], usecase: UseCase) -> None:
    report.heading("Time grid")
    if not checked.gaps or checked.grid is None:
        report.text(f"One row for every {usecase.time.frequency}, without a gap.", "good")
        return
    found = record["gaps"]
    report.text(
        f"{count_of(found['count'], 'gap')} in which {found['missing']:,} of {record['rows']:,} times are missing; "
        "they stand in the table as rows without values."
    )
    report.plot(
        validation_plots.gaps(checked.gaps, checked.grid, usecase),
        "Where times are missing, and how long the gaps are.",
    )
    header = ["Longest gaps, from", "to", "steps"]
    rows = [[_short(g["from"]), _short(g["to"]), g["steps"]] for g in found["longest"][:8]]
    if usecase.entity:
        header = [usecase.entity, *header]
        rows = [[gap["entity"], *row] for gap, row in zip(found["longest"], rows, strict=False)]
    report.table(header, rows)


def _columns(report: Report, record: dict[str, Any], usecase: UseCase) -> None:
    report.heading("Columns")
    rows: list[list[Any]] = []
    for name, column in usecase.columns.items():
        facts = record["columns"][name]
        share = f"{facts['missing']:.2%}"
        if "counts" in facts:
            seen = f"{len(facts['counts'])} of {len(column.categories or [])} categories"
            rows.append([name, column.description, share, seen, None, None, None, None])
        else:
            figures = [facts[key] for key in ("min", "median", "mean", "max")]
            rows.append([name, column.description, share, range_text(column), *figures])
    report.table(["Column", "Description", "Missing", "Declared", "Min", "Median", "Mean", "Max"], rows)


def _sources(report: Report, record: dict[str, Any], lineage: dict[str, Any] | None) -> None:
    if not lineage or not lineage["sources"]:
        return
    report.heading("Sources")
    rows = [
        [
            source["name"],
            source["title"],
            source["licence"],
            source["rows"],
            " to ".join(edge[:10] for edge in source["time_span"]),
            f"{record['completeness'][source['name']]:.2%}" if source["name"] in record["completeness"] else "–",
            source["sha256"][:12],
        ]
        for source in lineage["sources"]
    ]
    report.table(["Source", "Title", "Licence", "Rows", "Span", "Complete", "sha256"], rows)

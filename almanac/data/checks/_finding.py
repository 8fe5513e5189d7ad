"""Findings of the checks."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

import polars as pl

from almanac.usecase import UseCase

Severity = Literal["error", "warning"]

#: Column that numbers the rows of the ingested table from 1, until the end of the validation.
ROW = "__row__"

_SHOWN = 5


@dataclass(frozen=True)
class Finding:
    """A broken rule.

    Attributes:
        severity: An error ends the run, a warning is reported.
        rule: Name of the rule.
        column: Column, or None for the table as a whole.
        count: How many rows (or, where the rule is about a share, columns or times) break it.
        text: The problem, and the expected state.
        rows: The first offending rows: row (from 1), time, entity where there is one, value.
    """

    severity: Severity
    rule: str
    column: str | None
    count: int
    text: str
    rows: tuple[dict[str, Any], ...] = ()

    def message(self) -> str:
        """Return one line for people."""
        where = f"column {self.column!r}" if self.column else "table"
        shown = ", ".join(_row(row) for row in self.rows)
        more = ", …" if 0 < len(self.rows) < self.count else ""
        return f"{where}: {self.rule}: {self.text}{f'; first: {shown}{more}' if shown else ''}"

    def record(self) -> dict[str, Any]:
        """Return the finding as JSON."""
        return {**asdict(self), "rows": list(self.rows)}


def first_rows(table: pl.DataFrame, usecase: UseCase, column: str | None = None) -> tuple[dict[str, Any], ...]:
    """Return the first rows of a table of offending rows, as `Finding.rows` holds them."""
    head = table.head(_SHOWN)
    rows = []
    for values in head.iter_rows(named=True):
        time = values[usecase.time.column]
        row: dict[str, Any] = {"row": values[ROW], "time": None if time is None else time.isoformat()}
        if usecase.entity:
            row["entity"] = values[usecase.entity]
        if column is not None:
            row["value"] = values[column] if column != usecase.time.column else row["time"]
            # The record of the validation is JSON, which has no infinity.
            row["value"] = _finite(row["value"])
        rows.append(row)
    return tuple(rows)


def count_of(number: int, noun: str) -> str:
    """Return a number with its noun: 1 value, 2,400 values."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def _finite(value: Any) -> Any:
    """Return a value that JSON can hold."""
    return str(value) if isinstance(value, float) and value in (float("inf"), float("-inf")) else value


def _row(row: dict[str, Any]) -> str:
    # Of the time alone: an entity keeps its own letters.
    time = None if row.get("time") is None else str(row["time"]).replace("T", " ")
    where = " ".join(str(part) for part in (row.get("entity"), time) if part is not None)
    number = f"row {row['row']}" if row.get("row") is not None else ""
    value = f" {row['value']!r}" if "value" in row else ""
    return f"{number} ({where}){value}".strip() if where else f"{number}{value}"

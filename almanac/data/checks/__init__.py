"""Checks of validation, one module a rule.

Every check of the folder runs in its stage. A check with a declaration runs once for each entry of
`validation.checks` that asks for it; one from another package is registered by an entry point of the group
`almanac.checks`.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum, auto
from typing import Any

import polars as pl

from almanac.data.checks._finding import ROW, Finding, Severity, count_of, first_rows
from almanac.usecase import UseCase
from almanac.usecase.validation_section import CheckBase

__all__ = ["ROW", "Check", "CheckBase", "Finding", "Severity", "Stage", "Subject", "count_of", "first_rows"]


class Stage(IntEnum):
    """The state of the table in which a check runs; each stage may rely on the ones before it."""

    STRUCTURE = auto()
    """As ingested: columns may be missing or of another type."""
    VALUES = auto()
    """The declared columns in their types, and a column `ROW` with the row numbers from 1."""
    ORDER = auto()
    """No time and no entity is missing."""
    DUPLICATES = auto()
    """Rows by entity and time."""
    ROWS = auto()
    """One row for each entity and time."""
    GAPS = auto()
    """Every time is on the grid."""
    GRID = auto()
    """One row for every time of the grid; `ROW` is missing in inserted rows."""


@dataclass(frozen=True)
class Subject:
    """The table that a check looks at.

    Attributes:
        table: The table.
        usecase: The use case.
        lineage: Lineage of the table, if it carries one.
        options: The entry of `validation.checks`; None for a check without a declaration.
    """

    table: pl.DataFrame
    usecase: UseCase
    lineage: dict[str, Any] | None = None
    options: Any = None

    def finding(self, severity: Severity, rule: str, column: str, rows: pl.DataFrame, text: str) -> Finding:
        """Return the finding of rows that break a rule; `text` follows their number: "3 rows off the grid"."""
        shown = first_rows(rows, self.usecase)
        return Finding(severity, rule, column, rows.height, f"{count_of(rows.height, 'row')} {text}", shown)

    def value_finding(self, severity: Severity, rule: str, column: str, rows: pl.DataFrame, text: str) -> Finding:
        """Return the finding of rows whose value of a column breaks a rule, with these values."""
        shown = first_rows(rows, self.usecase, column)
        return Finding(severity, rule, column, rows.height, f"{count_of(rows.height, 'value')} {text}", shown)


@dataclass(frozen=True)
class Check:
    """A rule that a table must keep.

    Attributes:
        name: Name of the check; of one with a declaration, the `rule` by which a use case asks for it.
        stage: When it runs.
        find: Returns the findings of a table.
        repair: Returns the table for the next stage; None leaves it as it is.
        stops: Whether a finding ends the validation after this stage.
        declaration: Section of an entry of `validation.checks`, with `rule: Literal[name]`.
        problems: Yields "field: message" for each field of the declaration that refers to a part of the use case
            that does not exist.
    """

    name: str
    stage: Stage
    find: Callable[[Subject], Iterable[Finding]]
    repair: Callable[[pl.DataFrame, UseCase], pl.DataFrame] | None = None
    stops: bool = False
    declaration: type[CheckBase] | None = None
    problems: Callable[[Any, UseCase], Iterator[str]] | None = None

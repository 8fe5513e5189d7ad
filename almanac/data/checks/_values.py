"""Checks of single values, evaluated by pandera."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from almanac.data.checks import Check, Finding, Severity, Stage, Subject
from almanac.usecase.column_section import Column

if TYPE_CHECKING:
    import pandera.polars as pa

    Constraint = Callable[[Column], pa.Check | None]


def value_check(name: str, constraint: "Constraint", problem: Callable[[Column], str]) -> Check:
    """Return a check of single values whose findings are errors; see `check_values`."""
    return Check(name, Stage.VALUES, lambda subject: check_values(subject, name, constraint, problem))


def check_values(
    subject: Subject,
    rule: str,
    constraint: "Constraint",
    problem: Callable[[Column], str],
    severity: Severity = "error",
) -> Iterator[Finding]:
    """Yield a finding for each column with values that break a constraint; a missing value breaks none.

    Args:
        subject: The table.
        rule: Name of the rule.
        constraint: Returns the pandera check of a column; None if the rule does not concern it.
        problem: Returns the message on the values that break it, such as "not whole".
        severity: Severity of the findings.
    """
    # Slow to import, and most processes only read the use case.
    import pandera.polars as pa

    columns = {
        # The table's own type, since the stage before has compared the types with the declared ones.
        name: pa.Column(subject.table.schema[name], check, nullable=True)
        for name, column in subject.usecase.columns.items()
        if (check := constraint(column)) is not None
    }
    try:
        # Lazy, so that the wrong values of every column are reported together.
        pa.DataFrameSchema(columns).validate(subject.table, lazy=True)
    except pa.errors.SchemaErrors as errors:
        for error in errors.schema_errors:
            name = str(error.schema.name)
            wrong = subject.table.filter(~error.check_output.to_series().fill_null(True))
            yield subject.value_finding(severity, rule, name, wrong, problem(subject.usecase.columns[name]))

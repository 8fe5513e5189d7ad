"""Checks of single values, evaluated by pandera."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from almanac.data.checks import Finding, Subject, count_of, first_rows
from almanac.data.checks._finding import Severity
from almanac.usecase.data_section import Column

if TYPE_CHECKING:
    import pandera.polars as pa


def check_values(
    subject: Subject,
    rule: str,
    constraint: "Callable[[Column], pa.Check | None]",
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
    # Pandera takes half a second to import, which the processes that only read a use case should not pay.
    import pandera.polars as pa

    columns = {
        name: pa.Column(subject.table.schema[name], check, nullable=True)
        for name, column in subject.usecase.columns.items()
        if (check := constraint(column)) is not None
    }
    try:
        pa.DataFrameSchema(columns).validate(subject.table, lazy=True)
    except pa.errors.SchemaErrors as errors:
        for error in errors.schema_errors:
            name = str(error.schema.name)
            wrong = subject.table.filter(~error.check_output.to_series().fill_null(True))
            text = f"{count_of(wrong.height, 'value')} {problem(subject.usecase.columns[name])}"
            yield Finding(severity, rule, name, wrong.height, text, first_rows(wrong, subject.usecase, name))

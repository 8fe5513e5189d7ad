"""Rules of single columns, checked by pandera: presence, type, range, whole numbers, categories."""

from typing import TYPE_CHECKING, Any

import polars as pl

from almanac.data.checks.findings import Finding, count_of, first_rows
from almanac.usecase import UseCase
from almanac.usecase.data_section import Column

if TYPE_CHECKING:
    import pandera.polars as pa

_TIME = pl.Datetime("us")


def check_structure(table: pl.DataFrame, usecase: UseCase) -> list[Finding]:
    """Return a finding for each column that is missing, undeclared or of another type than declared."""
    types = _types(usecase)
    findings = [
        Finding("error", "missing_column", name, 1, f"is missing; the table has {', '.join(table.columns)}")
        for name in types
        if name not in table.columns
    ]
    for name, dtype in table.schema.items():
        if name not in types:
            text = "is not declared; declare it under 'columns' or drop it in its source"
            findings.append(Finding("error", "extra_column", name, 1, text))
        elif dtype != types[name]:
            findings.append(Finding("error", "type", name, 1, f"has type {dtype}, and should have {types[name]}"))
    return findings


def check_values(table: pl.DataFrame, usecase: UseCase) -> list[Finding]:
    """Return a finding for each rule that values of a column break.

    Args:
        table: Table of the right structure, with the column of row numbers.
        usecase: The use case.
    """
    import pandera.polars as pa

    schema = pa.DataFrameSchema(
        {name: _pandera(name, dtype, usecase) for name, dtype in _types(usecase).items()}, strict="filter"
    )
    try:
        schema.validate(table, lazy=True)
    except pa.errors.SchemaErrors as errors:
        found = [_finding(error, table, usecase) for error in errors.schema_errors]
        order = {name: index for index, name in enumerate(table.columns)}
        return sorted(found, key=lambda finding: (order[finding.column or ""], finding.rule))
    return []


def without_out_of_range(table: pl.DataFrame, usecase: UseCase) -> pl.DataFrame:
    """Return the table with values beyond min and max set missing."""
    bounded = {name: c for name, c in usecase.columns.items() if c.min is not None or c.max is not None}
    return table.with_columns(
        pl.when(pl.col(name).is_between(_low(column), _high(column))).then(pl.col(name)).alias(name)
        for name, column in bounded.items()
    )


def range_text(column: Column) -> str:
    """Return a column's range as people read it."""
    unit = f" {column.unit}" if column.unit else ""
    if column.min is None and column.max is None:
        return "any"
    if column.max is None:
        return f"at least {column.min:g}{unit}"
    return f"at most {column.max:g}{unit}" if column.min is None else f"{column.min:g} to {column.max:g}{unit}"


def _types(usecase: UseCase) -> dict[str, Any]:
    """Return the types of the table's columns, in order."""
    keys: dict[str, Any] = {usecase.time.column: _TIME} | ({usecase.entity: pl.String} if usecase.entity else {})
    return keys | {name: pl.String if c.type == "category" else pl.Float64 for name, c in usecase.columns.items()}


def _pandera(name: str, dtype: Any, usecase: UseCase) -> "pa.Column":
    import pandera.polars as pa

    column = usecase.columns.get(name)
    if column is None:
        return pa.Column(dtype, nullable=False)
    checks = []
    if column.categories is not None:
        checks.append(pa.Check.isin(column.categories, error="categories"))
    else:
        checks.append(pa.Check(lambda data: data.lazyframe.select(pl.col(data.key).is_finite()), error="finite"))
    if column.min is not None or column.max is not None:
        checks.append(pa.Check.in_range(_low(column), _high(column), error="range"))
    if column.type == "integer":
        checks.append(pa.Check(lambda data: data.lazyframe.select(pl.col(data.key) % 1 == 0), error="integer"))
    return pa.Column(dtype, checks, nullable=True)


def _finding(error: Any, table: pl.DataFrame, usecase: UseCase) -> Finding:
    name, rule = str(error.schema.name), "missing"
    if error.check_output is not None and error.reason_code.name != "SERIES_CONTAINS_NULLS":
        rule = str(error.check.error)
    wrong = table.filter(pl.col(name).is_null() if rule == "missing" else _broken(error))
    nulled = rule == "range" and usecase.validation.out_of_range == "null"
    text = f"{count_of(wrong.height, 'value')} {_what(rule, usecase.columns.get(name))}"
    return Finding(
        "warning" if nulled else "error",
        rule,
        name,
        wrong.height,
        f"{text}, set missing" if nulled else text,
        first_rows(wrong, usecase, name),
    )


def _broken(error: Any) -> pl.Series:
    """Return which rows break a check; a missing value breaks none."""
    passed: pl.Series = error.check_output.to_series()
    return ~passed.fill_null(True)


def _what(rule: str, column: Column | None) -> str:
    if column is None or rule == "missing":
        return "missing, and none may be"
    return {
        "range": f"beyond {range_text(column)}",
        "categories": f"none of {', '.join(column.categories or [])}",
        "integer": "not whole",
        "finite": "infinite",
    }[rule]


def _low(column: Column) -> float:
    return float("-inf") if column.min is None else column.min


def _high(column: Column) -> float:
    return float("inf") if column.max is None else column.max

"""Outliers: a number repeated far from all others is a code for a missing value, a single one a mistake."""

from collections.abc import Iterator

import polars as pl

from almanac.data.checks import Check, Finding, Stage, Subject

#: Numbers that are written for a missing value, and how often one comes up to be taken for that.
_CODES, _FEWEST = (-99, -999, -9999, -99999, 999, 9999, 99999, 999999), 3
#: Distance from the others in widths of the middle 98% of them: of a code, and of a mistake.
_OFF, _FAR = 1, 1000


def _find(subject: Subject) -> Iterator[Finding]:
    for name, column in subject.usecase.columns.items():
        # A declared range says more than a guess, and has a check of its own.
        if column.type not in ("float", "integer") or column.min is not None or column.max is not None:
            continue
        values = subject.table[name]
        present = values.filter(values.is_finite().fill_null(False))
        for code in _CODES:
            if (present == code).sum() >= _FEWEST and _is_off(code, present.filter(present != code)):
                present = present.filter(present != code)
                end = "min" if code < 0 else "max"
                text = (
                    f"{code}, far from all others; if it stands for a missing value, set columns.{name}.{end} and "
                    "validation.out_of_range: 'null'"
                )
                yield subject.value_finding("warning", "outliers", name, subject.table.filter(values == code), text)
        low, high = _ends(present)
        far = (values - low).abs() > _FAR * (high - low)
        # Of a column that is nearly constant everything else would be far.
        if high > low and (rows := subject.table.filter(far & values.is_in(present.implode()))).height:
            text = (
                f"more than {_FAR} times as far out as the others; if they are mistakes, set columns.{name}.min and max"
            )
            yield subject.value_finding("warning", "outliers", name, rows, text)


def _is_off(code: float, others: pl.Series) -> bool:
    low, high = _ends(others)
    return high > low and not low - _OFF * (high - low) <= code <= high + _OFF * (high - low)


def _ends(values: pl.Series) -> tuple[float, float]:
    """Return the ends of the middle 98% of some values, both 0 without any."""
    low, high = values.quantile(0.01), values.quantile(0.99)
    return (0.0, 0.0) if low is None or high is None else (low, high)


KIND = Check("outliers", Stage.VALUES, _find)

"""Columns that a comparison leaves out, and why: other types, times, and identifiers.

The distribution of an identifier says nothing: each window has values of its own, and would look drifted.
"""

import numpy as np
import polars as pl

from almanac.drift.profiles.roles import Kind
from almanac.drift.profiles.tables import Source, as_numbers
from almanac.drift.profiles.times import is_date_like, is_iso

#: Fewer values may all differ by chance.
_LEAST = 100
#: Values that tell most measured columns from a counter, without a look at the others.
_FIRST = 100
#: Different values over values, beyond which text names its rows rather than groups of them.
_DIFFERENT = 0.5


def unwatched(source: Source, sample: pl.DataFrame) -> dict[str, str]:
    """Return the columns of a table that are not compared, and why, as the end of a sentence about the column.

    Args:
        source: the table.
        sample: evenly drawn rows of it, with all columns that could be watched.
    """
    kinds, found = source.kinds(), {}
    for name, dtype in source.schema.items():
        if name in (source.time, source.entity):
            continue
        reason = _of_content(sample.get_column(name), kinds[name]) if name in kinds else of_type(dtype)
        if reason:
            found[name] = reason
    return found


def of_type(dtype: pl.DataType) -> str:
    """Return why columns of a type are not compared, empty where they are."""
    if dtype == pl.Null:
        return "has no value"
    if dtype.is_temporal():
        return f"is {type(dtype).__name__}; of times, the time column alone is used"
    if dtype.is_numeric() or dtype in (pl.Boolean, pl.String, pl.Categorical, pl.Enum):
        return ""
    return f"is {type(dtype).__name__}; numbers and text are compared"


def _of_content(values: pl.Series, kind: Kind) -> str:
    if kind == "number":
        return _counter(values)
    if values.dtype == pl.String and is_iso(values):
        return "holds times as text; name it as the time column, or leave it out"
    if values.dtype == pl.String and is_date_like(values):
        return f"holds dates as text that are not in ISO 8601, such as {values.drop_nulls()[0]!r}"
    return _names(values)


def _names(values: pl.Series) -> str:
    count, different = len(values) - values.null_count(), values.drop_nulls().n_unique()
    if count < _LEAST or different <= _DIFFERENT * count:
        return ""
    return f"looks like an identifier: {different} of {count} values differ"


def _counter(values: pl.Series) -> str:
    """Return why a column of numbers is an identifier: whole numbers that go on and on, or that number the rows."""
    # Most measured columns end here: their first values are fractions, or repeat.
    if values.dtype == pl.Boolean or not _may_count(np.asarray(as_numbers(values.head(_FIRST)), np.float64)):
        return ""
    numbers = np.asarray(as_numbers(values), np.float64)
    numbers = numbers[np.isfinite(numbers)]
    if len(numbers) < _LEAST or not np.array_equal(numbers, np.rint(numbers)):
        return ""
    steps = np.diff(numbers)
    if (steps > 0).all() or (steps < 0).all():
        return f"looks like an identifier or a counter: {len(numbers)} whole numbers that only go {_way(steps)}"
    if len(np.unique(numbers)) == len(numbers) and np.ptp(numbers) < 2 * len(numbers):
        return f"looks like an identifier: {len(numbers)} whole numbers of which no two are the same"
    return ""


def _may_count(first: np.ndarray[tuple[int], np.dtype[np.float64]]) -> bool:
    """Return whether the first values leave it open that a column counts."""
    held = first[np.isfinite(first)]
    return bool(np.array_equal(held, np.rint(held))) and len(np.unique(held)) == len(held)


def _way(steps: np.ndarray[tuple[int], np.dtype[np.float64]]) -> str:
    return "up" if steps[0] > 0 else "down"

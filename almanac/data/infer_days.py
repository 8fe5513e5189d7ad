"""Days to which irregular rows are gathered."""

import polars as pl

from almanac.usecase.shape_section import Resample


def gathered(rows: pl.DataFrame, entity: bool, summed: str) -> pl.DataFrame:
    """Return the days of a table: sums of one column, means of the others, and 0 for the sum of a day without a row.

    Args:
        rows: `time`, `entity` if there is one, and columns of numbers.
        entity: whether there is an entity.
        summed: the column that is summed.
    """
    from almanac.data.resample import resample

    keys = ["time", *(["entity"] if entity else [])]
    # A use case's names, which those of a table need not be.
    plain = {name: f"column_{number}" for number, name in enumerate(rows.drop(keys).columns)}
    how = terms(plain.get(summed, ""), list(plain.values()))
    days = resample(rows.rename(plain), how, "time", "entity" if entity else None, "rows")
    return days.rename({new: name for name, new in plain.items()})


def terms(summed: str, columns: list[str]) -> Resample:
    """Return the declared gathering of these columns."""
    return Resample(every="1d", columns={name: "sum" if name == summed else "mean" for name in columns}, empty="zero")

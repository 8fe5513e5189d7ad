"""Inference of the columns that name the series of a table, one or two of them."""

from itertools import combinations

import polars as pl

from almanac.data.infer_columns import ColumnFacts

#: Share of the times at which series have a row; events of any two texts are rarer.
_FILLED = 0.3
#: Most levels of a column that is one of two.
_MOST_LEVELS = 1000


def fills(raw: pl.DataFrame, times: pl.Series, names: list[str]) -> bool:
    """Return whether columns name series that have a row at a good part of the times, and never two at one."""
    keys = raw.select(names).with_columns(times.alias("time"))
    series = raw.select(names).n_unique()
    return series < raw.height >= _FILLED * series * times.n_unique() and keys.n_unique() == keys.height


def pair_of(raw: pl.DataFrame, times: pl.Series, columns: dict[str, ColumnFacts]) -> list[str] | None:
    """Return the two columns that together name the series, such as shop and product; None where one does, or none."""
    if not times.is_duplicated().any():
        return None
    able = [
        name
        for name, its in columns.items()
        if its.type in ("category", "integer") and not its.missing and raw[name].n_unique() <= _MOST_LEVELS
    ]
    # Names go before numbers, and few levels before many.
    able.sort(key=lambda name: (columns[name].type == "integer", raw[name].n_unique()))
    if any(not raw.select(name).with_columns(times.alias("time")).is_duplicated().any() for name in able):
        return None
    pairs = ([first, second] for first, second in combinations(able, 2) if fills(raw, times, [first, second]))
    return next(pairs, None)

"""Join of a source by keys, such as that of a game, to the row that was known by a time before the event."""

import polars as pl

from almanac.core.errors import TableError
from almanac.usecase import UseCase
from almanac.usecase.data_section import Join, Source
from almanac.usecase.types import to_microseconds, to_timedelta

# No declared column has these names, because a name begins with a letter.
_ROW, _LIMIT, _KNOWN = "__row__", "__limit__", "__known__"


def join_by_keys(left: pl.DataFrame, right: pl.DataFrame, source: Source, usecase: UseCase) -> pl.DataFrame:
    """Return the rows with the columns of the source's row of equal keys; missing where there is none.

    A row of the source counts if its time is at or before the event's (or the time in the column `until`), less `less`,
    and not older than the tolerance.

    Raises:
        TableError: a key is missing on one side, or `take: only` finds several rows of one key.
    """
    terms, time = source.join or Join(tolerance="0h"), usecase.time.column
    for name, table in (("the rows before it", left), (source.name, right)):
        if missing := [key for key in terms.keys if key not in table.columns]:
            raise TableError(f"sources.{source.name}.join.keys: {name} have no column {missing[0]!r}")
    if usecase.entity is not None and usecase.entity not in terms.keys:
        right = right.drop(usecase.entity, strict=False)
    right = right.filter(pl.all_horizontal(pl.col(terms.keys).is_not_null()))
    if terms.take == "only":
        return _only(left, right.drop(time), terms.keys, source)
    rows = left.select(*terms.keys, _limit(left, terms, time).alias(_LIMIT)).with_row_index(_ROW)
    right = right.rename({time: _KNOWN}).with_columns(pl.col(_KNOWN) + to_timedelta(source.delay or "0h"))
    known = rows.join(right, on=terms.keys, how="inner").filter(pl.col(_KNOWN) <= pl.col(_LIMIT))
    if terms.tolerance is not None:
        age = pl.duration(microseconds=to_microseconds(terms.tolerance))
        known = known.filter(pl.col(_KNOWN) >= pl.col(_LIMIT) - age)
    # A stable sort: of equal times the row that comes later in the source is the newer one.
    ordered = known.sort(_ROW, _KNOWN, maintain_order=True)
    chosen = ordered.unique(_ROW, keep="last" if terms.take == "newest" else "first", maintain_order=True)
    joined = left.with_row_index(_ROW).join(
        chosen.drop(_LIMIT, _KNOWN, *terms.keys), on=_ROW, how="left", maintain_order="left"
    )
    return joined.drop(_ROW)


def _limit(left: pl.DataFrame, terms: Join, time: str) -> pl.Series:
    """Return the time by which a row must have been known."""
    if terms.until is None:
        limit = pl.col(time)
    else:
        if terms.until not in left.columns:
            raise TableError(f"join.until: no column {terms.until!r} in the sources before; there is {left.columns}")
        limit = (pl.col(terms.until) * 1_000_000).round().cast(pl.Int64, strict=False).cast(pl.Datetime("us"))
    return left.select(limit - pl.duration(microseconds=to_microseconds(terms.less))).to_series()


def _only(left: pl.DataFrame, right: pl.DataFrame, on: list[str], source: Source) -> pl.DataFrame:
    twice = right.filter(right.select(on).is_duplicated())
    if twice.height:
        key = ", ".join(str(value) for value in twice.select(on).row(0))
        raise TableError(f"sources.{source.name}.join: {key} has several rows; take the newest or the oldest")
    return left.join(right, on=on, how="left", maintain_order="left")

"""Join of the sources: each adds the newest row that is known at every time, and never a later one."""

import polars as pl

from almanac.core.errors import TableError
from almanac.data.derive import derive
from almanac.data.join_by_keys import join_by_keys
from almanac.data.others import with_others
from almanac.features.split import microseconds
from almanac.usecase import UseCase
from almanac.usecase.data_section import Join, Source
from almanac.usecase.types import to_microseconds, to_timedelta

# No declared column has this name, because a name begins with a letter.
_ROW = "__row__"


def join(tables: list[tuple[Source, pl.DataFrame]], usecase: UseCase) -> pl.DataFrame:
    """Return the joined table: time, entity, and the declared columns in their declared order.

    Args:
        tables: The sources with their tables; the first determines the rows and their order.
        usecase: The use case.

    Raises:
        TableError: a column is missing or comes from two sources, or a joined source breaks the rules of time.
    """
    keys = [usecase.time.column, *([usecase.entity] if usecase.entity else [])]
    tables = _stacked(tables)
    joined = tables[0][1]
    if usecase.entity and usecase.entity not in joined.columns:
        raise TableError(f"sources.{tables[0][0].name}: the entity column {usecase.entity!r} is missing")
    for source, table in tables[1:]:
        own = [*keys, *(source.join.keys if source.join is not None else [])]
        if twice := [name for name in table.columns if name in joined.columns and name not in own]:
            raise TableError(
                f"sources.{source.name}: column {', '.join(map(repr, twice))} comes from an earlier source too; "
                "rename one in 'read.rename' or list it in 'read.drop'"
            )
        keyed = source.join is not None and source.join.keys
        joined = (join_by_keys if keyed else _join_newest)(joined, table, source, usecase)
    joined = with_others(derive(joined, usecase), usecase)
    if missing := [name for name in usecase.columns if name not in joined.columns]:
        names = ", ".join(source.name for source, _ in tables)
        raise TableError(f"column {', '.join(map(repr, missing))} is declared, and missing from every source ({names})")
    return joined.select(*keys, *usecase.columns)


def _stacked(tables: list[tuple[Source, pl.DataFrame]]) -> list[tuple[Source, pl.DataFrame]]:
    """Return the tables, those of sources that come below another one joined to its rows."""
    stacked: list[tuple[Source, pl.DataFrame]] = []
    for source, table in tables:
        if not source.below:
            stacked.append((source, table))
            continue
        above, rows = stacked[-1]
        if set(rows.columns) != set(table.columns):
            other = sorted(set(rows.columns) ^ set(table.columns))
            raise TableError(
                f"sources.{source.name}: comes below {above.name}; only one of them has {', '.join(map(repr, other))}"
            )
        stacked[-1] = above, pl.concat([rows, table.select(rows.columns)])
    return stacked


def _join_newest(left: pl.DataFrame, right: pl.DataFrame, source: Source, usecase: UseCase) -> pl.DataFrame:
    terms, time = source.join or Join(tolerance="0h"), usecase.time.column
    by = [usecase.entity] if usecase.entity and terms.by_entity else []
    if missing := [name for name in by if name not in right.columns]:
        raise TableError(
            f"sources.{source.name}: the entity column {missing[0]!r} is missing; "
            "where all entities share this source, set join.by_entity to false"
        )
    right = _in_order(
        right.select(pl.exclude(usecase.entity) if usecase.entity and not by else pl.all()), by, source, usecase
    )
    late, tolerance = to_timedelta(source.delay or "0h"), to_timedelta(terms.tolerance or "0h")
    right = _known_ahead(right, terms, usecase)
    if tolerance < late:
        raise TableError(
            f"sources.{source.name}.join.tolerance: no row is younger than {terms.tolerance} once it is known, "
            f"{source.delay} after its time; expected at least {source.delay}"
        )
    return (
        # An asof join needs rows in order of time; the order of the first source is restored for the checks.
        left.with_row_index(_ROW)
        .sort(time, maintain_order=True)
        .join_asof(
            # A row is found from the time on at which it is known, and not from its own.
            right.with_columns(pl.col(time) + late),
            on=time,
            by=by or None,
            # A later row would be a look into the future.
            strategy="backward",
            tolerance=tolerance - late,
            # Polars cannot check the order within groups, and warns instead.
            check_sortedness=False,
        )
        .sort(_ROW)
        .drop(_ROW)
    )


def _known_ahead(right: pl.DataFrame, terms: Join, usecase: UseCase) -> pl.DataFrame:
    """Return the rows at the times from which they are known, in steps of the grid before those that they are of."""
    if terms.ahead is None:
        return right
    right = right.filter(pl.col(usecase.time.column).is_not_null())
    times = right[usecase.time.column]
    moved = usecase.time.grid.later(microseconds(times), -to_microseconds(terms.ahead))
    # The age of such a row counts from the time that it is valid at.
    return right.with_columns(pl.Series(times.name, moved.astype("datetime64[us]")))


def _in_order(table: pl.DataFrame, by: list[str], source: Source, usecase: UseCase) -> pl.DataFrame:
    """Return a source's rows in order of time, by the rules for duplicates and order of the joined table."""
    time, rules = usecase.time.column, usecase.validation
    step = pl.col(time).diff().over(by) if by else pl.col(time).diff()
    if rules.unsorted == "error" and (
        back := table.select((step.dt.total_microseconds() < 0).arg_true())[time].to_list()
    ):
        raise TableError(
            f"sources.{source.name}: time runs backwards at {len(back)} row{'s' * (len(back) != 1)}, "
            f"first: row {back[0] + 1} ({table[time][back[0]]}); set validation.unsorted to sort to allow it"
        )
    table = table.sort(time, maintain_order=True)
    if rules.duplicates == "error" and (count := int(table.select(time, *by).is_duplicated().sum())):
        first = table.filter(table.select(time, *by).is_duplicated()).row(0, named=True)
        raise TableError(
            f"sources.{source.name}: {count} rows share their {' and '.join([*by, time])} with another, "
            f"first: {', '.join(str(first[name]) for name in [*by, time])}; see validation.duplicates"
        )
    return table.unique([time, *by], keep="last" if rules.duplicates == "keep_last" else "first", maintain_order=True)

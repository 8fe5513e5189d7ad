"""The batch engine over a table in partitions, on the workers of a cluster; no task ever holds all features.

A partition is a run of rows of the sorted table. It travels with its halo: the rows before it that its first features
look back on, and the rows after it that hold its last targets' values. Every row is at least one step of time after
the one before it, so that a halo of so many rows reaches so many steps; what the halo's own features lack is cut off.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from polars.io.plugins import register_io_source

from almanac.core.dask_workers import Workers
from almanac.core.errors import FeatureError
from almanac.core.progress import progress
from almanac.features.batch import compute
from almanac.features.references import references
from almanac.features.spec import FeatureSpec
from almanac.features.target import targets
from almanac.features.target_encoding import level_columns
from almanac.usecase import UseCase
from almanac.usecase.types import to_microseconds

Packed = npt.NDArray[np.uint8]

#: Partitions at work or waiting, for each worker.
_AHEAD = 2


@dataclass(frozen=True)
class Partition:
    """Rows `start` to `stop` of a table, and the rows `first` to `last` that their features and targets need."""

    first: int
    start: int
    stop: int
    last: int


def plan(rows: int, size: int, before: int, after: int) -> list[Partition]:
    """Return the partitions of a table.

    Args:
        rows: rows of the table.
        size: rows of a partition.
        before: rows of the halo before a partition; the specification's history.
        after: rows of the halo after it; the longest horizon in steps.
    """
    return [
        Partition(max(0, start - before), start, min(start + size, rows), min(start + size + after, rows))
        for start in range(0, rows, size)
    ]


def features_of(usecase: UseCase, spec: FeatureSpec, table: pl.DataFrame) -> pl.DataFrame:
    """Return keys, features and targets of every row of a table, as preprocessing writes them."""
    features = compute(spec, table)
    added = (targets(usecase, spec, table), references(usecase, table, features), level_columns(spec, table))
    return features.hstack([column for frame in added for column in frame])


def computed(usecase: UseCase, spec: FeatureSpec, table: pl.LazyFrame, workers: Workers) -> pl.LazyFrame:
    """Return keys, features and targets of the table as a query, which computes them when it is run.

    Its rows come from the workers, partition by partition in order; a few partitions are in memory at a time. They are
    those that `features_of` gives for the whole table, to the last bit.
    """
    rows = int(table.select(pl.len()).collect().item())
    read = table.select(_read(usecase, spec))
    # Rounded up, so that a horizon between two steps is covered as well.
    after = -(-to_microseconds(usecase.longest_horizon) // spec.step)
    parts = plan(rows, usecase.training.dask.partition, spec.history, after)
    # Polars needs the schema before a row is computed; an empty table gives it.
    schema = features_of(usecase, spec, read.head(0).collect()).schema

    def source(
        with_columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, batch_size: int | None
    ) -> Iterator[pl.DataFrame]:
        # Polars may ask for the first rows alone, and the workers should not compute the others.
        left = rows if n_rows is None else n_rows
        for frame in _in_order(workers, parts, lambda part: _task(usecase, spec, read, part)):
            chosen = frame.head(left).select(with_columns or pl.all())
            yield chosen if predicate is None else chosen.filter(predicate)
            left -= frame.height
            if left <= 0:
                return

    return register_io_source(source, schema=schema)


def _read(usecase: UseCase, spec: FeatureSpec) -> list[str]:
    """Return the columns of the table that features and targets are made of."""
    keys = [*([spec.entity] if spec.entity else []), spec.time]
    return list(dict.fromkeys([*keys, *spec.columns, *(target.column for target in usecase.targets)]))


def _task(usecase: UseCase, spec: FeatureSpec, table: pl.LazyFrame, part: Partition) -> tuple[Any, ...]:
    rows = table.slice(part.first, part.last - part.first).collect()
    # As an object: the part of a use case that preprocessing reads would not validate as a text.
    return usecase, spec, packed(rows), part


def work(usecase: UseCase, spec: FeatureSpec, rows: Packed, part: Partition) -> tuple[Packed, list[Any]]:
    """Compute a partition, on a worker: its features and targets as Arrow IPC, and its entities in order.

    Raises:
        FeatureError: as `compute` does, and which rows of the table they are.
    """
    try:
        frame = features_of(usecase, spec, unpacked(rows))
    except FeatureError as error:
        raise FeatureError(f"in rows {part.first + 1} to {part.last} of the table: {error}") from error
    frame = frame.slice(part.start - part.first, part.stop - part.start)
    entities = frame[spec.entity].unique(maintain_order=True).to_list() if spec.entity else []
    return packed(frame), entities


def packed(frame: pl.DataFrame) -> Packed:
    """Return a table as Arrow IPC, in an array, which travels without being copied."""
    buffer = BytesIO()
    frame.write_ipc(buffer)
    return np.frombuffer(buffer.getbuffer(), np.uint8)


def unpacked(data: Packed) -> pl.DataFrame:
    """Return the table that was packed."""
    return pl.read_ipc(BytesIO(data.data))


def _in_order(
    workers: Workers, parts: list[Partition], task: Callable[[Partition], tuple[Any, ...]]
) -> Iterator[pl.DataFrame]:
    """Yield the partitions' results in order, few of them ahead of the one that is wanted."""
    waiting: deque[Any] = deque()
    seen: set[Any] = set()
    last: Any = None
    todo = iter(parts)
    # In order, because the file's bytes must be those that one machine writes.
    for done, part in enumerate(parts):
        while len(waiting) < _AHEAD * len(workers.addresses) and (ahead := next(todo, None)) is not None:
            waiting.append(workers.submit(work, *task(ahead)))
        rows, entities = workers.result(waiting.popleft())
        # An entity may go on from the partition before, but must not come back after another one.
        for entity in entities if entities[:1] != [last] else entities[1:]:
            if entity in seen:
                raise FeatureError(
                    f"rows {part.start + 1} to {part.stop} of the table: the rows of {entity} are apart; "
                    "sort by entity and time"
                )
            seen.add(entity)
            last = entity
        progress(done + 1, len(parts), f"{part.stop} rows")
        yield unpacked(rows)

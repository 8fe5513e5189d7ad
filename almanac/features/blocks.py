"""Traversal of a table by the batch engine: entity by entity, in blocks of rows that threads share."""

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from almanac.core.arrays import Array
from almanac.features.compiler.batch_codegen import batch_code
from almanac.features.compiler.execute import Slots, kernel
from almanac.features.compiler.formula import Node
from almanac.features.compiler.tracing import ClockInput, ColumnInput
from almanac.features.imputation import impute
from almanac.features.spec import FeatureSpec
from almanac.features.table import Rows, Series, numbers
from almanac.features.timeline import Timeline

Places = npt.NDArray[np.intp]
Feature = Callable[[int], pl.Series]

#: Rows of a block: few, so that what a program computes stays in the processor's cache; NumPy pays for each call.
BLOCK, NUMPY_BLOCK = 2048, 8192
#: Rows of a chunk of the result; shorter entities share one.
CHUNK = 16384
#: Blocks that a thread takes at once.
TAKEN = 4


@dataclass(frozen=True)
class _Entity:
    """An entity's rows, its first place in a chunk's grid, in the chunk's result and on its timeline."""

    series: Series
    place: int
    row: int
    timeline: Timeline
    first: int


_Block = tuple[_Entity, int, int]


class Job:
    """The computation of some features of one table.

    Args:
        spec: the specification.
        nodes: the features wanted and those that they are made from, with their positions.
        columns: the input columns that they read.
    """

    def __init__(self, spec: FeatureSpec, nodes: list[tuple[int, Node]], columns: list[str]) -> None:
        self.spec = spec
        self.nodes = dict(nodes)
        wanted = spec.wanted(nodes, columns)
        self.columns = {one: at for at, one in enumerate(wanted.columns)}
        self.code = batch_code(wanted, kernel() is not None)
        self.graph = self.code.graph
        self.row = {one.position: row for row, one in enumerate(self.graph.computed)}
        self.block = NUMPY_BLOCK if kernel() is None else BLOCK
        # Buffers of a thread serve all of its blocks.
        self._local = threading.local()

    def run(self, table: pl.DataFrame, entities: list[Series]) -> list[Feature]:
        """Return the chunks of the result, in order: each gives the values of the feature at a position."""
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            timelines = self._timelines(entities)
            writes = [pool.submit(line.write, one) for line in dict.fromkeys(timelines) for one in line.clocks]
            chunks: list[_Chunk] = []
            tasks: list[Future[None]] = []
            for chosen in _chunks(entities):
                chunk = _Chunk(self, table, entities[chosen], timelines[chosen])
                reads = [pool.submit(chunk.read, column) for column in self.columns]
                if not chunks:
                    # No block may read a clock before it is written; the first columns are read meanwhile.
                    _finish(writes)
                # A block waits for its columns, whose turn comes before its own.
                blocks = chunk.blocks()
                tasks += [
                    pool.submit(chunk.compute, blocks[k : k + TAKEN], reads) for k in range(0, len(blocks), TAKEN)
                ]
                chunks.append(chunk)
            _finish(tasks)
        return [chunk.feature for chunk in chunks]

    def _timelines(self, entities: list[Series]) -> list[Timeline]:
        """Return the timeline of each entity: one for all, unless their times differ in phase or lie far apart."""
        clocks, step = self.graph.clocks, self.spec.step
        start = min((one.origin for one in entities), default=0)
        stop = max((one.origin + one.length * step for one in entities), default=0)
        even = all((one.origin - start) % step == 0 for one in entities)
        # Entities whose times overlap share one timeline; far apart, it would be mostly empty.
        if even and (stop - start) // step <= sum(one.length for one in entities):
            return [Timeline(clocks, start, self.spec.grid, (stop - start) // step)] * len(entities)
        return [Timeline(clocks, one.origin, self.spec.grid, one.length) for one in entities]

    def room(self) -> tuple[Array, Array]:
        """Return this thread's buffers, and a block of results."""
        if not hasattr(self._local, "room"):
            buffers = np.empty((self.code.buffers, self.code.before + self.block))
            self._local.room = buffers, np.empty((len(self.row), self.block))
        room: tuple[Array, Array] = self._local.room
        return room


class _Chunk:
    """Some entities' part of the table and of the result."""

    def __init__(self, job: Job, table: pl.DataFrame, entities: list[Series], timelines: list[Timeline]) -> None:
        self._job = job
        self._start, stop = entities[0].start, entities[-1].stop
        self._table = table.slice(self._start, stop - self._start)
        # An entity's grid comes after as many missing rows as features look back on.
        self._before = job.spec.reach - 1 + job.spec.cutoff_steps
        self._entities: list[_Entity] = []
        place = 0
        for one, line in zip(entities, timelines, strict=True):
            first = (one.origin - line.origin) // job.spec.step
            self._entities.append(_Entity(one, place, one.start - self._start, line, first))
            place += self._before + one.length
        self._grid = Rows(np.empty((len(job.columns), place)))
        self._missing: list[Places] = [np.empty(0, dtype=np.intp)] * len(job.columns)
        self._out = Rows(np.empty((len(job.row), stop - self._start)))

    def read(self, source: ColumnInput) -> None:
        """Set a column on its entities' grids."""
        job, at = self._job, self._job.columns[source]
        row, values = self._grid.values[at], numbers(job.spec, self._table, source.name)
        imputed = source.name in job.spec.imputed and not source.raw
        for one in self._entities:
            column = values[one.row : one.row + one.series.stop - one.series.start]
            grid = row[one.place : one.place + self._before + one.series.length]
            # Rows before the first one are missing, and not those of the entity before it.
            grid[: self._before] = np.nan
            if one.series.places is None:
                grid[self._before :] = column
            else:
                grid[self._before :] = np.nan
                grid[self._before + one.series.places] = column
            if imputed:
                impute(grid, job.spec.limit_steps)
        self._missing[at] = np.flatnonzero(np.isnan(row))

    def blocks(self) -> list[_Block]:
        """Return the blocks of rows, each of one entity's grid."""
        size = self._job.block
        return [
            (one, start, min(start + size, one.series.length))
            for one in self._entities
            for start in range(0, one.series.length, size)
        ]

    def compute(self, blocks: list[_Block], reads: list[Future[None]]) -> None:
        """Compute blocks, once the columns are read."""
        _finish(reads)
        reach, code, graph = self._job.spec.reach, self._job.code, self._job.graph
        buffers, scratch = self._job.room()
        counts = [len(one) for one in (graph.columns, graph.clocks, graph.computed, graph.tables, buffers)]
        slots: dict[tuple[Timeline, bool], Slots] = {}
        with np.errstate(all="ignore"):
            for (one, start, stop), complete in zip(blocks, self._complete(blocks), strict=True):
                whole = one.series.places is None
                if (one.timeline, whole) not in slots:
                    # On a grid with gaps there are more rows than in the table, so results go to a scratch block first.
                    out = self._out.values if whole else scratch
                    matrices = [self._grid.values, one.timeline.rows.values, out, graph.entries, buffers]
                    slots[one.timeline, whole] = Slots(matrices)
                first = [one.place + reach - 1 + start, one.first + start, one.row + start if whole else 0]
                places = np.repeat([*first, 0, code.before], counts)
                code.code(complete).run(slots[one.timeline, whole], places, stop - start)
                if one.series.places is not None:
                    a, b = np.searchsorted(one.series.places, (start, stop)).tolist()
                    self._out.values[:, one.row + a : one.row + b] = scratch[:, one.series.places[a:b] - start]

    def _complete(self, blocks: list[_Block]) -> list[tuple[bool, ...]]:
        """Return of each block which columns miss no value, in the rows looked back on neither."""
        # One search in the missing places is cheaper than a look at each block's rows.
        starts = [one.place + start for one, start, _ in blocks]
        stops = [one.place + stop + self._job.spec.reach - 1 for one, _, stop in blocks]
        # Equal positions for both ends mean that no missing row lies between them.
        columns = [np.searchsorted(at, starts) == np.searchsorted(at, stops) for at in self._missing]
        return [tuple(block) for block in np.array(columns).T.tolist()] if columns else [()] * len(blocks)

    def feature(self, k: int) -> pl.Series:
        """Return the values of a feature; a view where one can be."""
        if k in self._job.row:
            return self._out.row(self._job.row[k], 0, self._out.values.shape[1])
        parts = [self._view(one, k) for one in self._entities]
        return parts[0] if len(parts) == 1 else pl.concat(parts, rechunk=True)

    def _view(self, one: _Entity, k: int) -> pl.Series:
        """Return a feature that needs no computation, on the rows of an entity."""
        view, length = self._job.nodes[k].view, one.series.length
        assert view is not None
        if isinstance(view.source, ClockInput):
            values = one.timeline.column(view.source, one.first, length)
        else:
            assert isinstance(view.source, ColumnInput)
            first = one.place + self._job.spec.reach - 1 - view.lag
            values = self._grid.row(self._job.columns[view.source], first, length)
        return values if one.series.places is None else values.gather(one.series.places)


def _chunks(entities: list[Series]) -> Iterator[slice]:
    """Yield runs of entities that share a chunk."""
    start, rows = 0, 0
    for k, entity in enumerate(entities):
        if rows and rows + entity.stop - entity.start > CHUNK:
            yield slice(start, k)
            start, rows = k, 0
        rows += entity.stop - entity.start
    if rows:
        yield slice(start, len(entities))


def _finish(tasks: list[Future[None]]) -> None:
    for task in tasks:
        task.result()

"""The way of the batch engine through a table: entity by entity, in blocks of rows that threads share."""

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from components.preprocessing import nodes as p
from components.preprocessing.elementwise import Categories, Changes, Derived, Elapsed
from components.preprocessing.sheet import Arena, Sheet
from components.preprocessing.spec import FeatureSpec
from components.preprocessing.table import Series, numbers
from components.preprocessing.timeline import Timeline
from components.preprocessing.windowed import Statistics
from components.preprocessing.windows import impute

Array = npt.NDArray[np.float64]
Feature = Callable[[int], Array]

#: Rows of a block.
BLOCK = 8192
#: Rows of a chunk of the result; shorter entities share one.
CHUNK = 16384


class _Stage(Protocol):
    """What computes some features of a block."""

    features: list[int]

    def write(self, sheet: Sheet, out: Array) -> None:
        """Write the features to `out`, shape (features, n)."""


@dataclass(frozen=True)
class _Entity:
    """An entity's columns on its grid, its first place on its timeline, and its part of a chunk."""

    series: Series
    grid: Array
    timeline: Timeline
    first: int
    out: Array


class Job:
    """The computation of some features of one table.

    Args:
        spec: the specification.
        nodes: the features wanted and those that they are made from, with their positions.
        columns: the input columns that they read.
    """

    def __init__(self, spec: FeatureSpec, nodes: list[tuple[int, p.Node]], columns: list[str]) -> None:
        self._spec = spec
        self._nodes = dict(nodes)
        # Columns that share statistics are neighbours, so that one operation can do several.
        columns = sorted(columns, key=lambda name: _rank(spec, name))
        self._columns = columns
        places = {name: k for k, name in enumerate(columns)}
        self._places = places
        centres = np.array([spec.centres.get(name, 0.0) for name in columns])
        sizes = {name: len(table) for name, table in spec.categories.items()}
        self._stages: list[_Stage] = [
            Changes(nodes, places),
            Statistics(nodes, places, centres),
            Categories(nodes, places, sizes),
            Elapsed(nodes, places),
        ]
        self._derived = Derived(nodes)
        features = [*(stage.features for stage in self._stages), self._derived.features]
        self._row = {k: row for row, k in enumerate(chain.from_iterable(features))}
        ends = np.cumsum([0, *map(len, features)]).tolist()
        self._parts = [slice(start, stop) for start, stop in pairwise(ends)]
        self._before = spec.reach - 1 + spec.cutoff_steps
        self._local = threading.local()

    def run(self, table: pl.DataFrame, entities: list[Series]) -> list[Feature]:
        """Return the chunks of the result, in order: each gives the values of the feature at a position."""
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            read = pool.map(lambda name: numbers(self._spec, table, name), self._columns)
            timelines = self._timelines(entities)
            writes = [pool.submit(line.write, *ends) for line in set(timelines) for ends in line.blocks(BLOCK)]
            columns = list(read)
            _wait(writes)
            chunks: list[Feature] = []
            blocks: list[Future[None]] = []
            for some in _chunks(entities):
                out = np.empty((len(self._row), entities[some.stop - 1].stop - entities[some.start].start))
                parts, place = [], 0
                for series, timeline in zip(entities[some], timelines[some], strict=True):
                    stop = place + series.stop - series.start
                    grid = self._grid(columns, series)
                    first = (series.origin - timeline.origin) // self._spec.step
                    parts.append(_Entity(series, grid, timeline, first, out[:, place:stop]))
                    place = stop
                for part in parts:
                    ends = range(0, part.series.length, BLOCK)
                    blocks += [pool.submit(self._block, part, a, min(a + BLOCK, part.series.length)) for a in ends]
                chunks.append(_Chunk(self, out, parts).feature)
            _wait(blocks)
        return chunks

    def _timelines(self, entities: list[Series]) -> list[Timeline]:
        """Return the timeline of each entity: one for all, unless their times differ in phase or lie far apart."""
        nodes, step = list(self._nodes.items()), self._spec.step
        start = min((one.origin for one in entities), default=0)
        stop = max((one.origin + one.length * step for one in entities), default=0)
        even = all((one.origin - start) % step == 0 for one in entities)
        if even and (stop - start) // step <= sum(one.length for one in entities):
            return [Timeline(nodes, start, step, (stop - start) // step)] * len(entities)
        return [Timeline(nodes, one.origin, step, one.length) for one in entities]

    def _grid(self, columns: list[Array], entity: Series) -> Array:
        """Return an entity's columns on its grid, after as many missing rows as features look back on."""
        before = self._before
        result = np.empty((len(columns), before + entity.length))
        result[:, :before] = np.nan
        for name, row, values in zip(self._columns, result, columns, strict=True):
            known = values[entity.start : entity.stop]
            if entity.places is None:
                row[before:] = known
            else:
                row[before:] = np.nan
                row[before + entity.places] = known
            if name in self._spec.imputed:
                impute(row, self._spec.limit_steps)
        return result

    def _block(self, entity: _Entity, start: int, stop: int) -> None:
        """Compute the rows `start` to `stop` of an entity's grid."""
        arena: Arena | None = getattr(self._local, "arena", None)
        if arena is None:
            arena = self._local.arena = Arena()
        arena.reset()
        places = entity.series.places
        if places is None:
            self._write(entity, start, stop, arena, entity.out[:, start:stop])
            return
        a, b = np.searchsorted(places, (start, stop)).tolist()
        if a < b:
            out = arena.empty(len(self._row), stop - start)
            self._write(entity, start, stop, arena, out)
            entity.out[:, a:b] = out[:, places[a:b] - start]

    def _write(self, entity: _Entity, start: int, stop: int, arena: Arena, out: Array) -> None:
        first = self._spec.reach - 1
        sheet = Sheet(entity.grid[:, start : stop + first], first, arena)

        def feature(k: int) -> Array:
            return out[self._row[k]] if k in self._row else self.direct(entity, k, start, stop)

        with np.errstate(all="ignore"):
            for stage, part in zip(self._stages, self._parts, strict=False):
                stage.write(sheet, out[part])
            self._derived.write(feature, out[self._parts[-1]])

    def direct(self, entity: _Entity, k: int, start: int, stop: int) -> Array:
        """Return a feature that needs no computation, on the rows `start` to `stop` of an entity's grid; a view."""
        node = self._nodes[k]
        if isinstance(node, p.Pick):
            newest = self._spec.reach - 1 - node.lag
            values: Array = entity.grid[self._places[node.column], newest + start : newest + stop]
            return values
        return entity.timeline.column(k, entity.first + start, entity.first + stop)

    def row(self, k: int) -> int | None:
        """Return the row of a feature that is computed."""
        return self._row.get(k)


@dataclass(frozen=True)
class _Chunk:
    """Some entities' part of the result."""

    job: Job
    out: Array
    parts: list[_Entity]

    def feature(self, k: int) -> Array:
        """Return the values of a feature, shape (rows,)."""
        row = self.job.row(k)
        if row is not None:
            values: Array = self.out[row]
            return values
        found = []
        for part in self.parts:
            values = self.job.direct(part, k, 0, part.series.length)
            found.append(values if part.series.places is None else values[part.series.places])
        return found[0] if len(found) == 1 else np.concatenate(found)


def _rank(spec: FeatureSpec, name: str) -> tuple[int, int, int]:
    """Return a sort key that puts columns with long windows first, and those of like statistics together."""
    mine = [n for n in spec.nodes if isinstance(n, p.Window) and n.column == name]
    kinds = {kind for n in mine for kind in (("max", "min") if n.statistic == "range" else (n.statistic,))}
    return -max((n.length for n in mine), default=0), -len(kinds), spec.columns.index(name)


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


def _wait(futures: list[Future[None]]) -> None:
    for future in futures:
        future.result()

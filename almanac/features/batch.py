"""The batch engine: the features of every row of a table.

Polars reads, checks and encodes the table and holds the result, whose lags and values are views of the input columns;
windows are computed over blocks of rows that stay in the processor's cache, several blocks at a time. A missing feature
is NaN; the result has no nulls.
"""

from collections.abc import Sequence

import polars as pl

from almanac.core.errors import FeatureError
from almanac.features.blocks import Job
from almanac.features.compiler.formula import Node
from almanac.features.spec import FeatureSpec
from almanac.features.table import check_columns, series


def compute(spec: FeatureSpec, table: pl.DataFrame, names: Sequence[str] | None = None) -> pl.DataFrame:
    """Return entity (where there is one), time and the features of every row, Float64, NaN where missing.

    Args:
        spec: the specification.
        table: raw columns, sorted by entity and time, on the specification's grid; missing times count as missing
            values.
        names: the features wanted, all when absent.

    Raises:
        FeatureError: a missing column, an unknown name, or rows out of order; the message names it.
    """
    if spec.events is not None:
        # Here, because the engine of events is made from this package's specification.
        from almanac.features.events.batch import compute_events

        return compute_events(spec, table, names)
    wanted = _wanted(spec, names)
    nodes = [(k, spec.nodes[k]) for k in _closure(spec.nodes, wanted)]
    read = {column for _, node in nodes for column in node.columns}
    columns = [name for name in spec.columns if name in read]
    check_columns(spec, table, columns)
    job = Job(spec, nodes, columns)
    chunks = job.run(table, list(series(spec, table)))
    features = [_joined([chunk(k) for chunk in chunks]).alias(spec.names[k]) for k in wanted]
    keys = [table[spec.entity]] if spec.entity else []
    return pl.DataFrame([*keys, table[spec.time].cast(pl.Datetime("us")), *features])


def _wanted(spec: FeatureSpec, names: Sequence[str] | None) -> list[int]:
    places = {name: k for k, name in enumerate(spec.names)}
    if unknown := [name for name in names or [] if name not in places]:
        raise FeatureError(f"no feature named {unknown[0]}; known: {', '.join(places)}")
    return [places[name] for name in (spec.names if names is None else names)]


def _closure(nodes: list[Node], wanted: list[int]) -> list[int]:
    """Return the wanted features and those that they are made from, in order."""
    needed = set(wanted)
    # A feature is made from features before it, so that one pass from the last to the first finds all.
    for k in range(len(nodes) - 1, -1, -1):
        if k in needed:
            needed.update(nodes[k].features)
    return sorted(needed)


def _joined(parts: list[pl.Series]) -> pl.Series:
    """Return the parts as one column without a copy."""
    if not parts:
        return pl.Series(dtype=pl.Float64)
    return parts[0] if len(parts) == 1 else pl.concat(parts, rechunk=False)

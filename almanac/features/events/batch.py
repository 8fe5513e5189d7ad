"""Events of a table: the engine that serves them, sent every event in order of time."""

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

from almanac.core.errors import FeatureError
from almanac.features.events.engine import Event, EventEngine, needed
from almanac.features.spec import FeatureSpec
from almanac.usecase import UseCase


def compute_events(spec: FeatureSpec, table: pl.DataFrame, names: Sequence[str] | None = None) -> pl.DataFrame:
    """Return entity, time and the features of every event, Float64, NaN where missing, in the order of the table.

    Args:
        spec: the specification.
        table: the raw columns; those of the histories are computed unless `with_states` has added them.
        names: the features wanted, all when absent.

    Raises:
        FeatureError: a missing column, an unknown name, or an event given twice; the message names it.
    """
    if unknown := [name for name in names or [] if name not in spec.names]:
        raise FeatureError(f"no feature named {unknown[0]}; known: {', '.join(spec.names)}")
    if any(name not in table.columns for name in spec.states):
        table = with_states(spec, table)
    engine = EventEngine(spec)
    states = np.column_stack([table[name].to_numpy() for name in spec.states]) if spec.states else None
    X = np.empty((table.height, len(spec.names)))
    for row, event in enumerate(events_of(spec, table)):
        X[row] = engine.row(event, [] if states is None else states[row].tolist())
    place = {name: at for at, name in enumerate(spec.names)}
    features = [pl.Series(name, np.ascontiguousarray(X[:, place[name]])) for name in names or spec.names]
    return pl.DataFrame([table[str(spec.entity)], table[spec.time].cast(pl.Datetime("us")), *features])


def with_states(spec: FeatureSpec, table: pl.DataFrame) -> pl.DataFrame:
    """Return the table with the columns that the histories give, and `__last_<column>` of the targets' columns.

    Raises:
        FeatureError: a missing column, or an event given twice.
    """
    engine = EventEngine(spec)
    events = list(events_of(spec, table))
    states = np.empty((len(events), len(spec.states)))
    last = np.empty((len(events), len(spec.last)))
    # By time and key, since a table is sorted by entity, and a history holds what all entities have done.
    for row in sorted(range(len(events)), key=lambda row: (events[row].time, events[row].key)):
        states[row] = engine.state(events[row])
        last[row] = [engine.last(events[row], column) for column in spec.last]
        engine.learn(events[row])
    return table.with_columns(
        *(pl.Series(name, np.ascontiguousarray(states[:, at])) for at, name in enumerate(spec.states)),
        *(pl.Series(last_column(name), np.ascontiguousarray(last[:, at])) for at, name in enumerate(spec.last)),
    )


def with_histories(usecase: UseCase, table: pl.DataFrame) -> pl.DataFrame:
    """Return the table of a use case of events with the columns of its histories; any other table as it is.

    Raises:
        FeatureError: as `with_states`.
    """
    if usecase.events is None:
        return table
    spec = FeatureSpec.of(usecase)
    wanted = [*spec.states, *map(last_column, spec.last)]
    return table if all(name in table.columns for name in wanted) else with_states(spec, table)


def last_column(column: str) -> str:
    """Return the name of the column with the newest known value of another."""
    return f"__last_{column}"


def events_of(spec: FeatureSpec, table: pl.DataFrame) -> Iterator[Event]:
    """Yield the events of a table, in its order.

    Raises:
        FeatureError: a column is missing or of another type, or a time or key is missing.
    """
    texts, numbers = needed(spec)
    if missing := [name for name in (spec.time, *texts, *numbers) if name not in table.columns]:
        raise FeatureError(f"the table has no column {missing[0]}; the features need {', '.join([*texts, *numbers])}")
    for name in (spec.time, str(spec.entity)):
        if table[name].null_count():
            raise FeatureError(f"row {int(table[name].is_null().arg_max() or 0) + 1}: {name} is missing")
    if wrong := [name for name in numbers if not (table.schema[name].is_numeric() or table.schema[name] == pl.Null)]:
        raise FeatureError(f"column {wrong[0]}: is {table.schema[wrong[0]]}; it must be a number")
    times = table[spec.time].cast(pl.Datetime("us")).to_physical().to_list()
    keys = table[str(spec.entity)].cast(pl.String).to_list()
    named = [table[name].cast(pl.String).to_list() for name in texts]
    valued = [table[name].cast(pl.Float64).fill_null(float("nan")).to_list() for name in numbers]
    for row, (time, key) in enumerate(zip(times, keys, strict=True)):
        yield Event(
            time,
            key,
            {name: values[row] for name, values in zip(texts, named, strict=True)},
            {name: values[row] for name, values in zip(numbers, valued, strict=True)},
        )

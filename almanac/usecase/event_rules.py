"""Rules for a use case of events."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from almanac.usecase.types import to_timedelta

if TYPE_CHECKING:
    from almanac.usecase.model import UseCase


def problems(usecase: "UseCase") -> Iterator[str]:
    """Yield the errors of the section on events and of the settings that depend on it."""
    if usecase.events is None:
        for target in usecase.targets:
            if target.baselines or target.stakes or target.signals:
                yield f"targets.{target.name}: baselines, stakes and signals belong to events; see the section 'events'"
        return
    if usecase.entity is None:
        yield "entity: is missing; an event is identified by an entity and its time, such as the home team"
    if not to_timedelta(usecase.events.known_after):
        yield "events.known_after: must be longer than nothing; an outcome is known after its event"
    if usecase.training.engine == "dask":
        yield "training.engine: dask computes features by partitions, and histories of events run over all; use local"
    yield from _columns(usecase)
    yield from _targets(usecase)


def _columns(usecase: "UseCase") -> Iterator[str]:
    events = usecase.events
    assert events is not None
    known = f"known: {', '.join(sorted(usecase.columns))}"
    for name in events.outcomes:
        if name not in usecase.columns:
            yield f"events.outcomes: no column named {name}; {known}"
        elif usecase.columns[name].type == "category":
            yield f"events.outcomes: {name} is a category; an outcome is a number"
    for entity in events.entities:
        for column in [*(entity.roles or {}).values(), entity.column]:
            if column is not None and column != usecase.entity and column not in usecase.columns:
                yield f"events.entities.{entity.name}: no column named {column}; {known}"
    for side, columns in events.sides.items():
        for column in columns.values():
            if column not in usecase.columns or usecase.columns[column].type == "category":
                yield f"events.sides.{side}: no numeric column named {column}; {known}"
    for name, residual in events.residuals.items():
        if name in usecase.columns or name in events.sides:
            yield f"events.residuals.{name}: is the name of a column or side; choose another"
        if residual.column not in events.outcomes:
            yield f"events.residuals.{name}.column: {residual.column} is none of events.outcomes"


def _targets(usecase: "UseCase") -> Iterator[str]:
    events = usecase.events
    assert events is not None
    for target in usecase.targets:
        if target.column not in events.outcomes:
            yield f"targets.{target.name}.column: {target.column} is none of events.outcomes"
        # The gap before a test span or a fold is the horizon, and no label of it may be known later.
        if to_timedelta(target.horizon) < to_timedelta(events.known_after):
            yield (
                f"targets.{target.name}.horizon: {target.horizon} is shorter than events.known_after, "
                f"{events.known_after}, before which no outcome is known"
            )

"""The history: opened, and as new as the registry."""

from collections.abc import Iterator

from sqlalchemy import func, select

from governance.registry import Registry
from governance.registry.events import event_chain
from operations.doctor.check import Check, Patient
from operations.doctor.finding import Finding, ok, warning
from operations.history import open_history
from operations.history.tables import EVENTS


def _look(patient: Patient) -> Iterator[Finding]:
    registry = Registry(patient.registry)
    # First: where there is no registry, opening the history would make an empty one.
    heads = {name: event_chain(registry.store, name).head() for name in registry.use_cases()}
    engine = open_history(patient.history)
    with engine.connect() as connection:
        rows = connection.execute(select(EVENTS.c.use_case, func.max(EVENTS.c.number)).group_by(EVENTS.c.use_case))
        newest = {str(name): int(number) for name, number in rows}
    engine.dispose()
    behind = [name for name, head in heads.items() if head is not None and head["number"] != newest.get(name)]
    if behind:
        yield warning(
            f"the history does not hold the newest events of {', '.join(behind)}",
            "`almanac history rebuild`, or start the console, which follows",
        )
    else:
        yield ok("the history opens, and holds the newest event of each use case")


KIND = Check("history", "Does the history open, and is it up to date?", _look)

"""The newest row must not be too old."""

from collections.abc import Iterator
from datetime import datetime

import polars as pl

from almanac.data.checks import Check, Finding, Stage, Subject
from almanac.usecase import UseCase
from almanac.usecase.types import to_timedelta

_SHOWN = 5


def _newest(table: pl.DataFrame, usecase: UseCase) -> dict[str, datetime]:
    """Return the newest time of each entity, or of the table under its use case's name."""
    time = usecase.time.column
    if usecase.entity is None:
        return {usecase.name: table[time].max()}  # type: ignore[dict-item]
    return dict(table.group_by(usecase.entity).agg(pl.col(time).max()).sort(usecase.entity).rows())


def _find(subject: Subject) -> Iterator[Finding]:
    usecase, rule = subject.usecase, subject.usecase.validation.staleness
    if rule is None:
        return
    now, limit = usecase.now(), to_timedelta(rule.max_age)
    stale = {name: time for name, time in _newest(subject.table, usecase).items() if now - time > limit}
    if stale:
        shown = ", ".join(f"{name} {time.isoformat(' ')}" for name, time in list(stale.items())[:_SHOWN])
        text = f"newest row older than {rule.max_age} on {now:%Y-%m-%d %H:%M}: {shown}{', …' * (len(stale) > _SHOWN)}"
        yield Finding(rule.severity, "staleness", usecase.time.column, len(stale), text)


KIND = Check("staleness", Stage.ROWS, _find)

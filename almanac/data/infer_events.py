"""Inference of events: rows off a regular grid, by their entity, or by two entities in different roles."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import timedelta

import polars as pl

from almanac.data.infer_series import fills

_DAY, _HOUR, _MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
#: Share of the texts of either column that the other must have too, to be two roles of one entity.
_SHARED = 0.8
#: Entity of a table whose rows are events of one series.
SERIES = "series"


@dataclass(frozen=True)
class EventFacts:
    """Facts about a table of events.

    Attributes:
        roles: Column of each role of the entity, the first of which identifies an event with its time; empty without.
        known_after: How long after an event its outcome is taken to be known.
        frequency: Step in which evaluation and drift count time.
        single: Whether the events are those of one series, which no column names.
    """

    roles: dict[str, str]
    known_after: timedelta
    frequency: timedelta
    single: bool


def event_facts(
    raw: pl.DataFrame, times: pl.Series, entity: str | None, numbers: Collection[str] = ()
) -> tuple[str | None, EventFacts] | None:
    """Return the entity and the facts of a table of events; None where no event is identified.

    Args:
        raw: The table as read.
        times: Times of the rows, in naive UTC.
        entity: Entity column, inferred when None.
        numbers: Columns of numbers, whose values name no series where they come up by chance.
    """
    texts = [column for column in raw if column.dtype == pl.String and not column.null_count()]
    roles = _roles(texts, entity)
    if roles:
        entity = next(iter(roles.values()))
    elif entity is None and times.is_duplicated().any():
        entity = _identifying(raw.drop(name for name in numbers if not fills(raw, times, [name])), times)
        if entity is None:
            return None
    keys = pl.DataFrame([times.alias("time"), *([raw[entity].alias("entity")] if entity else [])])
    if keys.is_duplicated().any():
        return None
    dates = bool((times.dt.truncate("1d") == times).all())
    # The rows of a panel of months are months apart.
    step = _smallest(keys) if entity is None or dates else _DAY
    known_after = step if dates else _HOUR
    return entity, EventFacts(roles, known_after, _DAY if dates else _HOUR, entity is None)


def several_a_day(raw: pl.DataFrame, entity: str | None) -> str | None:
    """Return the entity of rows that come irregularly, so that days can be summed; None without one.

    An entity is a text with fewer than a tenth as many levels as there are rows.
    """
    if entity is not None:
        return entity
    levels = {
        column.name: column.n_unique()
        for column in raw
        if column.dtype == pl.String and not column.null_count() and column.n_unique() * 10 <= raw.height
    }
    return max(levels, key=lambda name: levels[name]) if levels else None


def role_columns(columns: Iterable[str], roles: dict[str, str]) -> dict[str, dict[str, str]]:
    """Return side -> role -> column of the numeric columns that each role has, such as goals from home_goals."""
    found: dict[str, dict[str, str]] = {}
    for column in columns:
        words = re.split(r"[\s_]+", column.lower())
        for role in roles:
            if role in words and (rest := "_".join(word for word in words if word != role)):
                found.setdefault(rest, {})[role] = column
    return {side: of for side, of in found.items() if of.keys() == roles.keys()}


def _roles(texts: list[pl.Series], entity: str | None) -> dict[str, str]:
    for place, first in enumerate(texts):
        for second in texts[place + 1 :]:
            if entity in (None, first.name) and _are_roles(first, second):
                return dict(zip(_role_names(first.name, second.name), (first.name, second.name), strict=True))
    return {}


def _are_roles(first: pl.Series, second: pl.Series) -> bool:
    one, other = set(first), set(second)
    shared = len(one & other)
    return shared > 2 and shared >= _SHARED * max(len(one), len(other)) and not (first == second).any()


def _role_names(first: str, second: str) -> tuple[str, str]:
    """Return the words in which two column names differ, such as home and away."""
    words = [re.split(r"[\s_]+", name.lower()) for name in (first, second)]
    own = [[word for word in mine if word not in theirs] for mine, theirs in (words, words[::-1])]
    if all(len(each) == 1 and re.fullmatch(r"[a-z][a-z0-9]*", each[0]) for each in own):
        return own[0][0], own[1][0]
    return "first", "second"


def _identifying(raw: pl.DataFrame, times: pl.Series) -> str | None:
    """Return the text column of fewest values that identifies each event of one time."""
    able = [
        column
        for column in raw
        if column.dtype == pl.String
        and not column.null_count()
        and 10 * column.n_unique() <= raw.height
        and not pl.DataFrame([times.alias("time"), column.alias("entity")]).is_duplicated().any()
    ]
    return min(able, key=lambda column: column.n_unique()).name if able else None


def _smallest(keys: pl.DataFrame) -> timedelta:
    steps = keys["time"].unique().sort().diff().drop_nulls()
    least = steps.min()
    # A duration of a use case has whole minutes, and an outcome is known some time after its event.
    if not isinstance(least, timedelta):
        return _DAY
    return max(least // _MINUTE, 1) * _MINUTE

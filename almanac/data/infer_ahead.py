"""Inference of columns that are known ahead, and of rows after the last known target."""

from dataclasses import dataclass, replace
from datetime import timedelta

from almanac.core.errors import TableError
from almanac.data.infer import Inferred, require_column
from almanac.data.infer_columns import ColumnFacts
from almanac.data.times import ends


@dataclass(frozen=True)
class Ahead:
    """Columns that are known before their time, such as a price plan or a weather forecast.

    Attributes:
        columns: The reason for each of them.
        later: Rows after the last known target, whose target is still to come.
        asked: Those of the columns that a person names.
    """

    columns: dict[str, str]
    later: int
    asked: tuple[str, ...]


def known_ahead(facts: Inferred, target: str, asked: tuple[str, ...]) -> Ahead:
    """Return the columns that are known ahead: those that a person names, and those that go on after the target ends.

    Args:
        facts: Facts about the table.
        target: Column that is forecast.
        asked: Columns that a person names.

    Raises:
        TableError: a named column is missing, is the target, is no feature, or belongs to rows that are gathered.
    """
    for name in asked:
        _require(facts, target, name)
    columns = dict.fromkeys(asked, "given by --known-ahead")
    known = facts.times.filter(facts.numbers(target).is_finite().fill_null(False))
    if known.is_empty() or facts.gathered:
        return Ahead(columns, 0, asked)
    (_, last), (_, end) = ends(known), ends(facts.times)
    later = facts.raw.filter(facts.times > last)
    for name in facts.columns:
        if name not in (target, *asked) and later[name].null_count() < later.height:
            columns[name] = f"has values up to {end}, {target} up to {last}"
    return Ahead(columns, later.height if columns else 0, asked)


def without_later(facts: Inferred, target: str, ahead: Ahead) -> Inferred:
    """Return the facts about the rows whose target is known, where later rows are there for other columns."""
    if not ahead.later:
        return facts
    known = facts.numbers(target).is_not_null()
    raw = facts.raw.filter(known)
    columns = {name: replace(its, missing=raw[name].null_count() / raw.height) for name, its in facts.columns.items()}
    return replace(facts, raw=raw, times=facts.times.filter(known), columns=columns)


def moved(its: ColumnFacts, facts: Inferred, horizon: timedelta) -> ColumnFacts:
    """Return the facts about a column that is read a horizon ahead: the last rows of each series have no value."""
    series = 1 if facts.entity is None else facts.raw[facts.entity].n_unique()
    lost = series * (horizon // facts.step) / max(facts.raw.height, 1)
    return replace(its, missing=min(1.0, its.missing + lost))


def _require(facts: Inferred, target: str, name: str) -> None:
    require_column(facts.raw, "--known-ahead", name)
    if name == target:
        raise TableError(f"--known-ahead {name}: is the target, which is what is forecast")
    if facts.gathered:
        raise TableError(f"--known-ahead {name}: the rows are gathered to days, which are known when they are over")
    if name not in facts.columns:
        reason = facts.left_out.get(name, "is the time or the entity")
        raise TableError(f"--known-ahead {name}: can be no feature, it {reason}; those are {', '.join(facts.columns)}")

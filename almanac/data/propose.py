"""Proposal of a use case for a table: target, features, split and folds from the facts inferred about it."""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

from almanac.core.errors import TableError, UseCaseError
from almanac.data.infer import Inferred, infer, require_column
from almanac.data.infer_ahead import known_ahead, without_later
from almanac.data.infer_columns import is_binary
from almanac.data.infer_numbers import Decimal
from almanac.data.join import join
from almanac.data.proposal import Draft
from almanac.data.propose_source import Brought, bring
from almanac.data.propose_text import lines
from almanac.data.propose_told import assumptions, next_forecast, unsure
from almanac.data.read import read_table
from almanac.data.times import ends
from almanac.data.validate import refuse_errors, run_checks
from almanac.usecase import load_text
from almanac.usecase.defaults import MOST_STEPS, PARTS, cycles_of
from almanac.usecase.split_section import end_of_data
from almanac.usecase.types import to_duration, to_timedelta

_DAY = timedelta(days=1)
_TEST_SHARE = 0.2
#: Number of folds, and the part of the training span that each of them takes, in order of preference.
_FOLDS = ((3, 6), (3, 4), (2, 3))
#: Fewest rows with a target in a fold and in the test span, and in all folds together, which calibrate the intervals.
_FEWEST, _FEWEST_IN_FOLDS = 50, 200
#: The same of a table that covers years, such as one of months, which will not soon be longer.
_FEWEST_OF_YEARS = (20, 60)
_YEARS = timedelta(days=8 * 365)


@dataclass(frozen=True)
class Choices:
    """Decisions of a person in the table's own names; None leaves one to inference.

    Attributes:
        target: Column that is forecast.
        time: Time column.
        entity: Column that identifies the series.
        horizon: How far ahead.
        zone: IANA zone of the times.
        known_ahead: Columns that are known before their time.
        table: Table of a database.
        query: Query to a database.
        time_format: Format of the times.
        decimal: Decimal mark of numbers in texts.
    """

    target: str | None = None
    time: str | None = None
    entity: str | None = None
    horizon: str | None = None
    zone: str | None = None
    known_ahead: tuple[str, ...] = ()
    table: str | None = None
    query: str | None = None
    time_format: str | None = None
    decimal: Decimal | None = None


@dataclass(frozen=True)
class Proposal:
    """Text of a use case file, its assumptions as pairs of a title and a sentence, and those that are unsure.

    Attributes:
        next_forecast: Hint on forecasting the next period or row.
    """

    text: str
    assumptions: list[tuple[str, str]]
    unsure: list[str]
    next_forecast: str


def propose(table: str | Path, out: Path, choices: Choices) -> Proposal:
    """Return the use case of a table, for a file at `out` that the caller writes.

    The text has been loaded, and the table has been read and checked by it.

    Args:
        table: Path of a file or a directory, or address of a database, see `propose_source.bring`.
        out: Path of the use case file.
        choices: Decisions of a person.

    Raises:
        SourceError: the table cannot be read.
        TableError: it has no single reading, no regular grid or too few rows, or a column is wrong.
        UseCaseError: the horizon or the zone is wrong.
    """
    brought = bring(str(table), out, choices.table, choices.query)
    path, data = brought.path, brought.data
    told = (choices.time, choices.entity, choices.target, choices.zone)
    facts = infer(path, data, *told, brought.read, choices.time_format, choices.decimal)
    draft = _draft(brought, facts, choices, _name(out.stem, set()))
    text = "\n".join(lines(draft)) + "\n"
    case = load_text(text, str(out))
    # A proposal whose rules its own table breaks would fail only when it is run.
    joined = join([(source, read_table(source, data, case)) for source in case.sources], case)
    checked = run_checks(joined, case, None)
    refuse_errors(checked, case)
    strange = [finding.message() for finding in checked.findings if finding.rule == "outliers"]
    return Proposal(text, assumptions(draft), [*strange, *unsure(draft)], next_forecast(draft))


def _draft(brought: Brought, facts: Inferred, choices: Choices, name: str) -> Draft:
    path, target = brought.path, _target(brought.path, facts, choices)
    if binary := is_binary(facts.raw[target], facts.read):
        facts = replace(
            facts, columns={**facts.columns, target: replace(facts.columns[target], type="boolean", levels=None)}
        )
    horizon = _horizon(choices.horizon, facts.step)
    ahead = known_ahead(facts, target, choices.known_ahead)
    facts = without_later(facts, target, ahead)
    values = facts.numbers(target)
    # Times at which a forecast of the target can be made and compared.
    known = (facts.times - horizon).filter(values.is_finite().fill_null(False))
    start, end = ends(facts.times)
    days = _test_days(path, start, end, facts.step)
    newest = end_of_data(end, to_duration(facts.step))
    stop = newest - days * _DAY
    # Training ends a gap of the horizon before the test span.
    count, length = _folds(path, known, (start, stop - horizon, newest - horizon), facts.step, horizon)
    room = (stop - start) * (facts.step / facts.spacing) / 8
    cycles = [cycle for cycle in cycles_of(facts.week) if not cycle % facts.step and 2 * facts.step <= cycle <= room]
    return Draft(
        name=name,
        brought=brought,
        facts=facts,
        target=target,
        horizon=horizon,
        names=_names(facts.read.time.column or "time", [*([facts.entity] if facts.entity else []), *facts.columns]),
        span=(start, end),
        test_days=days,
        folds=count,
        fold=length,
        cycles=[cycle for cycle in cycles if cycle <= MOST_STEPS * facts.step],
        years=(stop - start) / (365 * _DAY),
        edges=_edges(path, target, values.filter(facts.times < stop).drop_nulls().drop_nans()),
        rows=int((known < stop).sum()),
        stated=frozenset(name for name, value in vars(choices).items() if value),
        ahead=ahead,
        binary=binary,
    )


def _target(path: Path, facts: Inferred, choices: Choices) -> str:
    name, ahead = choices.target, choices.known_ahead
    require_column(facts.raw, "--target", name)
    numeric = [column for column, its in facts.columns.items() if its.type in ("float", "integer")]
    # Such as yes and no, whose probability is forecast.
    truths = [
        column for column, its in facts.columns.items() if its.levels and is_binary(facts.raw[column], facts.read)
    ]
    numeric = numeric or truths
    if name in truths and not facts.gathered:
        return name
    if name is None:
        # A column that is known ahead needs no forecast.
        numeric = [column for column in numeric if column not in ahead] or numeric
    if not numeric:
        raise TableError(f"{path}: no column holds numbers, and a target is one")
    if name is None and len(numeric) > 1:
        raise TableError(f"{path}: several columns could be the target; name one by --target: {', '.join(numeric)}")
    if name is not None and name not in numeric:
        raise TableError(
            f"--target {name}: is not a column of numbers, nor of two values such as yes and no; those are "
            f"{', '.join([*numeric, *truths])}"
        )
    return name or numeric[0]


def _horizon(text: str | None, step: timedelta) -> timedelta:
    try:
        horizon = step if text is None else to_timedelta(text)
    except ValueError as error:
        raise UseCaseError(f"--horizon: {error}") from None
    if horizon < step or horizon % step:
        raise UseCaseError(f"--horizon {text}: must be a whole number of steps of {to_duration(step)}, at least one")
    return horizon


def _test_days(path: Path, start: datetime, end: datetime, step: timedelta) -> int:
    """Return the last fifth of the span in whole days, to the nearest."""
    newest = end_of_data(end, to_duration(step))
    days = round((newest - (start + (1 - _TEST_SHARE) * (end - start))) / _DAY)
    if days < 1:
        raise TableError(f"{path}: spans {end - start}, too little for a test span of whole days")
    return days


def _folds(
    path: Path, known: pl.Series, edges: tuple[datetime, datetime, datetime], step: timedelta, horizon: timedelta
) -> tuple[int, timedelta]:
    """Return number and length of folds that have enough rows, as training will cut them.

    Args:
        path: the table's path, for errors.
        known: prediction times with a target.
        edges: start and end of the training span, and end of the test span.
        step: step of the grid.
        horizon: how far ahead the forecast is, which is also the gap before the test span.
    """
    start, stop, last = edges
    few, few_in_folds = _FEWEST_OF_YEARS if last - start >= _YEARS else (_FEWEST, _FEWEST_IN_FOLDS)
    for count, part in _FOLDS:
        unit = _DAY if not _DAY % step and stop - start >= part * _DAY else step
        length = (stop - start) / part // unit * unit
        starts = [stop - index * length for index in range(count, 0, -1)]
        sizes = [int(known.is_between(low, low + length, closed="left").sum()) for low in starts]
        first = int((known < starts[0] - horizon).sum())
        if min(*sizes, first) >= few and sum(sizes) >= few_in_folds:
            break
    else:
        raise TableError(
            f"{path}: has {int((known < stop).sum()):,} rows with a target before the test span, too few for folds "
            f"of {few} rows each and {few_in_folds} together; expected a longer table"
        )
    if (tested := int(known.is_between(stop + horizon, last, closed="left").sum())) < few:
        raise TableError(f"{path}: the test span has {tested} rows with a target; expected at least {few}")
    return count, length


def _edges(path: Path, target: str, values: pl.Series) -> list[float]:
    """Return the quartiles of a target's values before the test span, or their mean where most are equal."""
    low, high = (float(str(end)) for end in (values.min(), values.max()))
    if low == high:
        raise TableError(f"{path}: column {target!r} is {low:g} in every row before the test span; nothing to forecast")
    quartiles = [float(f"{values.quantile(share, 'linear'):.4g}") for share in (0.25, 0.5, 0.75)]
    # A band holds its upper edge: one at the highest value would leave none above.
    edges = sorted({edge for edge in quartiles if low <= edge < high})
    return edges or [float(str(values.mean()))]


def _names(time: str, others: Iterable[str]) -> dict[str, str]:
    """Return the name in the use case of each column."""
    taken: set[str] = set()
    name = _name(time, taken)
    if name in PARTS:
        # The feature of that name, such as the month, could not be proposed.
        taken = {name := "time"}
    return {time: name} | {raw: _name(raw, taken) for raw in others}


def _name(raw: str, taken: set[str]) -> str:
    """Return a new name that a use case can use for a column of the table."""
    plain = unicodedata.normalize("NFKD", raw).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")[:40]
    # The name of a use case or a column begins with a letter.
    base = name = slug if slug[:1].isalpha() else f"c_{slug}".rstrip("_")
    number = 2
    while name in taken:
        name, number = f"{base}_{number}", number + 1
    taken.add(name)
    return name

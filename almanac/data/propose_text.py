"""Text of a proposed use case file; its comments mark inferences and doubts."""

import math
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from almanac.core.levels import some
from almanac.data.infer import Inferred
from almanac.data.infer_ahead import moved
from almanac.data.infer_calendar import weekday_matters
from almanac.data.infer_events import SERIES
from almanac.data.proposal import Draft
from almanac.data.propose_events import event_features, events_section
from almanac.data.propose_read import sources
from almanac.data.propose_told import notation, open_days
from almanac.data.yaml_line import flow
from almanac.usecase.defaults import candidates, features, gates, many_levels
from almanac.usecase.types import to_duration

_DAY = timedelta(days=1)
#: A window of drift is judged by 30 rows; some of them may be missing.
_FEWEST_IN_WINDOW = 40
#: Share of zeros from which on a target that is never negative is taken to be bounded by them.
_BOUNDED = 0.01
#: Share of missing readings of a target from which on their age is a feature.
_GAPS = 0.01
#: Most levels of a category that are learned; rarer ones are in the bucket of all others.
_MOST_LEVELS = 5000


def lines(draft: Draft) -> Iterator[str]:
    """Yield the lines of the file."""
    title = f"{draft.target} {to_duration(draft.horizon)} ahead"
    yield f"# A proposal by `almanac new` for {flow(draft.brought.path.name)}."
    yield '# "inferred" says why a value was chosen; "look" marks what only a person can know.'
    yield ""
    yield f"name: {flow(draft.name)}"
    yield f"title: {flow(title)}  # look: the title of reports and documents"
    yield f"description: {flow(f'Forecast of {title}.')}  # look: say what the forecast is for"
    yield ""
    yield from _rows(draft)
    yield from sources(draft)
    yield from _columns(draft)
    yield "validation:"
    if draft.brought.fields["type"] == "sql":
        yield "  unsorted: sort  # the answer to a query has no order"
    else:
        order = "error" if _ordered(draft.facts) else "sort"
        yield f"  unsorted: {order}" + ("  # inferred: the rows are not in order of time" if order == "sort" else "")
    yield "  duplicates: error"
    yield "  gaps: warning"
    yield ""
    yield "# look: a row may use every column up to its own time; drop a column that is only known later."
    yield "features:"
    yield "  items:"
    yield from (f"    - {flow(item)}" for item in _features(draft))
    yield ""
    yield "# look: how far ahead the forecast is needed, a whole number of steps."
    yield "targets:"
    comment = draft.origin("target", f"the only column of numbers{', or of true and false' * draft.binary}")
    target = draft.names[draft.target]
    entry: dict[str, Any] = {"name": draft.forecast, "column": target, "horizon": to_duration(draft.horizon)}
    entry |= {"task": "classification", "above": 0} if draft.binary else {}
    yield f"  - {flow(entry)}  # {comment}; horizon {draft.origin('horizon', 'one step')}"
    yield ""
    yield "# look: new rows move the spans; `retrain: {test: last 30d}` judges retrainings by the newest month alone."
    yield f"split: {{test: last {draft.test_days}d, train: expanding}}  # inferred: the last fifth of the span"
    yield ""
    yield from _training(draft)


def _rows(draft: Draft) -> Iterator[str]:
    """Yield the sections on time, entity and events."""
    facts, names = draft.facts, draft.names
    step = facts.step if facts.events is None else facts.events.frequency
    grid = {"column": names[draft.time], "frequency": to_duration(step)}
    grid |= {"zone": facts.zone.name} if facts.zone else {}
    grid |= {"calendar": facts.calendar.written} if facts.calendar else {}
    yield f"time: {flow(grid)}  # {_time_comment(draft)}"
    if facts.entity:
        reason = "the time repeats, and no time of one of its values does"
        yield f"entity: {flow(names[facts.entity])}  # {draft.origin('entity', reason)}"
    elif facts.events is not None:
        yield f"entity: {SERIES}  # a column that `read.shape` adds, since the events are those of one series"
    if facts.events is not None:
        yield ""
        yield "# inferred: the rows are off a regular grid, so each is an event; look: known_after, and outcomes, which"
        yield "# are known only then; take out of them each column that is known before, such as a price or a plan."
        yield "events:"
        yield from (f"  {key}: {flow(value)}" for key, value in events_section(draft).items())


def _columns(draft: Draft) -> Iterator[str]:
    yield "# look: describe each column; a unit, and for numbers min and max, let wrong values be found."
    yield "columns:"
    for raw, its in draft.facts.columns.items():
        known_ahead = raw in draft.ahead.columns and draft.facts.events is None
        its = moved(its, draft.facts, draft.horizon) if known_ahead else its
        # Twice the share of today, so that a worse month is still read.
        most = math.ceil(200 * its.missing) / 100
        entry = {"type": its.type, "description": raw, "max_missing": min(1.0, max(0.01, most))}
        entry |= {"categories": its.levels} if its.levels is not None else {}
        entry |= {"max_levels": _MOST_LEVELS} if its.many > _MOST_LEVELS else {}
        entry |= {"description": f"{raw}, {to_duration(draft.horizon)} ahead"} if known_ahead else {}
        reason = f"{its.missing:.1%} missing"
        reason += f", {its.many:,} levels, which are learned" if its.many else ""
        if raw == draft.target and (zeros := _zeros(draft)):
            # Forecasts and their intervals end there too.
            entry["min"] = 0
            reason += f", never below 0, which {zeros:.0%} of the values are"
        yield f"  {flow(draft.names[raw])}: {flow(entry)}  # inferred: {reason}"
    yield ""


def _zeros(draft: Draft) -> float:
    """Return the share of zeros of a target that is never below and often there, 0 of any other."""
    values = draft.facts.numbers(draft.target).drop_nulls().drop_nans()
    zeros = float((values == 0).mean() or 0.0)  # type: ignore[arg-type]
    return zeros if zeros >= _BOUNDED and not (values < 0).any() else 0.0


def _features(draft: Draft) -> list[dict[str, Any]]:
    if draft.facts.events is not None:
        return event_features(draft)
    target, yearly = draft.names[draft.target], draft.years >= 2
    few = {name: kind for name, kind in draft.others.items() if name not in draft.many}
    items = features(draft.facts.step, draft.horizon, target, few, draft.cycles, yearly, draft.taken)
    if draft.facts.calendar is not None and not _has_week(draft):
        # Chosen on the folds of two series: without a week their phases are noise, as in most prices.
        items = [item for item in items if item["kind"] not in ("calendar", "cyclic", "seasonal")]
    return [*items, *_age(draft), *many_levels(draft.many, draft.forecast)]


def _has_week(draft: Draft) -> bool:
    """Return whether the target's changes before the test span depend on the weekday."""
    facts = draft.facts
    before = facts.times < draft.span[1] - draft.test_days * _DAY
    entity = facts.raw[facts.entity].filter(before) if facts.entity else None
    return weekday_matters(facts.times.filter(before), facts.numbers(draft.target).filter(before), entity)


def _age(draft: Draft) -> list[dict[str, Any]]:
    """Return the age of the target's last reading where readings are missing; a forecast knows less then."""
    facts, target = draft.facts, draft.names[draft.target]
    gaps = facts.columns[draft.target].missing + (1 - facts.regular)
    if gaps < _GAPS or f"{target}_age" in draft.taken:
        return []
    return [{"kind": "age", "group": "lagged", "columns": [target], "limit": to_duration(draft.season)}]


def _training(draft: Draft) -> Iterator[str]:
    least = max(5, min(40, draft.rows // 100))
    changes = draft.facts.events is None and not draft.binary
    folds = {"count": draft.folds, "length": to_duration(draft.fold)}
    yield "training:"
    yield f"  folds: {flow(folds)}  # inferred: together at most three quarters of the training span"
    yield "  budget: {trials: 1, seconds: 600}"
    yield "  candidates:"
    yield from (f"    - {flow(candidate)}" for candidate in candidates(least, changes))
    yield ""
    yield "evaluation:"
    yield f"  season: {to_duration(draft.season)}  # inferred from the frequency; look: what the series repeats after"
    yield f"  block: {to_duration(_block(draft))}"
    yield f"  bands: {flow({'edges': draft.edges})}  # inferred: quartiles; look: thresholds that matter"
    yield ""
    yield "# look: the conditions on which a model may be registered."
    yield "gates:"
    yield from (f"  - {flow(gate)}" for gate in gates())
    yield ""
    drift = {"window": to_duration(_window(draft))}
    drift |= {} if draft.years >= 2 else {"season": "none"}
    yield f"drift: {flow(drift)}" + ("" if draft.years >= 2 else "  # inferred: less than two years to learn from")
    yield ""
    yield "# look: without statements its runs are drafts; `almanac statements FILE` asks for them."


def _window(draft: Draft) -> timedelta:
    """Return the window of drift: 30 days, or as many as it takes to have rows enough to be judged."""
    facts = draft.facts
    spacing = facts.spacing if facts.events is None else (draft.span[1] - draft.span[0]) / facts.raw.height
    unit = facts.step if facts.events is None else _DAY
    return max(30 * _DAY, _FEWEST_IN_WINDOW * spacing) // unit * unit


def _block(draft: Draft) -> timedelta:
    """Return the bootstrap's block: a week, or less where a test span of a quarter of the training is short."""
    step = draft.facts.step
    return max(step, min(7 * _DAY, timedelta(days=365 * draft.years / 80)) // step * step)


def _time_comment(draft: Draft) -> str:
    facts = draft.facts
    if facts.calendar is not None:
        others = f"; look: or {some(facts.calendar.others)}" if facts.calendar.others else ""
        return f"{draft.origin('time', notation(draft))}; {open_days(facts.calendar)}{others}"
    written = draft.origin("time", notation(draft))
    # Events have no steps, and those of days to which rows are gathered are not the table's.
    if facts.events is None and not facts.gathered:
        written += f"; {facts.regular:.1%} of the steps are this long"
    if facts.zone is None:
        return f"{written}; look: set zone for local clock time" if facts.open_zone else written
    others = f"; look: or {some(facts.zone.others)}" if facts.zone.others else ""
    return f"{written}; zone {draft.origin('zone', facts.zone.reason)}{others}"


def _ordered(facts: Inferred) -> bool:
    """Return whether time never runs backwards within a series."""
    if facts.entity is None:
        return facts.times.is_sorted()
    groups = facts.raw.select(facts.entity).with_columns(facts.times.alias("times")).group_by(facts.entity)
    return all(part["times"].is_sorted() for _, part in groups)

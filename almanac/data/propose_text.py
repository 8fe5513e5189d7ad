"""Text of a proposed use case file; its comments mark inferences and doubts."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from almanac.data.infer import Inferred
from almanac.data.infer_days import terms
from almanac.data.infer_events import SERIES
from almanac.data.propose_events import event_features, events_section
from almanac.usecase.defaults import candidates, features, gates
from almanac.usecase.types import to_duration

_DAY = timedelta(days=1)
#: A window of drift is judged by 30 rows; some of them may be missing.
_FEWEST_IN_WINDOW = 40
#: Share of zeros from which on a target that is never negative is taken to be bounded by them.
_BOUNDED = 0.01


@dataclass(frozen=True)
class Draft:
    """The values of a proposal.

    Attributes:
        name: Name of the use case.
        path: Path of the table.
        facts: Facts about the table.
        target: Column that is forecast, in the table's name.
        horizon: How far ahead.
        names: Name in the use case of every column that is kept.
        span: First and last time of the table.
        test_days: Length of the test span, the newest days.
        folds: Number of folds.
        fold: Length of a fold.
        cycles: Periods after which the series may repeat, shortest first.
        years: Length of the training span in years.
        edges: Inner edges of the bands.
        rows: Rows with a target before the test span.
        stated: What a person chose: target, time, entity, horizon.
    """

    name: str
    path: Path
    facts: Inferred
    target: str
    horizon: timedelta
    names: dict[str, str]
    span: tuple[datetime, datetime]
    test_days: int
    folds: int
    fold: timedelta
    cycles: list[timedelta]
    years: float
    edges: list[float]
    rows: int
    stated: frozenset[str]

    @property
    def time(self) -> str:
        """Time column, in the table's name."""
        return str(self.facts.read.time.column)

    @property
    def taken(self) -> set[str]:
        """Names of columns, which no feature may have: those of time and entity are among them."""
        return set(self.names.values())

    @property
    def season(self) -> timedelta:
        """Period of the seasonal baseline."""
        return self.cycles[0] if self.cycles else 4 * self.facts.step

    def origin(self, choice: str, reason: str) -> str:
        """Return a comment on where a value comes from: an option, or the inference's reason."""
        return f"given by --{choice}" if choice in self.stated else f"inferred: {reason}"


def lines(draft: Draft, location: str, sha256: str) -> Iterator[str]:
    """Yield the lines of the file; `location` is the table's path from there."""
    facts, names = draft.facts, draft.names
    target, name = names[draft.target], names[draft.target] + f"_{to_duration(draft.horizon)}"
    title = f"{draft.target} {to_duration(draft.horizon)} ahead"
    yield f"# A proposal by `almanac new` for {_flow(draft.path.name)}."
    yield '# "inferred" says why a value was chosen; "look" marks what only a person can know.'
    yield ""
    yield f"name: {_flow(draft.name)}"
    yield f"title: {_flow(title)}  # look: the title of reports and documents"
    yield f"description: {_flow(f'Forecast of {title}.')}  # look: say what the forecast is for"
    yield ""
    step = facts.step if facts.events is None else facts.events.frequency
    grid = {"column": names[draft.time], "frequency": to_duration(step)}
    yield f"time: {_flow(grid)}  # {_time_comment(draft)}"
    if facts.entity:
        reason = "the time repeats, and no time of one of its values does"
        yield f"entity: {_flow(names[facts.entity])}  # {draft.origin('entity', reason)}"
    elif facts.events is not None:
        yield f"entity: {SERIES}  # a column that `read.shape` adds, since the events are those of one series"
    if facts.events is not None:
        yield ""
        yield "# inferred: the rows are off a regular grid, so each is an event; look: known_after, and outcomes, which"
        yield "# are known only then; take out of them each column that is known before, such as a price or a plan."
        yield "events:"
        yield from (f"  {key}: {_flow(value)}" for key, value in events_section(draft).items())
    yield from _source(draft, location, sha256)
    yield from _columns(draft)
    yield "validation:"
    order = "error" if _ordered(facts) else "sort"
    yield f"  unsorted: {order}" + ("  # inferred: the rows are not in order of time" if order == "sort" else "")
    yield "  duplicates: error"
    yield "  gaps: warning"
    yield ""
    yield "# look: a row may use every column up to its own time; drop a column that is only known later."
    yield "features:"
    yield "  items:"
    yield from (f"    - {_flow(item)}" for item in _features(draft))
    yield ""
    yield "# look: how far ahead the forecast is needed, a whole number of steps."
    yield "targets:"
    comment = draft.origin("target", "the only column of numbers")
    entry = {"name": name, "column": target, "horizon": to_duration(draft.horizon)}
    yield f"  - {_flow(entry)}  # {comment}; horizon {draft.origin('horizon', 'one step')}"
    yield ""
    yield "# look: new rows move the spans; `retrain: {test: last 30d}` judges retrainings by the newest month alone."
    yield f"split: {{test: last {draft.test_days}d, train: expanding}}  # inferred: the last fifth of the span"
    yield ""
    yield from _training(draft)


def _source(draft: Draft, location: str, sha256: str) -> Iterator[str]:
    facts = draft.facts
    rename = {raw: name for raw, name in draft.names.items() if raw not in (name, draft.time)}
    # In JSON's terms: a step of `shape` is of a kind, which a plain dump of the list would not know.
    read: dict[str, Any] = facts.read.model_dump(mode="json", exclude_defaults=True, exclude_none=True)
    if facts.read.shape:
        read["shape"] = [step.model_dump(exclude_defaults=True) for step in facts.read.shape]
    read = {"format": facts.read.format, **read, **({"rename": rename} if rename else {})}
    if facts.left_out:
        read["drop"] = list(facts.left_out)
    if facts.events is not None and facts.events.single:
        read["shape"] = [*read.get("shape", []), {"step": "constant", "columns": {SERIES: "all"}}]
    if facts.gathered:
        declared = terms(draft.names[draft.target], [name for _, name in _kept(draft)])
        read["resample"] = declared.model_dump(exclude_defaults=True)
    yield ""
    yield "sources:"
    yield "  - name: table"
    yield "    type: file"
    yield f"    path: {_flow(location)}"
    yield f"    sha256: {sha256}  # look: remove it if the file will grow"
    yield f"    title: {_flow(draft.path.name)}"
    yield "    licence: not stated  # look: the licence of the data"
    yield "    read:"
    yield from (f"      {key}: {_flow(value)}" for key, value in read.items())
    yield from (f"      # inferred: {_flow(raw)} is left out, it {reason}" for raw, reason in facts.left_out.items())
    yield ""


def _kept(draft: Draft) -> list[tuple[str, str]]:
    return [(raw, draft.names[raw]) for raw in draft.facts.columns]


def _columns(draft: Draft) -> Iterator[str]:
    yield "# look: describe each column; a unit, and for numbers min and max, let wrong values be found."
    yield "columns:"
    for raw, its in draft.facts.columns.items():
        # Twice the share of today, so that a worse month is still read.
        most = math.ceil(200 * its.missing) / 100
        entry = {"type": its.type, "description": raw, "max_missing": min(1.0, max(0.01, most))}
        entry |= {"categories": its.levels} if its.levels is not None else {}
        reason = f"{its.missing:.1%} missing"
        if raw == draft.target and (zeros := _zeros(draft)):
            # Forecasts and their intervals end there too.
            entry["min"] = 0
            reason += f", never below 0, which {zeros:.0%} of the values are"
        yield f"  {_flow(draft.names[raw])}: {_flow(entry)}  # inferred: {reason}"
    yield ""


def _zeros(draft: Draft) -> float:
    """Return the share of zeros of a target that is never below and often there, 0 of any other."""
    values = draft.facts.numbers(draft.target).drop_nulls().drop_nans()
    zeros = float((values == 0).mean() or 0.0)  # type: ignore[arg-type]
    return zeros if zeros >= _BOUNDED and not (values < 0).any() else 0.0


def _features(draft: Draft) -> list[dict[str, Any]]:
    if draft.facts.events is not None:
        return event_features(draft)
    kinds = {draft.names[raw]: its.type for raw, its in draft.facts.columns.items()}
    target = draft.names[draft.target]
    others = {name: kind for name, kind in kinds.items() if name != target}
    yearly = draft.years >= 2
    return features(draft.facts.step, draft.horizon, target, others, draft.cycles, yearly, draft.taken)


def _training(draft: Draft) -> Iterator[str]:
    least = max(5, min(40, draft.rows // 100))
    folds = {"count": draft.folds, "length": to_duration(draft.fold)}
    yield "training:"
    yield f"  folds: {_flow(folds)}  # inferred: together at most three quarters of the training span"
    yield "  budget: {trials: 1, seconds: 600}"
    yield "  candidates:"
    yield from (f"    - {_flow(candidate)}" for candidate in candidates(least, changes=draft.facts.events is None))
    yield ""
    yield "evaluation:"
    yield f"  season: {to_duration(draft.season)}  # inferred from the frequency; look: what the series repeats after"
    yield f"  block: {to_duration(_block(draft))}"
    yield f"  bands: {_flow({'edges': draft.edges})}  # inferred: quartiles; look: thresholds that matter"
    yield ""
    yield "# look: the conditions on which a model may be registered."
    yield "gates:"
    yield from (f"  - {_flow(gate)}" for gate in gates())
    yield ""
    drift = {"window": to_duration(_window(draft))}
    drift |= {} if draft.years >= 2 else {"season": "none"}
    yield f"drift: {_flow(drift)}" + ("" if draft.years >= 2 else "  # inferred: less than two years to learn from")
    yield ""
    yield "# look: without statements its runs are drafts; `almanac statements FILE` asks for them."


def _window(draft: Draft) -> timedelta:
    """Return the window of drift: 30 days, or as many as it takes to have rows enough to be judged."""
    facts = draft.facts
    spacing = facts.step if facts.events is None else (draft.span[1] - draft.span[0]) / facts.raw.height
    unit = facts.step if facts.events is None else _DAY
    return max(30 * _DAY, _FEWEST_IN_WINDOW * spacing) // unit * unit


def _block(draft: Draft) -> timedelta:
    """Return the bootstrap's block: a week, or less where a test span of a quarter of the training is short."""
    step = draft.facts.step
    return max(step, min(7 * _DAY, timedelta(days=365 * draft.years / 80)) // step * step)


def assumptions(draft: Draft) -> list[tuple[str, str]]:
    """Return the proposal's assumptions, as pairs of a title and a sentence."""
    facts = draft.facts
    kinds = ", ".join(f"{draft.names[raw]} ({its.type})" for raw, its in facts.columns.items())
    entity = (
        "none: a single series" if facts.entity is None else f"{facts.entity}, {facts.raw[facts.entity].n_unique():,}"
    )
    rows = [
        ("table", f"{facts.raw.height:,} rows from {draft.span[0]} to {draft.span[1]}, {facts.read.format}"),
        ("time", f"{draft.time}, {_zone(draft)}"),
        ("frequency", _frequency(draft)),
        ("entity", entity),
        ("columns", kinds),
        *(("left out", f"{raw}, it {reason}") for raw, reason in facts.left_out.items()),
        ("target", f"{draft.names[draft.target]}, {to_duration(draft.horizon)} ahead"),
        ("split", f"test the last {draft.test_days}d; {draft.folds} folds of {to_duration(draft.fold)} before"),
        ("season", to_duration(draft.season)),
        ("bands", f"at {', '.join(f'{edge:g}' for edge in draft.edges)}"),
        ("candidates", "lightgbm, linear and their blend, with fixed parameters"),
    ]
    return rows


def _frequency(draft: Draft) -> str:
    facts = draft.facts
    if facts.events is not None:
        roles = f" in the roles {' and '.join(facts.events.roles)}" if facts.events.roles else ""
        return f"none: each row is an event{roles}, known {to_duration(facts.events.known_after)} after it"
    if facts.gathered:
        return "rows come irregularly and are gathered to days: sums of the target, means of other numbers"
    return f"{to_duration(facts.step)}, {facts.regular:.1%} of the steps"


def unsure(draft: Draft) -> list[str]:
    """Return the decisions that a person should look at first, as sentences."""
    facts = draft.facts
    told = []
    if facts.events is not None:
        told.append("events.outcomes: every number is taken to be known only after the event")
    if facts.gathered:
        told.append("read.resample: days without a row are taken to be 0, and not missing")
    if facts.read.time.zone is None:
        told.append("read.time.zone: times without an offset are taken as they are, without daylight saving")
    if draft.years < 1:
        told.append(f"split: {draft.years * 365:.0f} days to learn from show no course of a year")
    known = [draft.names[raw] for raw, its in facts.columns.items() if raw != draft.target and its.type != "text"]
    if known and facts.events is None:
        told.append(f"features: {', '.join(known[:5])} may be read up to the time of the forecast, and not beyond it")
    return told


def _time_comment(draft: Draft) -> str:
    step = f"{draft.facts.regular:.1%} of the steps are this long"
    return f"{draft.origin('time', _zone(draft))}; {step}; look: set read.time.zone for local clock time"


def _zone(draft: Draft) -> str:
    form = draft.facts.read.time.format
    return f"the format {form}" if form else "ISO 8601"


def _ordered(facts: Inferred) -> bool:
    """Return whether time never runs backwards within a series."""
    if facts.entity is None:
        return facts.times.is_sorted()
    groups = facts.raw.select(facts.entity).with_columns(facts.times.alias("times")).group_by(facts.entity)
    return all(part["times"].is_sorted() for _, part in groups)


def _flow(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=math.inf)
    # PyYAML ends a document of one bare scalar with three dots.
    text = text.removesuffix("\n").removesuffix("\n...")
    # JSON is YAML too, and keeps a text with a line break in one line.
    return json.dumps(value) if "\n" in text else text

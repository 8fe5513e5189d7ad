"""Text of a proposed use case file; its comments mark what was inferred and what a person should look at."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from almanac.data.infer import Inferred

_DAY = timedelta(days=1)


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
    grid = {"column": names[draft.time], "frequency": to_duration(facts.step)}
    yield f"time: {_flow(grid)}  # {_time_comment(draft)}"
    if facts.entity:
        reason = "the time repeats, and no time of one of its values does"
        yield f"entity: {_flow(names[facts.entity])}  # {draft.origin('entity', reason)}"
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
    read: dict[str, Any] = facts.read.model_dump(exclude_defaults=True, exclude_none=True)
    read = {"format": facts.read.format, **read, **({"rename": rename} if rename else {})}
    if facts.left_out:
        read["drop"] = list(facts.left_out)
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


def _columns(draft: Draft) -> Iterator[str]:
    yield "# look: describe each column; a unit, and for numbers min and max, let wrong values be found."
    yield "columns:"
    for raw, its in draft.facts.columns.items():
        # Twice the share of today, so that a worse month is still read.
        most = math.ceil(200 * its.missing) / 100
        entry = {"type": its.type, "description": raw, "max_missing": min(1.0, max(0.01, most))}
        entry |= {"categories": its.levels} if its.levels is not None else {}
        yield f"  {_flow(draft.names[raw])}: {_flow(entry)}  # inferred: {its.missing:.1%} missing"
    yield ""


def _features(draft: Draft) -> Iterator[dict[str, Any]]:
    step, horizon, target = draft.facts.step, draft.horizon, draft.names[draft.target]
    kinds = {draft.names[raw]: its.type for raw, its in draft.facts.columns.items()}
    parts = ["hour", "weekday"] if step < _DAY else ["weekday", "month"] if step == _DAY else ["month"]
    periods = ["day", "week"] if step < _DAY else ["week"] if step < 7 * _DAY else []
    periods += ["year"] if draft.years >= 2 else []
    ahead = to_duration(horizon)
    # A column of the table may have the name of a calendar feature already.
    if fields := [part for part in parts if part not in kinds]:
        yield {"kind": "calendar", "group": "temporal", "fields": fields, "ahead": ahead}
    if periods:
        yield {"kind": "cyclic", "group": "temporal", "periods": periods, "harmonics": 2, "ahead": ahead}
    yield {"kind": "value", "group": "lagged", "columns": [target]}
    # The same phase as the target's time, one cycle before, and the row's own.
    cycles = [lag for cycle in draft.cycles for lag in (cycle - horizon, cycle) if lag >= step]
    yield _spans("lag", "lagged", target, {"lags": [step, 2 * step, 3 * step, *cycles]})
    windows = {"windows": [4 * step, *draft.cycles]}
    yield _spans("rolling", "rolling", target, windows) | {"statistics": ["mean", "std", "min", "max"]}
    others = [name for name, kind in kinds.items() if kind != "category" and name != target]
    if others:
        yield {"kind": "value", "group": "other", "columns": others}
    if categories := [name for name, kind in kinds.items() if kind == "category"]:
        yield {"kind": "categorical", "group": "other", "columns": categories, "encoding": "code"}


def _spans(kind: str, group: str, column: str, spans: dict[str, list[timedelta]]) -> dict[str, Any]:
    durations = {field: [to_duration(span) for span in sorted(set(values))] for field, values in spans.items()}
    return {"kind": kind, "group": group, "columns": [column], **durations}


def _training(draft: Draft) -> Iterator[str]:
    least = max(5, min(40, draft.rows // 100))
    trees = {"learning_rate": 0.05, "n_estimators": 300, "num_leaves": 31, "min_child_samples": least}
    candidates = [
        {"name": "trees", "kind": "lightgbm", "fixed": trees},
        {"name": "ridge", "kind": "linear", "fixed": {"alpha": 10.0}},
    ]
    folds = {"count": draft.folds, "length": to_duration(draft.fold)}
    yield "training:"
    yield f"  folds: {_flow(folds)}  # inferred: together at most three quarters of the training span"
    yield "  budget: {trials: 1, seconds: 600}"
    yield "  candidates:"
    yield from (f"    - {_flow(candidate)}" for candidate in candidates)
    yield ""
    yield "evaluation:"
    yield f"  season: {to_duration(draft.season)}  # inferred from the frequency; look: what the series repeats after"
    yield f"  block: {to_duration(_block(draft))}"
    yield f"  bands: {_flow({'edges': draft.edges})}  # inferred: quartiles; look: thresholds that matter"
    yield ""
    yield "# look: the conditions on which a model may be registered."
    yield "gates:"
    yield "  - {rule: beats_baselines, metric: rmse}"
    yield "  - {rule: not_worse_than_registered, metric: rmse}"
    yield "  - {rule: coverage, within: 0.05, bands: false}"
    yield ""
    drift = {"window": to_duration(max(30 * _DAY // draft.facts.step, 4) * draft.facts.step)}
    drift |= {} if draft.years >= 2 else {"season": "none"}
    yield f"drift: {_flow(drift)}" + ("" if draft.years >= 2 else "  # inferred: less than two years to learn from")
    yield ""
    yield "# look: `almanac check` names the statements and the answers on risk that the documents need."
    yield "governance:"
    yield "  owner: not stated"
    yield "  contact: nobody@example.org  # look: a placeholder; give an address at which the owner is reached"


def _block(draft: Draft) -> timedelta:
    """Return the bootstrap's block: a week, or less where a test span of a quarter of the training is short."""
    step = draft.facts.step
    return max(step, min(7 * _DAY, timedelta(days=365 * draft.years / 80)) // step * step)


def assumptions(draft: Draft) -> list[tuple[str, str]]:
    """Return the proposal's assumptions, as pairs of a title and a sentence."""
    facts = draft.facts
    kinds = ", ".join(f"{draft.names[raw]} ({its.type})" for raw, its in facts.columns.items())
    entity = (
        "none: a single series" if facts.entity is None else f"{facts.entity}, {facts.raw[facts.entity].n_unique()}"
    )
    rows = [
        ("table", f"{facts.raw.height:,} rows from {draft.span[0]} to {draft.span[1]}, {facts.read.format}"),
        ("time", f"{draft.time}, {_zone(draft)}"),
        ("frequency", f"{to_duration(facts.step)}, {facts.regular:.1%} of the steps"),
        ("entity", entity),
        ("columns", kinds),
        *(("left out", f"{raw}, it {reason}") for raw, reason in facts.left_out.items()),
        ("target", f"{draft.names[draft.target]}, {to_duration(draft.horizon)} ahead"),
        ("split", f"test the last {draft.test_days}d; {draft.folds} folds of {to_duration(draft.fold)} before"),
        ("season", to_duration(draft.season)),
        ("bands", f"at {', '.join(f'{edge:g}' for edge in draft.edges)}"),
        ("candidates", "lightgbm and linear, with fixed parameters"),
    ]
    return rows


def to_duration(span: timedelta) -> str:
    """Return a span of whole minutes as a use case writes it."""
    for unit, length in (("d", _DAY), ("h", timedelta(hours=1))):
        if not span % length:
            return f"{span // length}{unit}"
    return f"{span // timedelta(minutes=1)}min"


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

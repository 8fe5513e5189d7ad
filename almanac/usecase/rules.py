"""Rules across the sections of a use case."""

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

from almanac.usecase import candidate_rules, event_rules
from almanac.usecase.candidate_rules import repeated
from almanac.usecase.cron import wrong_cron
from almanac.usecase.fold_lengths import shortest_window
from almanac.usecase.gate_section import FALSE_REFUSALS, GATE_RULES, ChanceRule
from almanac.usecase.split_section import window_of
from almanac.usecase.types import steps, to_duration, to_timedelta
from almanac.usecase.validation_section import CHECKS

if TYPE_CHECKING:
    from almanac.usecase.model import UseCase

#: Kinds of features that need a calendar; a phase of a day or a week has one in any count of time.
_OF_THE_CALENDAR = ("calendar", "holiday")


def check(usecase: "UseCase") -> None:
    """Check the rules, in an order in which each may rely on the ones before.

    Raises:
        ValueError: a rule is broken; the field and the expected value are named.
    """
    for rule in _RULES:
        # Only the first problem is taken, so that after a `yield` a rule may rely on what it has asked for.
        for problem in rule(usecase):
            raise ValueError(problem)


def _joins(usecase: "UseCase") -> Iterator[str]:
    if usecase.sources[0].join is not None:
        yield "sources.0.join: the first source sets the rows and has no join"
    if usecase.sources[0].available_after is not None:
        yield "sources.0.available_after: belongs to a joined source; for the first one, set features.cutoff"
    for index, source in enumerate(usecase.sources[1:], start=1):
        if source.below:
            if source.join is not None:
                yield f"sources.{index}.join: its rows come below those of {usecase.sources[index - 1].name}"
        elif source.join is None:
            yield f"sources.{index}.join: a further source needs a join with a tolerance"
        elif source.join.ahead is not None and source.delay is not None:
            yield f"sources.{index}.join.ahead: its rows are known {source.delay} after their time; give one of the two"
        elif source.available_after is not None and source.join.take == "only":
            yield f"sources.{index}.available_after: does not count where join.take is only, which asks for no time"
    yield from repeated("sources", [source.name for source in usecase.sources])


def _targets(usecase: "UseCase") -> Iterator[str]:
    yield from repeated("targets", [target.name for target in usecase.targets])
    for target in usecase.targets:
        field = f"targets.{target.name}"
        yield from _unknown_column(usecase, f"{field}.column", target.column)
        if usecase.columns[target.column].type in ("category", "text"):
            yield f"{field}.column: {target.column} is a {usecase.columns[target.column].type}; a target is a number"
        if usecase.events is not None:
            continue
        try:
            ahead = steps(target.horizon, usecase.time.frequency)
        except ValueError as error:
            yield f"{field}.horizon: {error}"
        else:
            if ahead < 1:
                yield f"{field}.horizon: must be at least one step of {usecase.time.frequency}"


def _gap(usecase: "UseCase") -> Iterator[str]:
    # With a shorter gap the last training rows would have their targets in the test span.
    longest, gap = usecase.longest_horizon, usecase.split.gap
    if gap is not None and to_timedelta(gap) < to_timedelta(longest):
        yield f"split.gap: {gap} is shorter than the longest horizon, {longest}"


def _references(usecase: "UseCase") -> Iterator[str]:
    declared = [
        *(("gates", GATE_RULES[rule.rule], index, rule) for index, rule in enumerate(usecase.gates)),
        *(
            ("validation.checks", CHECKS[rule.rule], index, rule)
            for index, rule in enumerate(usecase.validation.checks)
        ),
    ]
    for field, kind, index, rule in declared:
        for problem in kind.problems(rule, usecase) if kind.problems else ():
            yield f"{field}.{index}.{problem}"
    for group in usecase.evaluation.groups:
        if group.column is not None and group.column != usecase.entity:
            yield from _unknown_column(usecase, f"evaluation.groups.{group.name}.column", group.column)
    for column in usecase.drift.columns or []:
        yield from _unknown_column(usecase, "drift.columns", column)


def _false_refusals(usecase: "UseCase") -> Iterator[str]:
    rules = [rule for rule in usecase.gates if isinstance(rule, ChanceRule)]
    total = sum(rule.false_refusals or 0.0 for rule in rules)
    # What every gate checks unasked has its part as well.
    if total >= FALSE_REFUSALS:
        yield f"gates: the false_refusals of all rules add up to {total:g}; must be less than {FALSE_REFUSALS:g}"


def _bands(usecase: "UseCase") -> Iterator[str]:
    bands = usecase.evaluation.bands
    if any(low >= high for low, high in pairwise(bands.edges)):
        yield "evaluation.bands.edges: must ascend"
    if bands.names is not None and len(bands.names) != len(bands.edges) + 1:
        yield f"evaluation.bands.names: {len(bands.edges)} edges need {len(bands.edges) + 1} names"


def _keys(usecase: "UseCase") -> Iterator[str]:
    time, entity = usecase.time.column, usecase.entity
    if entity == time:
        yield f"entity: {entity} is the time column"
    for field, name in (("time.column", time), ("entity", entity)):
        if name in usecase.columns:
            yield f"columns.{name}: is the column of {field}; 'columns' lists the others only"


def _origin(usecase: "UseCase") -> Iterator[str]:
    """Check that nothing asks for the calendar of times that have none."""
    if usecase.time.origin is None:
        return
    if usecase.time.zone is not None:
        yield "time.zone: times counted from time.origin have none; give one of the two"
    for index, item in enumerate(usecase.features.items):
        if item.kind in _OF_THE_CALENDAR:
            yield f"features.items.{index}: times counted from time.origin have no {item.kind}; leave it out"
    for group in usecase.evaluation.groups:
        if group.calendar is not None:
            yield f"evaluation.groups.{group.name}: times counted from time.origin have no calendar; leave it out"
    if usecase.drift.season != "none":
        yield f"drift.season: times counted from time.origin have no {usecase.drift.season}; write none"


def _calendar(usecase: "UseCase") -> Iterator[str]:
    """Check that a calendar has steps of a day, and no events, zone or origin with it."""
    time = usecase.time
    if time.calendar is None:
        return
    if usecase.events is not None:
        yield "time.calendar: events have no steps; leave it out, or leave out the section events"
    if time.frequency != "1d":
        yield f"time.calendar: needs a step of a day; time.frequency is {time.frequency}, expected 1d"
    for field, value in (("zone", time.zone), ("origin", time.origin)):
        if value is not None:
            yield f"time.{field}: the days of time.calendar are dates as they are written; leave it out"


def _sources(usecase: "UseCase") -> Iterator[str]:
    keys = {name for source in usecase.sources if source.join is not None for name in source.join.keys}
    known = {*usecase.columns, usecase.entity, *keys}
    for source in usecase.sources:
        field = f"sources.{source.name}.read"
        for old, new in source.read.rename.items():
            if new not in known:
                yield f"{field}.rename.{old}: no column named {new}; known: {', '.join(sorted(usecase.columns))}"
        for name in source.read.values:
            if name not in usecase.columns:
                yield f"{field}.values: no column named {name}; known: {', '.join(sorted(usecase.columns))}"
            elif usecase.columns[name].type in ("category", "text"):
                yield f"{field}.values.{name}: is a category, which keeps its texts; a number is needed"


def _split(usecase: "UseCase") -> Iterator[str]:
    split = usecase.split
    if split.test_from is not None and split.test_to is not None and split.test_to <= split.test_from:
        yield f"split.test_to: {split.test_to} is not after test_from, {split.test_from}"
    if split.test_from is not None and split.train_from is not None and split.train_from >= split.test_from:
        yield f"split.train_from: {split.train_from} is not before test_from, {split.test_from}"
    if split.train_from is not None and split.train_window is not None:
        yield "split: give either 'train_from' or 'train_window'"


def _windows(usecase: "UseCase") -> Iterator[str]:
    """Check that each sliding training window has room for the longest horizon and the folds."""
    split, folds = usecase.split, usecase.training.folds
    retrain = None if split.retrain is None else split.retrain.train
    places = {
        "split.train": split.train,
        "split.retrain.train": retrain,
        "split.train_window": split.train_window,
        "drift.policy.retrain_window": usecase.drift.policy.retrain_window,
    }
    needed = shortest_window(usecase)
    for field, text in places.items():
        # An expanding window grows with the data; whether it has rows enough only the table says.
        if text in (None, "expanding") or window_of(text) >= needed:
            continue
        length = f"of {folds.length}" if folds.length else "that calibrate intervals"
        longest = to_duration(usecase.longest_wait)
        yield (
            f"{field}: {text} is too short; it must hold at least {to_duration(needed)}: rows to learn from, the "
            f"longest horizon, {longest}, and {folds.count} folds {length} (training.folds)"
        )


def _test_blocks(usecase: "UseCase") -> Iterator[str]:
    # A bootstrap of a single block draws the same rows each time, and its intervals have no width.
    block = to_timedelta(usecase.evaluation.block)
    retrain = None if usecase.split.retrain is None else usecase.split.retrain.test
    for field, text in (("split.test", usecase.split.test), ("split.retrain.test", retrain)):
        if text is not None and window_of(text) < 2 * block:
            yield (
                f"{field}: {text} is shorter than two blocks of {usecase.evaluation.block}, by which figures get their "
                "intervals (evaluation.block)"
            )


def _durations(usecase: "UseCase") -> Iterator[str]:
    """Check spans of time: a season is a whole number of steps, and no span is shorter than one."""
    frequency = usecase.time.frequency
    try:
        steps(usecase.evaluation.season, frequency)
    except ValueError as error:
        yield f"evaluation.season: {error}"
    places = {
        "evaluation.season": usecase.evaluation.season,
        "evaluation.block": usecase.evaluation.block,
        "training.folds.length": usecase.training.folds.length or frequency,
        "drift.window": usecase.drift.window,
    }
    for field, duration in places.items():
        # A shorter one can fall between two rows.
        if to_timedelta(duration) < to_timedelta(frequency):
            yield f"{field}: must be at least one step of {frequency}"
    if usecase.validation.max_gap is not None and not to_timedelta(usecase.validation.max_gap):
        yield "validation.max_gap: must be longer than nothing; set validation.gaps to error to allow no gap"


def _decisions(usecase: "UseCase") -> Iterator[str]:
    """One decision signal for all targets names ranges of one column."""
    plain = [target for target in usecase.targets if target.decision is None and target.task == "regression"]
    if usecase.serving.decision is not None and len(columns := dict.fromkeys(one.column for one in plain)) > 1:
        yield (
            f"serving.decision: would name ranges of {' and of '.join(columns)} alike; "
            "give each target a decision of its own"
        )


def _schedules(usecase: "UseCase") -> Iterator[str]:
    for name, cron in (("retrain", usecase.schedule.retrain), ("monitor", usecase.schedule.monitor)):
        if why := wrong_cron(cron):
            yield f"schedule.{name}: {cron!r} {why}"


def _unknown_column(usecase: "UseCase", field: str, name: str) -> Iterator[str]:
    if name not in usecase.columns:
        yield f"{field}: no column named {name}; known: {', '.join(sorted(usecase.columns))}"


_RULES = (
    _joins,
    _targets,
    _gap,
    candidate_rules.blends,
    _references,
    _false_refusals,
    _bands,
    _keys,
    _origin,
    _calendar,
    event_rules.problems,
    _sources,
    _split,
    _durations,
    _windows,
    _test_blocks,
    candidate_rules.candidates,
    candidate_rules.choice,
    _decisions,
    _schedules,
)

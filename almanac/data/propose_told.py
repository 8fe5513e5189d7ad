"""Text of a proposal on the screen: its assumptions and its doubts."""

from almanac.core.levels import some
from almanac.data.infer_calendar import CalendarFacts
from almanac.data.proposal import Draft
from almanac.data.shapes.filter import Filter
from almanac.usecase.data_section import Read
from almanac.usecase.types import to_duration


def assumptions(draft: Draft) -> list[tuple[str, str]]:
    """Return the proposal's assumptions, as pairs of a title and a sentence."""
    facts = draft.facts
    kinds = ", ".join(f"{draft.names[raw]} ({its.type})" for raw, its in facts.columns.items())
    entity = (
        "none: a single series" if facts.entity is None else f"{facts.entity}, {facts.raw[facts.entity].n_unique():,}"
    )
    rows = [
        ("table", f"{facts.raw.height:,} rows from {draft.span[0]} to {draft.span[1]}{_form(draft)}"),
        ("time", f"{draft.time}, {notation(draft)}"),
        *([("zone", f"{facts.zone.name}, {facts.zone.reason}")] if facts.zone else []),
        *([("numbers", marks)] if (marks := _marks(facts.read)) else []),
        ("frequency", _frequency(draft)),
        ("entity", entity),
        ("columns", kinds),
        *(("left out", f"{raw}, it {reason}") for raw, reason in facts.left_out.items()),
        *(("known ahead", f"{draft.names[raw]}, {reason}") for raw, reason in draft.ahead.columns.items()),
        ("target", f"{_what(draft)}, {to_duration(draft.horizon)} ahead"),
        ("split", f"test the last {draft.test_days}d; {draft.folds} folds of {to_duration(draft.fold)} before"),
        ("season", to_duration(draft.season)),
        ("bands", f"at {', '.join(f'{edge:g}' for edge in draft.edges)}"),
        ("candidates", "lightgbm, linear and their blend, with fixed parameters"),
    ]
    return rows


def _what(draft: Draft) -> str:
    name = draft.names[draft.target]
    return f"the probability that {name} is true" if draft.binary else name


def _form(draft: Draft) -> str:
    """Return the format of the file, after a comma; nothing for a query, whose rows have none."""
    return "" if draft.brought.fields.get("type") == "sql" else f", {draft.facts.read.format}"


def _marks(read: Read) -> str:
    """Return how numbers are written, empty for plain ones."""
    marks = [
        *(["a decimal comma"] if read.decimal == "," else []),
        *([f"{read.thousands!r} between thousands"] if read.thousands else []),
        *([f"the signs {' '.join(read.signs)}, which are taken out"] if read.signs else []),
    ]
    return ", ".join(marks)


def _frequency(draft: Draft) -> str:
    facts = draft.facts
    if facts.events is not None:
        roles = f" in the roles {' and '.join(facts.events.roles)}" if facts.events.roles else ""
        return f"none: each row is an event{roles}, known {to_duration(facts.events.known_after)} after it"
    if facts.gathered:
        return "rows come irregularly and are gathered to days: sums of the target, means of other numbers"
    if facts.calendar is not None:
        return f"{to_duration(facts.step)} on open days: {open_days(facts.calendar)}"
    return f"{to_duration(facts.step)}, {facts.regular:.1%} of the steps"


def open_days(calendar: CalendarFacts) -> str:
    """Return the evidence that the rows lie on the open days of a calendar."""
    return f"no row is on a closed day of {calendar.name}, and {calendar.full:.1%} of its open days have one"


def unsure(draft: Draft) -> list[str]:
    """Return the decisions that a person should look at first, as sentences."""
    facts = draft.facts
    told = []
    if facts.events is not None:
        after = to_duration(facts.events.known_after)
        told.append(
            f"events.known_after, outcomes: every number is taken to be known {after} after its event, not before"
        )
    if facts.gathered:
        told.append("read.resample: days without a row are taken to be 0, and not missing")
    for step in facts.read.shape:
        if isinstance(step, Filter):
            told.append(f"read.shape: only rows with {step.where} are read; the others hold no time")
    if facts.calendar is not None and facts.calendar.same_weeks:
        told.append("time.calendar: an exchange or a country says which days to come are holidays; name it if one fits")
    elif facts.calendar is not None and facts.calendar.others:
        told.append(f"time.calendar: the days of {some(facts.calendar.others)} would fit too")
    if facts.calendar is not None:
        told.append(f"durations count open days: {facts.week}d is a week; split, folds and drift count all days")
    if facts.open_zone:
        told.append("time.zone: times without an offset are taken as they are, without daylight saving")
    elif facts.zone is not None and facts.zone.others:
        told.append(f"time.zone: the clocks of {some(facts.zone.others)} would fit too")
    if draft.years < 1:
        told.append(f"split: {draft.years * 365:.0f} days to learn from show no course of a year")
    if draft.ahead.columns:
        ahead = ", ".join(draft.names[raw] for raw in draft.ahead.columns)
        when = f"{to_duration(draft.horizon)} before their time" if facts.events is None else "before the event"
        told.append(f"{ahead}: values are read {when}; the past must hold what was known then, such as a forecast")
    if draft.ahead.later:
        told.append(
            f"read.shape: {draft.ahead.later:,} rows after the last known {draft.names[draft.target]} are left out"
        )
    known = [
        draft.names[raw]
        for raw, its in facts.columns.items()
        if raw not in (draft.target, *draft.ahead.columns) and its.type != "text"
    ]
    if known and facts.events is None:
        told.append(f"features: {', '.join(known[:5])} may be read up to the time of the forecast, and not beyond it")
    return told


def next_forecast(draft: Draft) -> str:
    """Return a hint on forecasting the next period or row."""
    if draft.facts.events is None:
        return f"{to_duration(draft.horizon)} after the newest row"
    return f"for the newest row; for one that is to come, add it with its {draft.time} and without {draft.target}"


def notation(draft: Draft) -> str:
    """Return how the times are written."""
    form = draft.facts.read.time.format
    return f"the format {form}" if form else "ISO 8601"

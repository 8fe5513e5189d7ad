"""Sections of a proposed use case for events: their histories, and features that ask them."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from almanac.data.infer_events import SERIES, role_columns
from almanac.usecase.defaults import many_levels
from almanac.usecase.types import to_duration

if TYPE_CHECKING:
    from almanac.data.proposal import Draft

_DAY = timedelta(days=1)
#: Numbers of events in the windows of histories.
_WINDOWS = (3, 10, 30)


def events_section(draft: "Draft") -> dict[str, Any]:
    """Return the section `events`."""
    events = draft.facts.events
    assert events is not None
    outcomes = [draft.names[raw] for raw in _numbers(draft) if raw not in draft.ahead.columns]
    section: dict[str, Any] = {"known_after": to_duration(events.known_after), "outcomes": outcomes}
    if events.roles:
        roles = {role: draft.names[column] for role, column in events.roles.items()}
        section |= {"roles": list(roles), "entities": [{"name": "side", "roles": roles}, {"name": "all"}]}
        if sides := _sides(draft):
            section["sides"] = sides
    else:
        section["entities"] = [{"name": "own", "column": entity_of(draft)}]
    return section


def event_features(draft: "Draft") -> list[dict[str, Any]]:
    """Return features of the past of each entity."""
    events, target = draft.facts.events, draft.names[draft.target]
    assert events is not None
    hours, weeks = events.frequency < _DAY, events.known_after >= 7 * _DAY
    kinds = {draft.names[raw]: its.type for raw, its in draft.facts.columns.items()}
    parts = [*(["hour"] if hours else []), *([] if weeks else ["weekday"]), "month"]
    fields = [field for field in parts if field not in draft.taken]
    items: list[dict[str, Any]] = [{"kind": "calendar", "group": "temporal", "fields": fields}] if fields else []
    if weeks and draft.years >= 2:
        # The course of the year, which rows of weeks or months mostly have, for linear candidates too.
        items.append({"kind": "cyclic", "group": "temporal", "periods": ["year"], "harmonics": 2})
    of, both = ("side", {"difference": True}) if events.roles else ("own", {})
    asked = list(_sides(draft)) if events.roles else []
    columns = [*asked, *([] if asked and _is_side(draft) else [target])]
    items.append({"kind": "rest", "group": "past", "of": of, "most": 60, **both})
    common = {"kind": "form", "group": "past", "of": of, "columns": columns}
    items.append({**common, "windows": [1], "statistics": ["last"], **both})
    items.append({**common, "windows": list(_WINDOWS), "statistics": ["mean"], **both})
    items.append({**common, "windows": [10], "statistics": ["std"]})
    if events.roles:
        everything = {"kind": "form", "group": "past", "of": "all", "columns": [target], "windows": [100]}
        items.append({**everything, "statistics": ["mean"]})
    elif draft.years >= 2 and events.single:
        items.append({**common, "windows": ["366d"], "statistics": ["mean"]})
    if known := [draft.names[raw] for raw in _numbers(draft) if raw in draft.ahead.columns]:
        items.append({"kind": "value", "group": "other", "columns": known})
    if categories := [name for name, kind in kinds.items() if kind == "category" and name not in draft.many]:
        items.append({"kind": "categorical", "group": "other", "columns": categories, "encoding": "code"})
    return [*items, *many_levels(draft.many, draft.forecast)]


def entity_of(draft: "Draft") -> str:
    """Return the entity's name in the use case; of a single series, that of a constant column."""
    return SERIES if draft.facts.entity is None else draft.names[draft.facts.entity]


def _sides(draft: "Draft") -> dict[str, dict[str, str]]:
    events = draft.facts.events
    assert events is not None
    numbers = [raw for raw in _numbers(draft) if raw not in draft.ahead.columns]
    sides: dict[str, dict[str, str]] = {}
    first, second = events.roles
    for side, of in role_columns(numbers, events.roles).items():
        named = {role: draft.names[column] for role, column in of.items()}
        # As the other role sees it: what was scored by one was allowed by the other.
        sides[side] = named
        sides[f"{side}_against"] = {first: named[second], second: named[first]}
    return sides


def _numbers(draft: "Draft") -> list[str]:
    return [raw for raw, its in draft.facts.columns.items() if its.type in ("float", "integer")]


def _is_side(draft: "Draft") -> bool:
    return any(draft.names[draft.target] in of.values() for of in _sides(draft).values())

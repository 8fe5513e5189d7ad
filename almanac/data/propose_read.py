"""Section `sources` of a proposed use case: where the table is, and how it is read."""

from collections.abc import Iterator
from typing import Any

from almanac.data.infer_days import terms
from almanac.data.infer_events import SERIES
from almanac.data.proposal import Draft
from almanac.data.sql_text import identifier
from almanac.data.yaml_line import flow
from almanac.usecase.types import to_duration


def sources(draft: Draft) -> Iterator[str]:
    """Yield the lines of the section.

    The columns of a grid that are known ahead are those of a second source, which is the same table again: its rows are
    joined the horizon before their time.
    """
    ahead = [raw for raw in draft.facts.columns if raw in draft.ahead.columns and draft.facts.events is None]
    rest = [raw for raw in draft.facts.columns if raw not in ahead]
    yield ""
    yield "sources:"
    yield from _source(draft, "table", rest, ahead)
    if ahead:
        yield from _source(draft, "ahead", ahead, rest)
        # Without a tolerance a time has the row that is valid at the time of its forecast, or none.
        join = {"ahead": to_duration(draft.horizon), "tolerance": "0h"}
        yield f"    join: {flow(join)}  # look: values must be known so long before their time"
        for raw in ahead:
            inferred = "" if raw in draft.ahead.asked else "inferred: "
            yield f"    # {inferred}{flow(draft.names[raw])} {draft.ahead.columns[raw]}"
    yield ""


def _source(draft: Draft, name: str, kept: list[str], rest: list[str]) -> Iterator[str]:
    facts = draft.facts
    yield f"  - name: {name}"
    for key, value in draft.brought.fields.items():
        hint = "  # look: remove it if the file will grow" if key == "sha256" else ""
        yield f"    {key}: {flow(value)}{hint}"
    yield f"    title: {flow(draft.brought.path.name)}"
    yield "    licence: not stated  # look: the licence of the data"
    yield "    read:"
    yield from (f"      {key}: {flow(value)}" for key, value in _read(draft, name, kept, rest).items())
    if name == "table":
        yield from (f"      # inferred: {flow(raw)} is left out, it {reason}" for raw, reason in facts.left_out.items())


def _read(draft: Draft, name: str, kept: list[str], rest: list[str]) -> dict[str, Any]:
    facts = draft.facts
    keys = [draft.time, *([facts.entity] if facts.entity else [])]
    rename = {raw: draft.names[raw] for raw in [*keys, *kept] if draft.names[raw] != raw and raw != draft.time}
    # In JSON's terms: a step of `shape` is of a kind, which a plain dump of the list would not know.
    read: dict[str, Any] = facts.read.model_dump(mode="json", exclude_defaults=True, exclude_none=True)
    shape = [step.model_dump(exclude_defaults=True) for step in facts.read.shape]
    if name == "table" and draft.ahead.later:
        shape.append({"step": "filter", "where": f"{identifier(draft.target)} IS NOT NULL"})
    if facts.events is not None and facts.events.single:
        shape.append({"step": "constant", "columns": {SERIES: "all"}})
    if draft.brought.read is None:
        # A place that decides on the format, such as a database, has none in the file.
        read = {"format": facts.read.format, **read}
    read |= {"shape": shape} if shape else {}
    read |= {"rename": rename} if rename else {}
    if left := [*facts.left_out, *rest]:
        read["drop"] = left
    if facts.gathered:
        declared = terms(draft.names[draft.target], [draft.names[raw] for raw in facts.columns])
        read["resample"] = declared.model_dump(exclude_defaults=True)
    return read

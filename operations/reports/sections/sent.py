"""Messages of the period: how many were sent over each channel, and those that did not arrive."""

from collections.abc import Iterator

from almanac.reports import Block, Note, Section, Table
from operations.reports.facts import Facts, Row
from operations.reports.sections.lists import listed


def section(facts: Facts) -> Section:
    """Return the section on messages."""
    return Section("Messages", _blocks(facts))


def last_outcomes(rows: list[Row]) -> list[Row]:
    """Return the last entry about each message, in the order of time."""
    return list({row["subject"]: row for row in rows}.values())


def _blocks(facts: Facts) -> Iterator[Block]:
    rows = last_outcomes(facts.notifications)
    if not rows:
        yield Note("No message was sent in this period.")
        return
    counts: dict[tuple[str, str], int] = {}
    for row in rows:
        key = (row["channel"], row["outcome"])
        counts[key] = counts.get(key, 0) + 1
    yield Table(("channel", "outcome", "messages"), [(*key, count) for key, count in sorted(counts.items())])
    if lost := [row for row in rows if row["outcome"] != "sent"]:
        each = [(facts.period.local(row["when"]), row["channel"], row["outcome"], row["summary"]) for row in lost]
        yield from listed("Not known to have arrived", ("when", "channel", "outcome", "message"), each)

"""Alarms of the period, and those that were still firing at its end."""

from collections.abc import Iterator

from almanac.reports import Block, Callout, Note, Section, Table
from operations.reports.facts import Facts, Row
from operations.reports.sections.lists import listed


def section(facts: Facts) -> Section:
    """Return the section on alarms."""
    return Section("Alarms", _blocks(facts))


def firing(facts: Facts) -> list[str]:
    """Return the names of the alarms that fired at the end of the period."""
    states = {row["name"]: row["state"] for row in facts.alarms}
    return sorted(name for name, state in states.items() if state == "firing")


def _blocks(facts: Facts) -> Iterator[Block]:
    start = facts.period.span[0]
    rows = [row for row in facts.alarms if row["when"] >= start]
    if names := firing(facts):
        yield Callout(f"Firing at the end of the period: {', '.join(names)}.", "bad")
    if not rows:
        yield Note("No alarm began or ended in this period.")
        return
    yield Table(("alarm", "fired", "ended", "severity"), [_counts(name, rows) for name in _names(rows)])
    each = [(facts.period.local(row["when"]), row["name"], row["state"], row["summary"]) for row in rows]
    yield from listed("One by one", ("when", "alarm", "state", "summary"), each)


def _names(rows: list[Row]) -> list[str]:
    return sorted({row["name"] for row in rows})


def _counts(name: str, rows: list[Row]) -> tuple[str, int, int, str]:
    of = [row for row in rows if row["name"] == name]
    fired = sum(row["state"] == "firing" for row in of)
    return name, fired, len(of) - fired, of[-1]["severity"]

"""Approvals: people's decisions, the changes of versions, and versions that wait for a decision."""

from collections.abc import Iterator

from almanac.reports import Block, Section
from operations.reports.facts import Facts, Row
from operations.reports.sections.lists import listed

_CHANGES = ("registered", "documented", "promoted", "demoted", "rolled_back", "rejected", "approved")
_POLICY = ("policy_set", "policy_proposed", "policy_approved")


def section(facts: Facts) -> Section:
    """Return the section on approvals."""
    return Section("Approvals and versions", _blocks(facts), anchor="approvals")


def waiting(facts: Facts) -> list[Row]:
    """Return the versions that await an approval now, of those registered until the end of the period."""
    stop = facts.period.span[1]
    return [row for row in facts.versions if row["status"] == "awaits approval" and row["registered"] < stop]


def _blocks(facts: Facts) -> Iterator[Block]:
    local, start = facts.period.local, facts.period.span[0]
    decisions = [
        (local(row["when"]), row["subject"], row["decision"], row["who"], row["identity"], row["why"])
        for row in facts.approvals
    ]
    changes = [
        (local(row["when"]), row["kind"].replace("_", " "), row["version"] or "–", row["who"], row["why"])
        for row in facts.events
        if row["when"] >= start and row["kind"] in (*_CHANGES, *_POLICY)
    ]
    open_now = [(f"version {row['number']}", row["proposer"], local(row["registered"])) for row in waiting(facts)]
    yield from listed("Decisions", ("when", "on", "decision", "who", "identity", "why"), decisions)
    yield from listed("Changes of versions", ("when", "change", "version", "who", "why"), changes)
    yield from listed("Waits for a decision", ("what", "proposed by", "since"), open_now)

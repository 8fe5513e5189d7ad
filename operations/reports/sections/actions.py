"""Actions: plans of retrainings, trainings with their gates, failed runs, and the agent's diagnoses and actions."""

import json
from collections.abc import Iterator

from almanac.reports import Block, Section
from operations.reports.facts import Facts
from operations.reports.sections.lists import listed


def section(facts: Facts) -> Section:
    """Return the section on actions."""
    return Section("Actions", _blocks(facts))


def _blocks(facts: Facts) -> Iterator[Block]:
    local = facts.period.local
    plans = [
        (
            local(row["created"]),
            row["digest"][:12],
            row["status"],
            row["proposer"],
            "; ".join(json.loads(row["reasons"])),
        )
        for row in facts.plans
    ]
    trainings = [
        (local(row["started"]), row["id"], _gate(row["gate_passed"]), "–" if row["version"] is None else row["version"])
        for row in facts.runs
        if row["kind"] == "training"
    ]
    actions = [(local(row["when"]), row["kind"], row["who"], row["why"]) for row in facts.actions]
    yield from listed("Plans of retrainings", ("proposed", "plan", "now", "by", "because"), plans)
    yield from listed("Trainings", ("started", "run", "gate", "version"), trainings)
    failures = [
        (local(row["failed"]), row["kind"], row["step"] or "–", row["error"])
        for row in facts.failures
        if row["gate_passed"] is None
    ]
    yield from listed("Failed runs", ("failed", "kind", "step", "error"), failures)
    yield from listed("Diagnoses and actions of the agent", ("when", "what", "who", "why"), actions)


def _gate(passed: bool | None) -> str:
    return "–" if passed is None else "open" if passed else "closed"

"""Summary: the verdict of the period and its key numbers."""

import json
from collections.abc import Iterator

from almanac.reports import Block, Callout, Section, Tiles
from operations.reports.facts import Facts
from operations.reports.sections.alarms import firing
from operations.reports.sections.approvals import waiting


def section(facts: Facts) -> Section:
    """Return the summary."""
    return Section("Summary", _blocks(facts))


def verdict(facts: Facts) -> tuple[str, bool]:
    """Return the period in a sentence, and whether it is bad news."""
    breaches = [row for row in facts.windows if row["breach"]]
    open_alarms = firing(facts)
    if breaches:
        reasons = "; ".join(json.loads(breaches[-1]["reasons"]))
        return f"{len(breaches)} of {len(facts.windows)} windows breached, the last one because {reasons}.", True
    if open_alarms:
        return f"No window breached, but {', '.join(open_alarms)} fired at the end of the period.", True
    if not facts.windows:
        return "Nothing was monitored in this period.", True
    return f"All {len(facts.windows)} windows were quiet.", False


def figures(facts: Facts) -> dict[str, int | None]:
    """Return the key numbers, as webhooks get them."""
    trainings = [row for row in facts.runs if row["kind"] == "training"]
    start = facts.period.span[0]
    return {
        "version_in_production": facts.version,
        "windows": len(facts.windows),
        "windows_breached": sum(bool(row["breach"]) for row in facts.windows),
        "alarms_fired": sum(row["state"] == "firing" for row in facts.alarms if row["when"] >= start),
        "trainings": len(trainings),
        "gates_closed": sum(row["gate_passed"] is False for row in (*trainings, *facts.failures)),
        "runs_failed": sum(row["gate_passed"] is None for row in facts.failures),
        "decisions": len(facts.approvals),
        "waiting_for_a_decision": len(waiting(facts)),
        "predictions_logged": sum(row["count"] for row in facts.requests),
    }


def _blocks(facts: Facts) -> Iterator[Block]:
    text, bad = verdict(facts)
    yield Callout(text, "bad" if bad else "good")
    numbers = figures(facts).items()
    yield Tiles([(name.replace("_", " "), "none" if value is None else f"{value:,}") for name, value in numbers])

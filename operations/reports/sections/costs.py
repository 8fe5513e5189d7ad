"""Costs: time of the runs, processor time and energy of the trainings, and predictions."""

import json
from collections.abc import Iterator

from almanac.core.usage import WATTS_PER_CORE
from almanac.reports import Block, Note, Section, Table
from operations.reports.facts import Facts, Row

_HOUR = 3600.0
_HEADER = ("runs", "number", "elapsed (h)", "working (h)", "processor (h)", "measured", "energy (Wh)")


def section(facts: Facts) -> Section:
    """Return the section on costs."""
    return Section("Costs", _blocks(facts))


def _blocks(facts: Facts) -> Iterator[Block]:
    kinds = sorted({row["kind"] for row in facts.runs})
    if not kinds:
        yield Note("No run started in this period.")
    else:
        yield Table(_HEADER, [_row(facts, kind) for kind in kinds], digits=3)
        yield Note(
            "Working: the steps that were computed and not taken from the cache. Processor time is measured where a "
            f"training registered a version; energy is that time at an assumed {WATTS_PER_CORE:g} W a core, without "
            "cooling and losses."
        )
    counted: dict[tuple[str, int], int] = {}
    for row in facts.requests:
        counted[row["target"], row["version"]] = counted.get((row["target"], row["version"]), 0) + row["count"]
    if counted:
        rows = [(target, version, count) for (target, version), count in sorted(counted.items())]
        yield Table(("target", "version", "predictions logged"), rows)
        yield Note("Counted by the data's clock, in UTC, over the same dates.")


def _row(facts: Facts, kind: str) -> tuple[object, ...]:
    runs = [row for row in facts.runs if row["kind"] == kind]
    measured = [facts.compute[row["id"]] for row in runs if row["id"] in facts.compute and _trained(row)]
    seconds = sum(each.get("cpu_seconds", 0.0) for each in measured)
    working = sum(_working(row) for row in runs)
    known = bool(measured)
    return (
        kind,
        len(runs),
        sum(row["seconds"] for row in runs) / _HOUR,
        working / _HOUR,
        seconds / _HOUR if known else None,
        f"{len(measured)} of {len(runs)}",
        seconds / _HOUR * WATTS_PER_CORE if known else None,
    )


def _working(run: Row) -> float:
    return float(sum(step["seconds"] for step in json.loads(run["steps"]) if not step["cached"]))


def _trained(run: Row) -> bool:
    """Return whether a run trained by itself: a training from the cache took nothing, whatever its documents state."""
    return any(step["name"] == "training" and not step["cached"] for step in json.loads(run["steps"]))

"""How often the remediation agent names the right cause, and how fast it acts.

    python -m benchmarks.agent                       # the table: faults of 2013 and 2014, a running server, the agent
    python -m benchmarks.agent --quick               # the same way with one window a year, to see that it runs
    python -m benchmarks.agent --record              # the running server's episodes for the calibration
    python -m benchmarks.agent --calibrate           # operations/agent/calibration.json, the same bytes each time

Weights are fitted on faults injected into 2012, with models that have learned 2010 and 2011, and on recorded episodes
of a running server; they are measured on faults of other sizes in 2013 and 2014, with models that have learned 2010 to
2012, and on new episodes of a server.
"""

import argparse
import json
import tempfile
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from almanac.core.files import read_json, write_json
from almanac.usecase import load
from benchmarks.agent import faults, runs, service
from benchmarks.agent.calibrate import fit
from benchmarks.agent.reaction import react
from benchmarks.agent.series import Example, World, examples
from benchmarks.policy_series import ROOT, validated
from operations.agent.calibration import FILE
from operations.agent.diagnosis import diagnose
from operations.agent.evidence import Evidence

EPISODES = Path(__file__).with_name("episodes.json")
USE_CASE = ROOT / "usecases" / "air_quality.yaml"
USUAL = "usual load"
_CALIBRATED, _MEASURED = [11, 12], [21, 22]
_SURE = 0.5


def real_table() -> pl.DataFrame:
    """Return the validated series."""
    with tempfile.TemporaryDirectory() as folder:
        return validated(load(USE_CASE), Path(folder))


def series_examples(
    trained: datetime, first: datetime, last: datetime, step: timedelta, seed: int, names: Sequence[str]
) -> list[Example]:
    """Return the evidence of windows of the real series with each fault, and of the clean ones."""
    world = World(load(USE_CASE), real_table(), trained)
    return list(examples(world, ["clean", *names], first, last, step, seed))


def service_examples(seeds: list[int], names: Sequence[str]) -> list[tuple[Example, str]]:
    """Return the evidence of episodes of a running server, each with the name of the alarm that belongs to it."""
    return list(service.episodes(real_table().tail(20_000), seeds, [USUAL, *names]))


def record() -> None:
    """Write the episodes that the calibration reads, without and with the alarm's name."""
    found = []
    for example, alarm in service_examples(_CALIBRATED, list(service.FAULTS)):
        evidence = example.evidence.to_json()
        own = {"fault": example.fault, "cause": example.cause}
        found += [{**own, "evidence": {**evidence, "alarm": name}} for name in ("", alarm)]
    write_json(EPISODES, found)
    print(f"{len(found)} episodes to {EPISODES}")


def recorded() -> list[Example]:
    """Return the recorded episodes, those with an alarm once more as the agent has them that cannot ask the server."""
    moment, found = datetime(2012, 1, 1), []
    for each in read_json(EPISODES):
        evidence = Evidence.of_json(each["evidence"])
        found.append(Example(each["fault"], each["cause"], moment, evidence))
        if evidence.alarm:
            found.append(Example(each["fault"], each["cause"], moment, Evidence(evidence.alarm)))
    # No episode lets data grow old, and this alarm says it by itself.
    return [*found, Example("observations stale", "source_stale", moment, Evidence("AlmanacDataStale"))]


def calibrate() -> None:
    """Fit the weights, and write them."""
    span = datetime(2012, 2, 5), datetime(2013, 1, 1), timedelta(days=10)
    found = series_examples(datetime(2012, 1, 1), *span, 1, list(faults.FAULTS))
    found += [*recorded(), *runs.failed_runs(USE_CASE)]
    write_json(FILE, {"examples": len(found), "causes": fit(found)})
    print(f"{len(found)} examples to {FILE}")


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """Return the figures."""
    span = datetime(2013, 2, 1), datetime(2015, 1, 1), timedelta(days=360 if given.quick else 30)
    found = series_examples(datetime(2013, 1, 1), *span, 2, list(faults.FAULTS))
    found += list(runs.failed_runs(USE_CASE))
    if not given.without_server:
        found += [
            example for example, _ in service_examples(_MEASURED[: 1 if given.quick else 2], list(service.FAULTS))
        ]
    document = table_of(found)
    if not given.without_server:
        document["reaction_seconds"] = react(real_table().tail(20_000), given.reactions)
    return document


def table_of(found: Sequence[Example]) -> dict[str, Any]:
    """Return the figures of each fault, of all together, and of the windows and loads without one."""
    kinds: dict[str, list[tuple[Example, list[str], float]]] = {}
    for example in found:
        named = diagnose(example.evidence)
        kinds.setdefault(example.fault, []).append((example, [each.cause for each in named], named[0].confidence))
    clean = [row for name in ("clean", USUAL) for row in kinds.pop(name, [])]
    rows = {name: _row(entries) for name, entries in kinds.items()}
    count = sum(row["n"] for row in rows.values())
    return {
        "faults": rows,
        "kinds": len(rows),
        "n": count,
        "first": sum(row["first"] * row["n"] for row in rows.values()) / count,
        "first_two": sum(row["first_two"] * row["n"] for row in rows.values()) / count,
        "clean": len(clean),
        "false": sum(confidence >= _SURE for _, _, confidence in clean),
        "calibration": _reliability([row for entries in kinds.values() for row in entries] + clean),
    }


def _row(entries: list[tuple[Example, list[str], float]]) -> dict[str, Any]:
    right = [order.index(example.cause) for example, order, _ in entries]
    sure = sum(confidence >= _SURE for _, _, confidence in entries)
    return {
        "cause": entries[0][0].cause,
        "n": len(entries),
        "first": sum(at == 0 for at in right) / len(entries),
        "first_two": sum(at <= 1 for at in right) / len(entries),
        "sure": sure / len(entries),
    }


def _reliability(entries: list[tuple[Example, list[str], float]]) -> list[dict[str, float]]:
    """Return how often the first cause was right, by its confidence."""
    bins = []
    for low, high in ((0.0, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 0.9), (0.9, 1.01)):
        inside = [(order[0] == example.cause, c) for example, order, c in entries if low <= c < high]
        if inside:
            mean = sum(c for _, c in inside) / len(inside)
            bins.append({"confidence": mean, "right": sum(hit for hit, _ in inside) / len(inside), "n": len(inside)})
    return bins


def text(document: dict[str, Any]) -> str:
    """Return the figures as a table."""
    lines = [f"{'fault':<26}{'cause':<18}{'n':>4}{'first':>8}{'two':>8}{'sure':>8}"]
    for name, row in document["faults"].items():
        figures = "".join(f"{row[key]:8.0%}" for key in ("first", "first_two", "sure"))
        lines.append(f"{name:<26}{row['cause']:<18}{row['n']:>4}{figures}")
    lines.append(
        f"{document['kinds']} kinds, {document['n']} faults: the first cause is right in {document['first']:.1%}, "
        f"one of the first two in {document['first_two']:.1%}"
    )
    lines.append(f"without a fault: {document['false']} of {document['clean']} diagnosed")
    for each in document["calibration"]:
        lines.append(f"  confidence {each['confidence']:.2f}: right in {each['right']:.0%} of {each['n']:.0f}")
    if seconds := document.get("reaction_seconds"):
        lines.append(f"from the alarm to the safe action: {', '.join(f'{each:.1f}' for each in seconds)} s")
    return "\n".join(lines)


def main() -> None:
    """Measure, record or calibrate."""
    parser = argparse.ArgumentParser(description="Diagnoses and reactions of the remediation agent.")
    parser.add_argument("--record", action="store_true", help="record episodes of a running server")
    parser.add_argument("--calibrate", action="store_true", help="fit the confidences and write them")
    parser.add_argument("--quick", action="store_true", help="one window a year, and one episode of each fault")
    parser.add_argument("--without-server", action="store_true", help="measure on the series and failed runs alone")
    parser.add_argument("--reactions", type=int, default=5, help="alarms that the running agent is sent")
    parser.add_argument("--out", type=Path, help="write the figures as JSON there")
    parser.add_argument("--json", action="store_true", help="print JSON in place of a table")
    given = parser.parse_args()
    if given.record:
        record()
    if given.calibrate:
        calibrate()
    if given.record or given.calibrate:
        return
    document = measure(given)
    if given.out:
        write_json(given.out, document)
    print(json.dumps(document, indent=2) if given.json else text(document))


if __name__ == "__main__":
    main()

"""What the Kubeflow task does beside comparing: the documents, and what they tell of themselves."""

from pathlib import Path
from typing import Any

from almanac.core.files import write_json
from almanac.core.progress import summary
from almanac.drift.report import drift_page
from almanac.reports import write_page
from almanac.usecase import UseCase, digest, load_text
from monitoring.windows.detect import Outcome, detect


def run(usecase: str, table: Path, registry: str, drift: Path, report: Path) -> tuple[bool, dict[str, Any]]:
    """Compare, write drift.json and drift.html, and return the decision and the metadata of both artifacts."""
    case = load_text(usecase, "usecase")
    outcome = detect(case, table, registry)
    document = describe(case, outcome)
    write_json(drift, document)
    write_page(drift_page(outcome.comparison, outcome.outputs, outcome.drifted), report)
    summary(f"{_figure(outcome)}, against {outcome.reference}", outcome.comparison.rows)
    made_of = {
        "use_case": case.name,
        "use_case_digest": digest(case),
        "against": outcome.reference,
        "drifted": outcome.drifted,
        "drifted_features": len(document["drifted_features"]),
        "drifted_outputs": len(document["drifted_outputs"]),
    }
    return outcome.drifted, made_of


def describe(usecase: UseCase, outcome: Outcome) -> dict[str, Any]:
    """Return drift.json: the comparison of the columns, and under `outputs` that of each target's model."""
    return {
        **outcome.comparison.to_json(),
        "drifted": outcome.drifted,
        "use_case": usecase.name,
        "against": outcome.reference,
        "version": outcome.version,
        "signals": list(outcome.signals),
        "drifted_outputs": [f"{name} {signal}" for name, signal in outcome.drifted_outputs],
        "outputs": {
            name: {"judged": False, "why": found} if isinstance(found, str) else {"judged": True, **found.to_json()}
            for name, found in outcome.outputs.items()
        },
    }


def _figure(outcome: Outcome) -> str:
    columns = [feature.name for feature in outcome.comparison.features if feature.drifted]
    outputs = [f"{name} {signal}" for name, signal in outcome.drifted_outputs]
    if not outcome.drifted:
        return "quiet"
    text = f"{len(columns)} of {len(outcome.comparison.features)} columns drifted"
    return f"{text}, and {', '.join(outputs)}" if outputs else text

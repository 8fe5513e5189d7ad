"""What the Kubeflow task does beside comparing: the documents, and what they tell of themselves."""

from pathlib import Path
from typing import Any

from components.common.files import write_json
from components.common.progress import summary
from components.drift.newest import detect
from components.usecase import digest, load_text
from monitoring.drift.report import write_html


def run(usecase: str, table: Path, registry: str, drift: Path, report: Path) -> tuple[bool, dict[str, Any]]:
    """Compare, write drift.json and drift.html, and return the decision and the metadata of both artifacts."""
    case = load_text(usecase, "usecase")
    outcome = detect(case, table, registry)
    comparison = outcome.comparison
    document = comparison.to_json()
    write_json(drift, {**document, "use_case": case.name, "against": outcome.reference, "version": outcome.version})
    write_html(comparison, report)
    flagged = document["drifted_features"]
    text = f"{len(flagged)} of {len(comparison.features)} columns drifted" if comparison.drifted else "quiet"
    summary(f"{text}, against {outcome.reference}", comparison.rows)
    made_of = {
        "use_case": case.name,
        "use_case_digest": digest(case),
        "against": outcome.reference,
        "drifted": comparison.drifted,
        "drifted_features": len(flagged),
    }
    return comparison.drifted, made_of

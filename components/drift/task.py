"""Entry point of the drift component."""

from pathlib import Path
from typing import Any

from almanac.core.files import write_json
from almanac.core.progress import summary
from almanac.drift.report import drift_page
from almanac.reports import Times, write_page
from almanac.usecase import load_text
from almanac.usecase.views import reads, trained_digest
from monitoring.windows.detect import detect


def run(usecase: str, table: Path, registry: str, drift: Path, report: Path) -> tuple[bool, dict[str, Any]]:
    """Compare, write drift.json and drift.html, and return the decision and the metadata of both artifacts."""
    case = reads(load_text(usecase, "usecase"), "drift")
    outcome = detect(case, table, registry)
    document = outcome.to_json(case)
    write_json(drift, document)
    times = Times.of(case)
    write_page(drift_page(outcome.comparison, outcome.outputs, outcome.drifted, times), report)
    summary(outcome.summary(), outcome.comparison.rows)
    return outcome.drifted, {
        "use_case": case.name,
        "use_case_digest": trained_digest(case),
        "against": outcome.reference,
        "drifted": outcome.drifted,
        "drifted_features": len(document["drifted_features"]),
        "drifted_outputs": len(document["drifted_outputs"]),
    }

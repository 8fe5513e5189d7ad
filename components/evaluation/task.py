"""Entry point of the evaluation component."""

from pathlib import Path

from almanac.evaluation.evaluate import Outputs, evaluate, leading_metrics, provenance
from almanac.usecase import load_text
from almanac.usecase.views import reads


def run(
    usecase: str, features: Path, model: Path, tuning: Path, outputs: list[str]
) -> tuple[dict[str, str], dict[str, float]]:
    """Evaluate the models of a run; return the metadata of the artifacts, and the leading metrics.

    Args:
        usecase: the use case as JSON.
        features: the feature table.
        model: the run's model directory.
        tuning: record of the tuning.
        outputs: paths of metrics.json, evaluation.json, the predictions and the report.
    """
    case = reads(load_text(usecase, "usecase"), "evaluation")
    metrics = evaluate(case, features, model, Outputs(*map(Path, outputs)), tuning)
    return provenance(case, features, model), leading_metrics(metrics)

"""The training component's task."""

from pathlib import Path
from typing import Any

from almanac.core.files import refuse_non_finite
from almanac.core.progress import format_metric, summary
from almanac.core.usage import measured
from almanac.training.train import Inputs, train
from almanac.usecase import load_text
from almanac.usecase.views import reads


def run(
    usecase: str, inputs: list[Path], model: Path, tuning: Path, tracking: Path
) -> tuple[dict[str, Any], dict[str, float]]:
    """Train and track; return the model artifact's metadata and the metrics for the user interface.

    Args:
        usecase: the use case as JSON.
        inputs: feature table, feature specification, validated table.
        model: path of the model directory to write.
        tuning: path of the tuning record to write.
        tracking: directory of the tracking record and archive to write.
    """
    case = reads(load_text(usecase, "usecase"), "training")
    # Kept as metadata and in no file: the same input has to give the same files, but never takes the same time.
    with measured() as usage:
        record = train(case, Inputs(*inputs), model, tuning, tracking)
    targets = record["targets"]
    metrics = {f"{name}_fold_{tuned['metric']}": float(tuned["loss"]) for name, tuned in targets.items()}
    refuse_non_finite(metrics)
    chosen = [
        f"{name} {tuned['chosen']} {tuned['metric']} {format_metric(tuned['loss'])}" for name, tuned in targets.items()
    ]
    summary(", ".join(chosen), rows=max(tuned["rows_trained"] for tuned in targets.values()))
    metadata = {
        "use_case": case.name,
        "model_digest": record["model_digest"],
        **{key: record[key] for key in ("use_case_digest", "data_digest", "features_digest", "git_revision")},
        "compute": usage,
    }
    return metadata, metrics

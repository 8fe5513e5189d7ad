"""What the component runs: training, and the tracking of it."""

from pathlib import Path
from typing import Any

from almanac.core.files import refuse_non_finite
from almanac.core.progress import format_metric, summary
from almanac.training.train import Inputs, train
from almanac.usecase import load_text


def run(
    usecase: str, inputs: list[Path], model: Path, tuning: Path, tracking: Path
) -> tuple[dict[str, Any], dict[str, float]]:
    """Train as `almanac.training.train` does, and track it.

    Args:
        usecase: the use case as JSON.
        inputs: feature table, feature specification, validated table.
        model: where the model directory goes.
        tuning: where the record of the tuning goes.
        tracking: where the tracking record and archive go.

    Returns:
        what the model artifact carries as metadata, and the figures for the user interface.
    """
    case = load_text(usecase, "usecase")
    record = train(case, Inputs(*inputs), model, tuning, tracking)
    targets = record["targets"]
    figures = {f"{name}_fold_{found['metric']}": float(found["loss"]) for name, found in targets.items()}
    refuse_non_finite(figures)
    chosen = [
        f"{name} {found['chosen']} {found['metric']} {format_metric(found['loss'])}" for name, found in targets.items()
    ]
    summary(", ".join(chosen), rows=max(found["rows_trained"] for found in targets.values()))
    metadata = {
        "use_case": case.name,
        "model_digest": record["model_digest"],
        **{key: record[key] for key in ("use_case_digest", "data_digest", "features_digest", "git_revision")},
    }
    return metadata, figures

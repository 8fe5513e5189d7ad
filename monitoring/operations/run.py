"""Export of a run directory's metrics."""

from pathlib import Path

import polars as pl

from almanac.core.files import read_json
from monitoring.operations.model_samples import model_samples
from monitoring.operations.push import push
from monitoring.operations.window_samples import drift_samples, prediction_samples


def push_run(directory: Path, to: str, window: str) -> tuple[str, int]:
    """Push the samples of a run directory: model, drift, predictions.

    Args:
        directory: the run directory.
        to: a directory that an exporter reads, or the URL of a Pushgateway.
        window: length of the window of the realised error.

    Returns:
        The use case, and the number of samples.
    """
    groups = {"model": model_samples(directory, window=window)}
    use_case = groups["model"][0].labels[0]
    if (path := directory / "drift.json").is_file():
        groups["drift"] = drift_samples(read_json(path))
    if (path := directory / "predictions.parquet").is_file():
        groups["window"] = prediction_samples(use_case, pl.read_parquet(path), window)
    for group, samples in groups.items():
        push(samples, to, f"{use_case}-{group}")
    return use_case, sum(map(len, groups.values()))

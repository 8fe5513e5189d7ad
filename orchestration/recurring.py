"""Batch prediction and monitoring on this machine, which a cluster does by schedule."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from almanac.core.files import read_json
from orchestration.console import Screen
from orchestration.run import Request, execute, keep, short_path
from orchestration.rundir import RECURRING


def predict(request: Request, pipeline: Callable[..., Any], span: dict[str, str], screen: Screen) -> Path:
    """Predict a span by the model in production; return the directory with the predictions.

    Args:
        request: the use case and the directories of the run.
        pipeline: the batch pipeline.
        span: its parameters start, stop and log.
        screen: output of the progress.

    Raises:
        PipelineError: a step failed, for example because no model is in production.
    """
    return _run(request, "batch", pipeline, span, screen)


def monitor(request: Request, pipeline: Callable[..., Any], parameters: dict[str, str], screen: Screen) -> Path:
    """Evaluate the last windows, and act on a breach by the drift policy; return the directory with the report.

    Args:
        request: the use case and the directories of the run.
        pipeline: the monitoring pipeline.
        parameters: its parameters log and as_of.
        screen: output of the progress.

    Raises:
        PipelineError: a step failed, for example because no model is in production.
    """
    # A breach on this machine trains on this machine.
    local = {"push": request.push, "runs": str(request.out)}
    return _run(request, "monitoring", pipeline, parameters | local, screen)


def breached(directory: Path) -> bool:
    """Return whether a monitoring found enough of the last windows to breach."""
    return bool(read_json(directory / "monitoring.json")["breached"])


def show(directory: Path, screen: Screen) -> None:
    """Print the paths of the outputs."""
    screen.line()
    for label, name in (("report", "report.html"), ("rows", "predictions.parquet"), ("plan", "plan.json")):
        if (directory / name).exists():
            screen.line(f"  {label:<10}{short_path(directory.parent / 'latest' / name)}")


def _run(request: Request, kind: str, pipeline: Callable[..., Any], parameters: dict[str, str], screen: Screen) -> Path:
    addresses = {"base": str(request.path.absolute().parent), "registry": request.registry, "environment": "local"}
    home = request.home / kind
    run, record = execute(request, home, kind, pipeline, addresses | parameters, screen)
    directory = home / str(record["run_id"])
    keep(directory, run, record, RECURRING)
    return directory

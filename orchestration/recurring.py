"""Batch prediction and monitoring on this machine: what a cluster does by schedule, by one command."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from almanac.core.files import read_json
from orchestration.console import Screen
from orchestration.run import Request, execute, keep, shown
from orchestration.rundir import RECURRING


def predict(request: Request, pipeline: Callable[..., Any], span: dict[str, str], screen: Screen) -> Path:
    """Predict a span by the model in production; return the directory with the predictions.

    Args:
        request: what to run, and where to leave it.
        pipeline: the batch pipeline.
        span: its parameters start, stop and log.
        screen: where progress is shown.

    Raises:
        PipelineError: a step failed, as where no model is in production.
    """
    return _run(request, "batch", pipeline, span, screen)


def monitor(request: Request, pipeline: Callable[..., Any], given: dict[str, str], screen: Screen) -> Path:
    """Judge the last windows, and act on a breach as the drift policy says; return the directory with the report.

    Args:
        request: what to run, and where to leave it.
        pipeline: the monitoring pipeline.
        given: its parameters log and as_of.
        screen: where progress is shown.

    Raises:
        PipelineError: a step failed, as where no model is in production.
    """
    local = {"environment": "local", "push": request.push, "runs": str(request.out)}
    return _run(request, "monitoring", pipeline, given | local, screen)


def breached(directory: Path) -> bool:
    """Tell whether a monitoring found enough of the last windows to breach."""
    return bool(read_json(directory / "monitoring.json")["breached"])


def show(directory: Path, screen: Screen) -> None:
    """Tell where to look."""
    screen.line()
    for label, name in (("report", "report.html"), ("rows", "predictions.parquet"), ("plan", "plan.json")):
        if (directory / name).exists():
            screen.line(f"  {label:<10}{shown(directory.parent / 'latest' / name)}")


def _run(request: Request, kind: str, pipeline: Callable[..., Any], given: dict[str, str], screen: Screen) -> Path:
    places = {"base": str(request.path.absolute().parent), "registry": request.registry}
    home = request.home / kind
    run, record = execute(request, home, kind, pipeline, places | given, screen)
    directory = home / str(record["run_id"])
    keep(directory, run, record, RECURRING)
    return directory

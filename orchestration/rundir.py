"""The run directory: reports, metrics, model and record."""

import os
import platform
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from almanac.core.files import read_json, sha256_file, whole_directory, write_json
from almanac.core.revision import git_revision
from orchestration.console import Step

Layout = Mapping[tuple[str, str], str]

#: Names of the outputs of each task in the run directory of a training.
LAYOUT = {
    ("ingestion", "lineage"): "lineage.json",
    ("validation", "validated"): "data.parquet",
    ("validation", "report"): "validation.html",
    ("preprocessing", "features"): "features.parquet",
    ("training", "model"): "model",
    ("training", "tuning"): "tuning.json",
    ("training", "tracking"): "comet",
    ("evaluation", "evaluation"): "evaluation.json",
    ("evaluation", "figures"): "metrics.json",
    ("evaluation", "report"): "report.html",
    ("gate", "decision"): "gate.json",
    ("gate", "judged"): "predictions.parquet",
    ("drift", "drift"): "drift.json",
    ("drift", "report"): "drift.html",
    ("registration", "registration"): "registration.json",
    ("documentation", "governance"): "governance",
    ("deployment", "manifest"): "inferenceservice.yaml",
}
#: Names of the outputs in the run directories of a batch prediction and of a monitoring.
RECURRING = {
    ("ingestion", "lineage"): "lineage.json",
    ("validation", "report"): "validation.html",
    ("prediction", "predictions"): "predictions.parquet",
    ("validation", "validated"): "data.parquet",
    ("monitoring", "monitoring"): "monitoring.json",
    ("monitoring", "report"): "report.html",
    ("remediation", "plan"): "plan.json",
}

#: Directory of the records of failed runs, beside the run directories of a use case.
FAILURES = "failed"

_LIBRARIES = ("kfp", "polars", "numpy", "scipy", "scikit-learn", "lightgbm", "optuna", "pandera", "shap", "skops")


def new_run_id(now: datetime, digest: str) -> str:
    """Return a run id of time and use case digest, such as 20261121-043500-123456-80e3a0e8."""
    return f"{now:%Y%m%d-%H%M%S-%f}-{digest[:8]}"


def libraries() -> dict[str, str]:
    """Return the versions of the libraries that a result depends on."""
    return {"python": platform.python_version(), **{name: version(name) for name in _LIBRARIES}}


def assemble(
    directory: Path, outputs: Mapping[str, Mapping[str, Any]], record: dict[str, Any], layout: Layout
) -> dict[str, Any]:
    """Write the run directory with outputs and record, completely or not at all; return the record."""
    # A reader of `latest` must never see half a run.
    with whole_directory(directory) as aside:
        for (component, output), name in layout.items():
            path = outputs.get(component, {}).get(output)
            # The cache makes empty files for outputs that were not written, such as objects that await an approval.
            if isinstance(path, Path) and path.exists() and (path.is_dir() or path.stat().st_size):
                _link(path, aside / name)
        _write_stakes(aside)
        record["artifacts"] = _artifacts(aside)
        write_json(aside / "run.json", record)
    return record


def _write_stakes(directory: Path) -> None:
    """Write kelly.json, the simulated stakes of all targets that have any, out of the metrics."""
    metrics = directory / "metrics.json"
    if not metrics.exists():
        return
    targets = read_json(metrics)["targets"]
    if stakes := {name: entry["stakes"] for name, entry in targets.items() if "stakes" in entry}:
        write_json(directory / "kelly.json", stakes)


def point_latest(directory: Path) -> None:
    """Make the link `latest` in the parent directory point to a run directory."""
    aside = directory.parent / f".latest.{os.getpid()}"
    aside.unlink(missing_ok=True)
    # Replaced rather than removed and made, so that `latest` exists at every moment.
    aside.symlink_to(directory.name)
    aside.replace(directory.parent / "latest")


def run_record(
    run_id: str, use_case: str, digest: str, started: datetime, runner: str, registry: str, steps: list[Step]
) -> dict[str, Any]:
    """Return the record of a run that has just ended, the content of run.json.

    Args:
        run_id: its id.
        use_case: name of the use case.
        digest: sha256 of the use case.
        started: when it began.
        runner: what ran the steps: subprocess, docker or kubeflow.
        registry: address of the model registry.
        steps: the steps.
    """
    return {
        "run_id": run_id,
        "use_case": use_case,
        "use_case_digest": digest,
        "git_revision": git_revision(),
        "started_at": started.isoformat(timespec="seconds"),
        "finished_at": timestamp().isoformat(timespec="seconds"),
        "runner": runner,
        "registry": registry,
        "libraries": libraries(),
        "steps": [
            {"name": s.name, "seconds": round(s.seconds, 3), "cached": s.cached, "rows": s.rows, "figure": s.figure}
            for s in steps
        ],
    }


def failure_record(
    run_id: str, use_case: str, kind: str, *, failed: datetime, runner: str, step: str, error: str, command: str
) -> dict[str, Any]:
    """Return the record of a failed run, which has no run directory.

    Args:
        run_id: its id.
        use_case: name of the use case.
        kind: of its pipeline: training, monitoring or batch.
        failed: when it ended.
        runner: what ran the steps: subprocess, docker or kubeflow.
        step: that failed first; empty where nobody knows.
        error: its message.
        command: that shows more.
    """
    return {
        "run_id": run_id,
        "use_case": use_case,
        "kind": kind,
        "failed_at": failed.isoformat(timespec="seconds"),
        "runner": runner,
        "step": step,
        "error": error,
        "command": command,
    }


def timestamp() -> datetime:
    """Return now, in UTC."""
    return datetime.now(UTC)


def prune(work: Path, keep: int) -> None:
    """Remove all but the `keep` most recently used working directories."""
    # By use and not by age: the cache touches directories whose outputs it returns.
    directories = sorted((path for path in work.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime)
    for directory in directories[:-keep]:
        shutil.rmtree(directory, ignore_errors=True)


def _link(source: Path, target: Path) -> None:
    """Link a file or directory into the run directory; copy it if the disk cannot link."""
    if source.is_dir():
        shutil.copytree(source, target, copy_function=_link_file)
    else:
        _link_file(str(source), str(target))


def _link_file(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _artifacts(directory: Path) -> dict[str, dict[str, Any]]:
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    return {
        str(path.relative_to(directory)): {"sha256": sha256_file(path), "bytes": path.stat().st_size} for path in files
    }

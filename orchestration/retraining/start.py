"""Starting the training pipeline: on this machine, or on a cluster."""

import os
import tempfile
from pathlib import Path
from typing import Any

from kfp import compiler

from almanac.core.errors import AlmanacError, GateError, RemediationError
from almanac.model.bundle import load_bundle
from almanac.usecase import UseCase, digest, dump
from governance.registry import Registry, fetch
from orchestration.cluster import Cluster
from orchestration.console import Screen
from orchestration.run import Request, run_training


def local(usecase: UseCase, base: str, registry: str, runs: str) -> dict[str, Any]:
    """Run the training pipeline on this machine, and go back to the earlier version where the new one does not load.

    Returns:
        the run, the version in production, and the result: promoted, unchanged, or closed where the gate closed.
    """
    from pipeline import training_pipeline

    before = Registry(registry).current(usecase.name)
    request = Request(usecase, Path(base) / f"{usecase.name}.yaml", Path(runs), registry, "subprocess")
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        try:
            record = run_training(request, training_pipeline(usecase), Screen(nowhere))
        except GateError as error:
            return {"result": "closed", "message": str(error)}
    after = Registry(registry).current(usecase.name)
    if after is None or after == before or (before is not None and after.number == before.number):
        return {"result": "unchanged", "run": record["run_id"]}
    _check_after(usecase, registry)
    return {"result": "promoted", "run": record["run_id"], "version": after.number}


def _check_after(usecase: UseCase, registry: str) -> None:
    """Load what now stands in production as a server would; roll back where that fails."""
    known = Registry(registry)
    version = known.version(usecase.name, "production")
    try:
        load_bundle(fetch(known, usecase.name, version), str(version.number))
    except AlmanacError as error:
        earlier = known.rollback(usecase.name, who="almanac-remediation", why=f"version {version.number}: {error}")
        raise RemediationError(
            f"version {version.number} does not load ({error}); version {earlier} is back"
        ) from error


def on_cluster(usecase: UseCase, host: str, registry: str, base: str) -> dict[str, Any]:
    """Submit the training pipeline with this use case, and return the run's id; the run goes on at the cluster."""
    from pipeline import training_pipeline

    cluster = Cluster(host or None, "token" if os.environ.get("KFP_TOKEN") else "in-cluster")
    name = f"remediation-{digest(usecase)[:12]}"
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "training.yaml"
        compiler.Compiler().compile(training_pipeline(usecase), package_path=str(package))
        version = cluster.upload(package, name, "a retraining with the sliding window")
    parameters = {"usecase": dump(usecase), "registry": registry, "base": base, "environment": "cluster"}
    return {"result": "submitted", "run": cluster.run(version, name, parameters, usecase.name)}

"""Start the training pipeline of a retraining: on this machine, or on a cluster."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from almanac.core.errors import AlmanacError, GateError, RemediationError
from almanac.core.files import write_bytes
from almanac.model.bundle import load_bundle
from almanac.usecase import UseCase, digest
from governance.registry import Registry, fetch
from orchestration.cluster import Cluster
from orchestration.compiled import package
from orchestration.console import Screen
from orchestration.run import Request, run_training
from orchestration.submission import publish

#: Returns the training pipeline of a use case; handed in, because pipelines are built above this package.
Builder = Callable[[UseCase], Any]


def local(build: Builder, usecase: UseCase, base: str, registry: str, runs: str) -> dict[str, Any]:
    """Run the training pipeline on this machine, and roll back if the new version does not load.

    Returns:
        the run, the version in production, and the result: promoted, unchanged, or closed where the gate closed.
    """
    before = Registry(registry).current(usecase.name)
    request = Request(usecase, Path(base) / f"{usecase.name}.yaml", Path(runs), registry, "subprocess")
    # The caller parses standard output.
    with open(os.devnull, "w", encoding="utf-8") as devnull:
        try:
            record = run_training(request, build(usecase), Screen(devnull))
        # A closed gate is an answer: the model in production stays.
        except GateError as error:
            return {"result": "closed", "message": str(error)}
    after = Registry(registry).current(usecase.name)
    if after is None or (before is not None and after.number == before.number):
        return {"result": "unchanged", "run": record["run_id"]}
    # The registry has checked the files, and not that a server can load them.
    _check_promoted(usecase, registry)
    return {"result": "promoted", "run": record["run_id"], "version": after.number}


def connect(host: str, namespace: str | None = None) -> Cluster:
    """Return a cluster by KFP_TOKEN, or by the token of the pod that this process runs in."""
    return Cluster(host or None, "token" if os.environ.get("KFP_TOKEN") else "in-cluster", namespace)


def on_cluster(
    build: Builder,
    usecase: UseCase,
    host: str,
    registry: str,
    base: str,
    mark: str = "",
    namespace: str | None = None,
) -> dict[str, Any]:
    """Submit the training pipeline with this use case and return the run's id, without waiting for its end.

    Args:
        build: returns the pipeline of a use case.
        usecase: the use case as it is trained.
        host: address of Kubeflow Pipelines; the service of the surrounding cluster when empty.
        registry: address of the registry, as the cluster sees it.
        base: directory or URL of file sources, as the cluster sees it.
        mark: name of the run; one that is there already is not submitted again. Without it each call submits a run.
        namespace: the profile in a Kubeflow of several users; that of the surrounding pod when absent.
    """
    cluster = connect(host, namespace)
    if mark and (known := cluster.find_run(mark)):
        return {"result": "submitted", "run": known}
    publish(usecase, registry)
    # The version is one of a use case rather than of a revision.
    name = f"remediation-{digest(usecase)[:12]}"
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "training.yaml"
        write_bytes(file, package(build(usecase)))
        version = cluster.upload(file, name, "a retraining with the sliding window")
    parameters = {"registry": registry, "base": base, "environment": "cluster"}
    return {"result": "submitted", "run": cluster.run(version, mark or name, parameters, usecase.name)}


def _check_promoted(usecase: UseCase, registry: str) -> None:
    """Load the version in production as a server would; roll back if that fails."""
    store = Registry(registry)
    version = store.version(usecase.name, "production")
    try:
        load_bundle(fetch(store, usecase.name, version), str(version.number))
    except AlmanacError as error:
        earlier = store.rollback(usecase.name, who="almanac-remediation", why=f"version {version.number}: {error}")
        raise RemediationError(
            f"version {version.number} does not load ({error}); version {earlier} is back"
        ) from error

"""Entry point of the deployment component."""

from pathlib import Path
from typing import Any

from almanac.core.errors import MetricError
from almanac.core.progress import summary
from almanac.usecase import UseCase, load_text
from monitoring.operations.version import push_version
from serving.deploy.apply import apply_and_wait, connect
from serving.deploy.production import write_manifest


def run(usecase: str, registry: str, environment: str, out: Path, push: str = "") -> dict[str, Any]:
    """Render the production version's manifest, apply it on a cluster, and return the artifact's metadata.

    What the version reached on its test span and when it was trained is pushed where `push` says; where that fails it
    is told, and the deployment stands: the monitoring pipeline pushes the same figures with every window.
    """
    case = load_text(usecase, "usecase")
    objects = write_manifest(case, registry, out)
    service = next(item for item in objects if item["kind"] == "InferenceService")
    version = service["metadata"]["annotations"]["almanac.io/version"]
    if environment == "cluster":
        apply_and_wait(objects, connect())
    if push:
        _push_promise(case, version, registry, push)
    summary(f"version {version}, {len(objects)} objects{' applied' if environment == 'cluster' else ''}")
    return {"version": version, "storage_uri": service["spec"]["predictor"]["model"]["storageUri"]}


def _push_promise(usecase: UseCase, version: str, registry: str, to: str) -> None:
    """Push the metrics that a version promises; if that fails, print a warning and go on."""
    try:
        push_version(usecase.name, version, registry, to, usecase.drift.window, usecase.now())
    except MetricError as error:
        print(f"warning: the metrics of version {version} were not pushed: {error}", flush=True)

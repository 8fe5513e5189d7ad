"""Entry point of the deployment component."""

from pathlib import Path
from typing import Any

from almanac.core.progress import summary
from almanac.usecase import load_text
from monitoring.operations.model_samples import try_push_version
from serving.deploy.apply import apply_and_wait, connect
from serving.deploy.production import write_manifest


def run(usecase: str, registry: str, environment: str, out: Path, push: str = "") -> dict[str, Any]:
    """Render the production version's manifest, apply it on a cluster, and return the artifact's metadata.

    The metrics of the version are pushed to `push`; where that fails the deployment is not undone, since the
    monitoring pipeline pushes the same metrics with every window.
    """
    case = load_text(usecase, "usecase")
    objects = write_manifest(case, registry, out)
    service = next(item for item in objects if item["kind"] == "InferenceService")
    version = service["metadata"]["annotations"]["almanac.io/version"]
    if environment == "cluster":
        apply_and_wait(objects, connect())
    if push:
        try_push_version(case, version, registry, push, case.now())
    summary(f"version {version}, {len(objects)} objects{' applied' if environment == 'cluster' else ''}")
    return {"version": version, "digest": service["metadata"]["annotations"]["almanac.io/manifest-sha256"]}

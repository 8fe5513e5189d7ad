"""What the deployment component calls."""

from pathlib import Path
from typing import Any

from components.common.progress import summary
from components.deployment import write_manifest
from components.deployment.apply import apply_and_wait, connect
from components.usecase import load_text


def run(usecase: str, registry: str, environment: str, out: Path) -> dict[str, Any]:
    """Render the production version's manifest, apply it on a cluster, and return the artifact's metadata."""
    case = load_text(usecase, "usecase")
    objects = write_manifest(case, registry, out)
    service = next(item for item in objects if item["kind"] == "InferenceService")
    version = service["metadata"]["annotations"]["almanac.io/version"]
    if environment == "cluster":
        apply_and_wait(objects, connect())
    summary(f"version {version}, {len(objects)} objects{' applied' if environment == 'cluster' else ''}")
    return {"version": version, "storage_uri": service["spec"]["predictor"]["model"]["storageUri"]}

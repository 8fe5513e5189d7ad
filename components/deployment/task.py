"""Entry point of the deployment component."""

from pathlib import Path
from typing import Any

from almanac.core.progress import summary
from almanac.usecase import load_text
from governance.registry import resolve
from serving.deploy.manifests import DIGEST, VERSION
from serving.deploy.production import write_manifest


def awaited() -> None:
    """Say that nothing is deployed, since the version awaits an approval."""
    summary("nothing to deploy: the version awaits an approval")


def run(usecase: str, registry: str, environment: str, out: Path, push: str = "") -> dict[str, Any]:
    """Render the production version's manifest, apply it on a cluster, and return the artifact's metadata.

    The metrics of the version are pushed to `push`; where that fails the deployment is not undone, since the
    monitoring pipeline pushes the same metrics with every window.
    """
    case = load_text(usecase, "usecase")
    objects = write_manifest(case, registry, out)
    service = next(item for item in objects if item["kind"] == "InferenceService")
    version = service["metadata"]["annotations"][VERSION]
    if environment == "cluster":
        _deploy(objects, version, case.name, registry)
    if push:
        from monitoring.operations.model_samples import try_push_version

        try_push_version(case, version, registry, push, case.now())
    summary(f"version {version}, {len(objects)} objects{' applied' if environment == 'cluster' else ''}")
    return {"version": version, "digest": service["metadata"]["annotations"][DIGEST]}


def _deploy(objects: list[dict[str, Any]], version: str, use_case: str, registry: str) -> None:
    """Apply the objects, and compare the service's forecasts with its models' own, from inside the cluster."""
    # The clients of Kubernetes and of the service, which a run on a laptop does not need.
    from serving.deploy.apply import apply_and_wait, connect
    from serving.deploy.kube import Kube
    from serving.deploy.reach import client_key, predictor_address
    from serving.deploy.smoke import forecasters, smoke

    api = connect()
    service = next(item for item in objects if item["kind"] == "InferenceService")
    key = client_key(Kube(api), service["metadata"]["namespace"])
    if key is None:
        print(
            "warning: no secret almanac-client-key that this account may read: no forecasts are asked for", flush=True
        )
        apply_and_wait(objects, api)
        return
    # Read before anything is applied: without the registered model there is no test.
    models = forecasters(resolve(f"registry:{use_case}/{version}", registry))
    apply_and_wait(objects, api, check=lambda applied: smoke(predictor_address(applied), models, key))

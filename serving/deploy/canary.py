"""A canary on a cluster: a second version in the InferenceService, with a percentage of the traffic.

`with_canary` lets every server divide its own requests, which needs no gateway and works in every version and mode of
KServe; the servers compare the versions. `render_canary` leaves the division to KServe, whose two modes do it
differently. In Standard mode (`spec.canary`, from KServe 0.20 on) the running version
stays in `predictor`, and the new one is a predictor of its own beside it. In Knative mode the new version is written
into `predictor` with `canaryTrafficPercent`, and Knative leaves the rest to the revision that ran before.
"""

import copy
from dataclasses import replace
from typing import Any, Literal

from almanac.core.errors import DeploymentError
from serving.deploy.manifests import CANARY, MOUNTED, VERSION, Deployment, render

Mode = Literal["Standard", "Knative"]
_MODE = "serving.kserve.io/deploymentMode"
#: Chance of a wrong verdict, of all pods together.
_ALPHA = 0.05


def with_canary(running: dict[str, Any], new: dict[str, Any], percent: int) -> dict[str, Any]:
    """Return a running InferenceService whose servers give a share of their requests to a new version.

    Args:
        running: the InferenceService of the running version.
        new: that of the new version of the same use case.
        percent: its share of the requests, 1 to 99.

    Raises:
        DeploymentError: another use case, the same version, another percentage, or a model that KServe mounts.
    """
    service = copy.deepcopy(running)
    metadata, predictor = service["metadata"], service["spec"]["predictor"]
    version, address = new["metadata"]["annotations"][VERSION], new["spec"]["predictor"]["model"]["storageUri"]
    _check((metadata["name"], metadata["annotations"][VERSION]), (new["metadata"]["name"], version), percent, (1, 99))
    if address.startswith(MOUNTED):
        raise DeploymentError(
            f"a canary is read by the server itself, from an object store; {address} is mounted by KServe"
        )
    metadata["annotations"][CANARY] = f"{version}={percent}"
    # Each pod judges by itself, and the first verdict counts: together they are wrong as seldom as one would be.
    alpha = _ALPHA / max(predictor["maxReplicas"], predictor["minReplicas"])
    model = predictor["model"]
    order = [f"--canary={address}={percent}", f"--canary-number={version}", f"--canary-alpha={alpha:.6g}"]
    earlier = tuple(f"{one.partition('=')[0]}=" for one in order)
    model["args"] = [*(one for one in model.get("args", []) if not one.startswith(earlier)), *order]
    return service


def render_canary(running: Deployment, new: Deployment, percent: int, mode: Mode = "Standard") -> list[dict[str, Any]]:
    """Return the objects of a running version with a canary.

    Args:
        running: the version that has the rest of the traffic.
        new: the new version of the same use case.
        percent: its share of the traffic, 0 to 100; at 0 it runs and gets none.
        mode: KServe's mode of deployment.

    Raises:
        DeploymentError: another use case, the same version, or another percentage.
    """
    if running.namespace != new.namespace:
        raise DeploymentError(f"a canary is in the namespace {running.namespace}, not in {new.namespace}")
    _check((running.name, str(running.version)), (new.name, str(new.version)), percent, (0, 100))
    if mode == "Knative":
        # Knative allows a pod no init containers of its own, so that KServe's has to load the model.
        objects = render(replace(new, loading="initializer"))
        service = _service(objects)
        service["metadata"]["annotations"][_MODE] = "Knative"
        service["spec"]["predictor"]["canaryTrafficPercent"] = percent
        # Knative scales and rolls by itself, and has no field for these.
        for field in ("scaleMetric", "scaleTarget", "deploymentStrategy", "topologySpreadConstraints"):
            service["spec"]["predictor"].pop(field, None)
        # A disruption budget would count the pods of both revisions as one group, which they are not.
        return [item for item in objects if item["kind"] != "PodDisruptionBudget"]
    objects, others = render(running), render(new)
    # An image has a runtime of its own, which has to be there before the service names it.
    objects = [item for item in others if item["kind"] == "ServingRuntime" and new.runtime != running.runtime] + objects
    predictor = copy.deepcopy(_service(others)["spec"]["predictor"])
    predictor["name"] = f"v{new.version}"
    # KServe gives a canary so many pods as its share of the traffic asks for, and refuses other bounds.
    for field in ("minReplicas", "maxReplicas", "scaleMetric", "scaleTarget"):
        predictor.pop(field, None)
    # Of a canary the definition asks for the container's name, which it knows of the predictor itself.
    predictor["model"]["name"] = "kserve-container"
    service = _service(objects)
    service["spec"]["canary"] = [{"predictor": predictor, "trafficPercent": percent}]
    return objects


def _check(running: tuple[str, str], new: tuple[str, str], percent: int, ends: tuple[int, int]) -> None:
    if running[0] != new[0] or running[1] == new[1]:
        raise DeploymentError(f"a canary is another version of {running[0]}, not version {new[1]} of {new[0]}")
    if not ends[0] <= percent <= ends[1]:
        raise DeploymentError(f"canary: {percent} percent; between {ends[0]} and {ends[1]}")


def _service(objects: list[dict[str, Any]]) -> dict[str, Any]:
    return next(item for item in objects if item["kind"] == "InferenceService")

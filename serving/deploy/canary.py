"""A canary on a cluster: a second version in the InferenceService, with a percentage of the traffic.

The two modes of KServe do it differently. In Standard mode (`spec.canary`, from KServe 0.20 on) the running version
stays in `predictor`, and the new one is a predictor of its own beside it. In Knative mode the new version is written
into `predictor` with `canaryTrafficPercent`, and Knative leaves the rest to the revision that ran before.
"""

import copy
from dataclasses import replace
from typing import Any, Literal

from almanac.core.errors import DeploymentError
from serving.deploy.manifests import Deployment, render

Mode = Literal["Standard", "Knative"]
_MODE = "serving.kserve.io/deploymentMode"


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
    if (running.name, running.namespace) != (new.name, new.namespace) or running.version == new.version:
        raise DeploymentError(f"a canary is another version of {running.name}, not version {new.version} of {new.name}")
    if not 0 <= percent <= 100:
        raise DeploymentError(f"canary: {percent} percent; between 0 and 100")
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


def _service(objects: list[dict[str, Any]]) -> dict[str, Any]:
    return next(item for item in objects if item["kind"] == "InferenceService")

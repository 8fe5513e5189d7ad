"""The objects of a canary, in both of KServe's modes, against KServe's own models."""

from dataclasses import replace
from typing import Any

import pytest

from almanac.core.errors import DeploymentError
from serving.deploy.canary import render_canary
from serving.deploy.manifests import render
from tests.contract.deploy.test_manifests import DEPLOYMENT
from tests.support.kserve_objects import check

NEW = replace(DEPLOYMENT, version=4, digest="cd" * 32, storage_uri="s3://models/served/air_quality/v4")

ENVIRONMENT = [
    {"name": "ALMANAC_MODEL", "value": NEW.storage_uri},
    {"name": "ALMANAC_MODEL_VERSION", "value": "4"},
]


def service(objects: list[dict[str, Any]]) -> dict[str, Any]:
    return next(item for item in objects if item["kind"] == "InferenceService")


@pytest.mark.parametrize("percent", [0, 5, 25, 50, 100])
def test_standard_mode_has_a_second_predictor(percent: int) -> None:
    made = service(render_canary(DEPLOYMENT, NEW, percent))
    check(made)
    (canary,) = made["spec"]["canary"]
    assert canary["trafficPercent"] == percent
    assert canary["predictor"]["model"]["env"] == ENVIRONMENT
    # KServe 0.20 refuses bounds of a canary's own.
    assert not canary["predictor"].keys() & {"minReplicas", "maxReplicas", "scaleMetric", "scaleTarget"}
    assert made["spec"]["predictor"] == service(render(DEPLOYMENT))["spec"]["predictor"]
    assert made["metadata"]["annotations"]["almanac.io/version"] == "3"


@pytest.mark.parametrize("percent", [0, 5, 25, 50, 100])
def test_knative_mode_has_the_new_version_with_a_percentage(percent: int) -> None:
    objects = render_canary(DEPLOYMENT, NEW, percent, "Knative")
    made = service(objects)
    check(made)
    assert made["spec"]["predictor"]["canaryTrafficPercent"] == percent
    # Knative takes no init container but KServe's own, which writes the model to the pod.
    assert made["spec"]["predictor"]["model"]["env"] == [
        {"name": "ALMANAC_MODEL", "value": "/mnt/models"},
        ENVIRONMENT[1],
    ]
    assert "initContainers" not in made["spec"]["predictor"]
    assert "canary" not in made["spec"]
    assert made["metadata"]["annotations"]["serving.kserve.io/deploymentMode"] == "Knative"
    assert "PodDisruptionBudget" not in [item["kind"] for item in objects]


@pytest.mark.parametrize(
    ("new", "percent"),
    [(DEPLOYMENT, 5), (replace(NEW, use_case="traffic"), 5), (replace(NEW, namespace="b"), 5), (NEW, 101), (NEW, -1)],
)
def test_what_is_no_canary_is_refused(new: Any, percent: int) -> None:
    with pytest.raises(DeploymentError, match="canary"):
        render_canary(DEPLOYMENT, new, percent)


def test_a_canary_of_another_image_brings_its_runtime() -> None:
    objects = render_canary(DEPLOYMENT, replace(NEW, image="ghcr.io/almanac/serving:0.2.0"), 5)
    runtimes = {item["metadata"]["name"] for item in objects if item["kind"] == "ServingRuntime"}
    (canary,) = service(objects)["spec"]["canary"]
    named = {canary["predictor"]["model"]["runtime"], service(objects)["spec"]["predictor"]["model"]["runtime"]}
    assert runtimes == named and len(named) == 2
    assert len([item for item in render_canary(DEPLOYMENT, NEW, 5) if item["kind"] == "ServingRuntime"]) == 1

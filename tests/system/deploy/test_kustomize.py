"""Each overlay as the real kustomize builds it."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from serving.deploy.kustomize.layout import BASE, objects
from serving.deploy.manifests import Deployment, render, to_yaml
from tests.support.kserve_objects import check
from tests.support.live import needs, program

ROOT = BASE.parent
OVERLAYS = ("dev", "staging", "prod")
needs_kustomize = needs("kustomize")


def _build(directory: Path) -> dict[str, dict[str, Any]]:
    done = subprocess.run([program("kustomize"), "build", str(directory)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {item["kind"]: item for item in yaml.safe_load_all(done.stdout)}


def _base(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "pipeline.py", "deploy", "base", *arguments]
    return subprocess.run(command, cwd=BASE.parents[3], capture_output=True, text=True, check=False)


@needs_kustomize
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_each_overlay_builds_and_keeps_the_schemas(overlay: str) -> None:
    kinds = _build(ROOT / "overlays" / overlay)
    assert kinds.keys() == {item["kind"] for item in objects()}
    for kind in ("PodDisruptionBudget", "NetworkPolicy"):
        kubernetes_validate.validate(kinds[kind], "1.31", strict=True)
    for kind in ("ServingRuntime", "InferenceService"):
        check(kinds[kind])
    namespace = {"dev": "almanac-dev", "staging": "almanac-staging", "prod": "almanac"}[overlay]
    assert {item["metadata"]["namespace"] for item in kinds.values()} == {namespace}
    assert {item["metadata"]["labels"]["almanac.io/environment"] for item in kinds.values()} == {overlay}


@needs_kustomize
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_overlay_loses_what_the_base_secures(overlay: str) -> None:
    kinds = _build(ROOT / "overlays" / overlay)
    container = kinds["ServingRuntime"]["spec"]["containers"][0]
    predictor = kinds["InferenceService"]["spec"]["predictor"]
    base = objects()[0]["spec"]["containers"][0]
    for name in ("securityContext", "startupProbe", "readinessProbe", "livenessProbe", "lifecycle", "args"):
        assert container[name] == base[name]
    assert predictor["securityContext"]["runAsNonRoot"] is True
    assert predictor["terminationGracePeriodSeconds"] > container["lifecycle"]["preStop"]["sleep"]["seconds"]
    selector = {"matchLabels": {"serving.kserve.io/inferenceservice": kinds["InferenceService"]["metadata"]["name"]}}
    assert kinds["PodDisruptionBudget"]["spec"]["selector"] == selector
    assert kinds["NetworkPolicy"]["spec"]["podSelector"] == selector
    assert kinds["ServiceMonitor"]["spec"]["selector"] == selector
    assert all(spread["labelSelector"] == selector for spread in predictor["topologySpreadConstraints"])


@needs_kustomize
def test_environments_differ_where_they_should() -> None:
    built = {overlay: _build(ROOT / "overlays" / overlay) for overlay in OVERLAYS}
    replicas = {name: kinds["InferenceService"]["spec"]["predictor"] for name, kinds in built.items()}
    bounds = {name: (spec["minReplicas"], spec["maxReplicas"]) for name, spec in replicas.items()}
    assert bounds == {"dev": (1, 1), "staging": (2, 3), "prod": (3, 12)}
    keys = [spread["topologyKey"] for spread in replicas["prod"]["topologySpreadConstraints"]]
    assert keys == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
    for name in ("staging", "prod"):
        assert "from" in built[name]["NetworkPolicy"]["spec"]["ingress"][0]


@needs_kustomize
def test_a_registered_version_takes_the_place_of_the_base(tmp_path: Path) -> None:
    uri = "s3://models/served/demo/v3"
    made = Deployment("demo", 3, "ab" * 32, uri, "ghcr.io/almanac/serving:0.1.0", "almanac", 2, 4)
    (tmp_path / "inferenceservice.yaml").write_text(to_yaml(render(made)))
    shutil.copytree(ROOT / "overlays", tmp_path / "overlays")
    arguments = ["--manifest", str(tmp_path / "inferenceservice.yaml"), "--out", str(tmp_path / "base")]
    assert _base(*arguments).returncode == 0
    service = _build(tmp_path / "overlays" / "prod")["InferenceService"]
    assert service["metadata"]["name"] == "demo"
    assert {"name": "ALMANAC_MODEL", "value": uri} in service["spec"]["predictor"]["model"]["env"]

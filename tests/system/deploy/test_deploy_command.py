"""The command behind `make deploy`: overlay, server-side apply, a real server's forecasts, and the way back."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from almanac.core.errors import DeploymentError, ModelError
from almanac.core.files import write_json
from almanac.model.bodies import read_body
from almanac.usecase import dump
from governance.registry import Registry, collect, resolve
from serving.deploy.smoke import examples, forecasters, smoke
from tests.support.kubernetes_api import KubernetesApi, kubeconfig
from tests.support.live import needs, program
from tests.support.production import Production, two_versions
from tests.support.server import ServerProcess

ROOT = Path(__file__).resolve().parents[3]
REFERENCE = ROOT / "usecases" / "air_quality.yaml"
needs_kustomize = needs("kustomize")


@dataclass
class Cluster:
    """A Kubernetes API whose InferenceService is a real server, and the files that a deployment starts from."""

    api: KubernetesApi
    kubeconfig: Path
    usecase: Path
    registry: str

    def deploy(self, environment: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        given = {"ENVIRONMENT": environment, "USECASE": str(self.usecase), "REGISTRY": self.registry}
        given |= {"KUSTOMIZE": program("kustomize"), "DEPLOY": "--timeout 5 --patience 1"}
        command = ["make", "-s", "-o", ".venv/.components", "deploy", *(f"{k}={v}" for k, v in given.items())]
        environment_ = os.environ | {"KUBECONFIG": str(self.kubeconfig)} | variables
        return subprocess.run(command, cwd=ROOT, env=environment_, capture_output=True, text=True, check=False)

    def service(self, namespace: str) -> dict[str, Any]:
        path = f"/apis/serving.kserve.io/v1beta1/namespaces/{namespace}/inferenceservices/air-quality"
        return self.api.objects[path]


@pytest.fixture(scope="module")
def versions(production: Production, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A registry with the version in production, and a second one that a test may promote over it."""
    return two_versions(production, tmp_path_factory.mktemp("versions"))


@pytest.fixture(scope="module")
def model(versions: str) -> Path:
    """The model directory of the first version."""
    return resolve("registry:air_quality/1", versions)


@pytest.fixture(scope="module")
def server(model: Path) -> Iterator[ServerProcess]:
    """The real server on the first version, whatever the cluster is told to serve."""
    process = ServerProcess(["--model", str(model)]).wait()
    yield process
    process.stop()


@pytest.fixture
def cluster(production: Production, versions: str, server: ServerProcess, tmp_path: Path) -> Iterator[Cluster]:
    registry = tmp_path / "registry"
    shutil.copytree(versions, registry)
    (tmp_path / "case.yaml").write_text(dump(production.case))
    with KubernetesApi(url=f"http://127.0.0.1:{server.port}") as api:
        write_json(tmp_path / "kubeconfig", kubeconfig(api.host))
        yield Cluster(api, tmp_path / "kubeconfig", tmp_path / "case.yaml", str(registry))


@needs_kustomize
@pytest.mark.parametrize(
    ("overlay", "namespace", "replicas"),
    [("dev", "almanac-dev", (1, 1)), ("staging", "almanac-staging", (2, 3)), ("prod", "almanac", (3, 12))],
)
def test_the_overlay_is_applied_and_the_service_answers_as_its_model(
    cluster: Cluster, overlay: str, namespace: str, replicas: tuple[int, int]
) -> None:
    done = cluster.deploy(overlay)
    assert done.returncode == 0, done.stderr
    assert f"version 1 is ready in {namespace} and answers as its models do" in done.stdout
    assert len(cluster.api.objects) == 5
    service = cluster.service(namespace)
    assert (service["spec"]["predictor"]["minReplicas"], service["spec"]["predictor"]["maxReplicas"]) == replicas
    assert service["metadata"]["labels"]["almanac.io/environment"] == overlay
    assert {item["metadata"]["namespace"] for item in cluster.api.objects.values()} == {namespace}


@needs_kustomize
def test_a_service_that_answers_by_another_model_is_rolled_back(cluster: Cluster) -> None:
    """The stand-in says ready, but the server goes on with the first version: what the probes cannot see."""
    assert cluster.deploy("staging").returncode == 0
    before = cluster.service("almanac-staging")["spec"]
    Registry(cluster.registry).promote("air_quality", 2, who="ann", why="better")
    done = cluster.deploy("staging")
    assert done.returncode != 0
    assert "failed the smoke test: pm25_6h: answered by the model" in done.stderr
    assert "version 1 was applied again and is ready" in done.stderr
    assert "Traceback" not in done.stderr
    assert cluster.service("almanac-staging")["spec"] == before
    applied = [
        item["metadata"]["annotations"]["almanac.io/version"]
        for item in cluster.api.applied
        if "annotations" in item["metadata"]
    ]
    assert applied == ["1", "2", "1"]


@needs_kustomize
def test_a_first_version_that_fails_says_that_there_is_none_before(cluster: Cluster) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        done = cluster.deploy("dev", ALMANAC_URL=f"http://127.0.0.1:{unused.getsockname()[1]}")
    assert done.returncode != 0
    assert "no answer (ConnectError" in done.stderr
    assert "there is no earlier version to go back to" in done.stderr


@needs_kustomize
def test_the_kubeconfig_of_a_secret_is_used_and_not_left_behind(cluster: Cluster) -> None:
    text = cluster.kubeconfig.read_text()
    cluster.kubeconfig.unlink()
    assert cluster.deploy("dev", KUBE_CONFIG=text).returncode == 0
    assert not [
        path
        for path in (ROOT / "build" / "deploy").rglob("*")
        if path.is_file() and "current-context" in path.read_text()
    ]


def test_a_service_that_asks_for_a_key_gets_it(model: Path, tmp_path: Path) -> None:
    made = subprocess.run(
        [sys.executable, "-m", "serving", "keys", "--keys", str(tmp_path / "keys.json"), "create", "--name", "deploy"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    key = re.search(r"almanac_[0-9a-f]{12}_\S+", made.stdout)
    assert key is not None, made.stdout
    server = ServerProcess(["--model", str(model), "--auth", "required", "--keys", str(tmp_path / "keys.json")]).wait()
    try:
        url = f"http://127.0.0.1:{server.port}"
        smoke(url, forecasters(model), key[0], patience=0, interval=0)
        with pytest.raises(DeploymentError, match="failed the smoke test: pm25_6h: answered 401"):
            smoke(url, forecasters(model), None, patience=0, interval=0)
    finally:
        server.stop()


def test_the_models_of_a_version_are_those_of_a_bundle(model: Path, tmp_path: Path) -> None:
    """The directory of one target is a version as well; one that lists no model is named."""
    assert [one.digest for one in forecasters(model / "pm25_6h")] == [one.digest for one in forecasters(model)]
    write_json(tmp_path / "manifest.json", {"format": 1, "files": {}})
    with pytest.raises(ModelError, match=r"manifest\.json"):
        forecasters(tmp_path)


def test_an_answer_that_is_off_is_told_beside_the_right_one(server: ServerProcess, model: Path) -> None:
    (known,) = forecasters(model)
    smoke(f"http://127.0.0.1:{server.port}", [known], None, patience=0)
    files = known.directory.files
    offset = json.loads(files["offset.json"])
    altered = {**files, "offset.json": json.dumps({**offset, "intercept": offset["intercept"] + 1e-6}).encode()}
    off = replace(
        known, predictor=read_body(known.directory.manifest["kind"], altered, known.names, known.directory.path)
    )
    with pytest.raises(DeploymentError, match=r"predicted \[.*\], where the model gives \["):
        smoke(f"http://127.0.0.1:{server.port}", [off], None, patience=0)


def test_examples_are_the_ends_of_the_ranges_by_name(model: Path) -> None:
    (known,) = forecasters(model)
    rows, X = examples(known)
    assert X.shape == (2, len(known.names))
    codes = {item["name"]: item["categories"] for item in known.signature["features"] if item["type"] == "category"}
    assert codes == {"cbwd": ["NW", "NE", "SE", "cv"]}
    for row, values in zip(rows, X, strict=True):
        assert list(row) == known.names
        given = [codes[name].index(value) if name in codes else value for name, value in row.items()]
        assert [np.nan if value is None else value for value in given] == pytest.approx(values.tolist(), nan_ok=True)
    assert (X[1] >= X[0]).all()
    assert len(set(known.predict(X).prediction)) == 2


def test_nothing_is_applied_without_a_version_in_production(tmp_path: Path) -> None:
    out = tmp_path / "manifest.yaml"
    arguments = ["render", str(REFERENCE), str(tmp_path / "registry"), str(out)]
    command = [sys.executable, "pipeline.py", "deploy", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: air_quality: no version is in production")
    assert not out.exists()


def test_objects_without_a_service_are_refused(tmp_path: Path) -> None:
    (tmp_path / "objects.yaml").write_text("kind: ConfigMap\n")
    arguments = ["apply", str(REFERENCE), str(tmp_path / "registry"), str(tmp_path / "objects.yaml")]
    command = [sys.executable, "pipeline.py", "deploy", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "holds no InferenceService" in done.stderr


def test_a_rejected_version_is_deployed_by_an_option_alone(model: Path, tmp_path: Path) -> None:
    registry = Registry(tmp_path / "registry")
    registry.register("air_quality", collect(model, "model"), who="ann", why="test")
    registry.reject("air_quality", 1, who="bob", why="biased")
    annotations = {"almanac.io/version": "1"}
    service = {"kind": "InferenceService", "metadata": {"name": "a", "annotations": annotations, "namespace": "a"}}
    (tmp_path / "objects.yaml").write_text(yaml.safe_dump(service))
    arguments = ["apply", str(REFERENCE), str(tmp_path / "registry"), str(tmp_path / "objects.yaml")]
    command = [sys.executable, "pipeline.py", "deploy", *arguments]
    environment = os.environ | {"ALMANAC_CACHE": str(tmp_path / "cache"), "KUBECONFIG": str(tmp_path / "none")}

    def refusal(*options: str) -> str:
        done = subprocess.run([*command, *options], cwd=ROOT, env=environment, capture_output=True, text=True)
        assert done.returncode == 1
        return done.stderr

    assert "version 1 was rejected by bob; --allow-rejected takes it all the same" in refusal()
    assert refusal("--allow-rejected").startswith("error: no cluster to apply to"), (
        "the next step, which has no cluster here"
    )

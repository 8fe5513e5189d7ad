"""Compiled packages on a real Kubeflow Pipelines server, where KFP_HOST names one (and KFP_TOKEN, KFP_NAMESPACE).

With KUBECONFIG the Workflow objects are looked at as well that the server makes of them.
"""

import json
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client, config

from orchestration.cluster import Cluster, Version
from orchestration.compiled import package
from pipelines import BUILDERS
from tests.contract.pipelines.test_placement import SECTION
from tests.support import small

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = sorted((ROOT / "compiled").glob("*.yaml"))
HOST = os.environ.get("KFP_HOST")

pytestmark = pytest.mark.skipif(not HOST, reason="KFP_HOST names no Kubeflow Pipelines server")

Upload = Callable[[bytes], Version]
Run = Callable[[Version, dict[str, Any]], Any]


@pytest.fixture(scope="module")
def cluster() -> Cluster:
    return Cluster(HOST, "token" if "KFP_TOKEN" in os.environ else "none", os.environ.get("KFP_NAMESPACE"))


@pytest.fixture
def upload(cluster: Cluster, tmp_path: Path) -> Iterator[Upload]:
    """Upload packages under names of their own, and remove them afterwards."""
    made: list[Version] = []

    def send(data: bytes) -> Version:
        spec, platform = yaml.safe_load_all(data)
        spec["pipelineInfo"]["name"] = f"almanac-test-{uuid.uuid4().hex[:12]}"
        path = tmp_path / "package.yaml"
        path.write_text(yaml.safe_dump_all([spec, platform]))
        made.append(cluster.upload(path, "v1"))
        # The same content again: the server keeps every field, or the version would clash with itself.
        assert not cluster.upload(path, "v1").created
        return made[-1]

    yield send
    for version in made:
        cluster._client.delete_pipeline_version(version.pipeline_id, version.version_id)
        cluster._client.delete_pipeline(version.pipeline_id)


@pytest.fixture
def run(cluster: Cluster) -> Iterator[Run]:
    """Start runs, which the server compiles to a Workflow, and end and remove them at once."""
    made: list[str] = []

    def start(version: Version, parameters: dict[str, Any]) -> Any:
        made.append(cluster.run(version, "almanac-test", parameters, "almanac-test"))
        return cluster._client.get_run(made[-1])

    yield start
    for name in made:
        cluster._client.terminate_run(name)
        cluster._client.delete_run(name)


@pytest.mark.parametrize("path", PACKAGES, ids=lambda path: path.stem)
def test_the_server_takes_a_package_and_starts_a_run_of_it(path: Path, upload: Upload, run: Run) -> None:
    started = run(upload(path.read_bytes()), {"registry": "s3://nowhere/models"})
    assert started.state in (None, "PENDING", "RUNNING")
    assert started.runtime_config.parameters["registry"] == "s3://nowhere/models"


@pytest.mark.parametrize("kind", sorted(BUILDERS))
def test_the_server_takes_a_cluster_section(kind: str, upload: Upload, run: Run) -> None:
    started = run(upload(package(BUILDERS[kind](small.usecase(cluster=SECTION)))), {})
    assert started.state in (None, "PENDING", "RUNNING")


@pytest.mark.skipif("KUBECONFIG" not in os.environ, reason="KUBECONFIG names no cluster")
@pytest.mark.parametrize("path", PACKAGES, ids=lambda path: path.stem)
def test_a_workflow_is_small_and_retries_nothing_by_itself(path: Path, upload: Upload, run: Run) -> None:
    workflow = _workflow(run(upload(path.read_bytes()), {}).run_id)
    # Before its tasks have run; `workflow_size` adds what they leave.
    assert len(json.dumps(workflow["spec"])) < 128_000
    assert not [each["name"] for each in workflow["spec"]["templates"] if "retryStrategy" in each]


@pytest.mark.skipif("KUBECONFIG" not in os.environ, reason="KUBECONFIG names no cluster")
def test_a_workflow_hands_the_cluster_section_to_every_driver(upload: Upload, run: Run) -> None:
    workflow = _workflow(run(upload(package(BUILDERS["training"](small.usecase(cluster=SECTION)))), {}).run_id)
    given = {each["name"]: json.loads(each["value"]) for each in workflow["spec"]["arguments"]["parameters"]}
    settings = [value for name, value in given.items() if name.startswith("kubernetes-comp-")]
    assert len(settings) >= 12
    for each in settings:
        assert each["nodeSelector"]["labels"] == SECTION["node_selector"]
        assert {taint["key"] for taint in each["tolerations"]} == {"dedicated", "spot"}
        assert [secret["secretName"] for secret in each["imagePullSecret"]] == SECTION["pull_secrets"]


def _workflow(run_id: str) -> Any:
    config.load_kube_config()
    namespace = os.environ.get("KFP_NAMESPACE", "kubeflow")
    found: Any = client.CustomObjectsApi().list_namespaced_custom_object(
        "argoproj.io", "v1alpha1", namespace, "workflows", label_selector=f"pipeline/runid={run_id}"
    )
    (workflow,) = found["items"]
    return workflow

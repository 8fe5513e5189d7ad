"""A version in an image of its own, from the registry to a forecast: KServe runs it beside the server."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from almanac.core.image import SERVING_IMAGE
from tests.cluster.kubectl import ROOT, almanac, command, get, kubectl, make

pytestmark = pytest.mark.slow
NAMESPACE = "almanac-dev"


@pytest.fixture
def room_for_runc(node: str) -> Iterator[None]:
    """A KServe that gives the image more: in its own 15 MiB a runc that copies itself into memory is killed."""
    place = ("configmap", "inferenceservice-config", "-n", "kserve")
    before = get(*place)["data"]["storageInitializer"]
    _set(place, json.dumps({**json.loads(before), "memoryModelcar": "64Mi", "cpuModelcar": "200m"}))
    yield
    _set(place, before)


def _set(place: tuple[str, ...], settings: str) -> None:
    kubectl("patch", *place, "--type=merge", "-p", json.dumps({"data": {"storageInitializer": settings}}))


@pytest.fixture
def namespace_of_its_own(room_for_runc: None) -> Iterator[None]:
    kubectl("wait", "--for=delete", f"namespace/{NAMESPACE}", "--timeout=90s")
    yield
    command("kubectl", "delete", "namespace", NAMESPACE, "--wait=false")


def test_a_model_in_an_image_is_served(
    namespace_of_its_own: None, versions: Path, usecase: str, tmp_path: Path
) -> None:
    case = yaml.safe_load(Path(usecase).read_text())
    case["serving"]["loading"] = "oci://ghcr.io/almanac/models"
    path = tmp_path / "case.yaml"
    path.write_text(yaml.safe_dump(case))
    written = almanac("deploy", "image", str(path), str(versions), str(tmp_path / "image"))
    assert written.returncode == 0, written.stderr
    image = "ghcr.io/almanac/models/air-quality:1"
    assert written.stdout.startswith(f"docker build -t {image} ")
    _put_on_the_node(image, tmp_path / "image")
    made = make("cluster-setup", NAMESPACE=NAMESPACE, REGISTRY=str(versions))
    assert made.returncode == 0, made.stdout + made.stderr
    done = make("deploy", ENVIRONMENT="dev", USECASE=str(path), REGISTRY=str(versions), DEPLOY="--timeout 240")
    assert done.returncode == 0, done.stdout + done.stderr
    answer = almanac("deploy", "predict", str(path), str(versions), "--namespace", NAMESPACE)
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout)["model_version"] == "1"
    (pod,) = (one for one in get("pods", "-n", NAMESPACE)["items"] if "deletionTimestamp" not in one["metadata"])
    assert {one["image"] for one in pod["spec"]["containers"]} == {SERVING_IMAGE, image}


def _put_on_the_node(image: str, directory: Path) -> None:
    """Build an image as the command says, on a base that is here, and bring it to the node in a registry's place."""
    starter = os.environ.get("ALMANAC_CLUSTER")
    build = ("docker", "build", "-q", "-t", image, "--build-arg", f"BASE={SERVING_IMAGE}", str(directory))
    if starter is None or command(*build, DOCKER_BUILDKIT="0").returncode != 0:
        pytest.skip("the image of a model can be built here, or brought to a node, by no Docker engine")
    done = subprocess.run([f"{starter}/node/up", image], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

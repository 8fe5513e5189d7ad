"""What the cluster tier needs: a cluster with KServe, a node with the serving image, a registry, namespaces.

The cluster is that of KUBECONFIG, or one that `up` in the directory ALMANAC_CLUSTER starts. Where this machine is a
node, its name should resolve to an address on which its kubelet listens (127.0.0.1 in /etc/hosts): else no log is read.
"""

import json
import os
import re
import socket
import stat
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from almanac.core.image import SERVING_IMAGE
from almanac.usecase import dump
from tests.cluster.kubectl import get, kubectl, wait_for
from tests.support.production import Production, two_versions
from tests.support.server import free_port

_HERE = Path(__file__).parent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark this folder's tests, and skip them by name where there is no cluster."""
    reason = None
    if not os.environ.get("KUBECONFIG") and not os.environ.get("ALMANAC_CLUSTER"):
        reason = "no cluster: give KUBECONFIG, or ALMANAC_CLUSTER, a directory whose `up` starts one"
    for item in items:
        if _HERE in item.path.parents:
            item.add_marker(pytest.mark.cluster)
            if reason:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def cluster() -> str:
    """The kubeconfig of a cluster with KServe."""
    if starter := os.environ.get("ALMANAC_CLUSTER"):
        done = subprocess.run([f"{starter}/up"], capture_output=True, text=True, check=False)
        found = re.search(r"export KUBECONFIG=(\S+)", done.stdout)
        assert found is not None, done.stderr
        os.environ["KUBECONFIG"] = found[1]
    return str(os.environ["KUBECONFIG"])


@pytest.fixture(scope="session")
def node(cluster: str) -> Iterator[str]:
    """The address of a node that is this machine, and has the serving image."""
    starter = os.environ.get("ALMANAC_CLUSTER")
    if starter:
        join(starter, SERVING_IMAGE)
    nodes = get("nodes")["items"]
    addresses = [one["address"] for item in nodes for one in item["status"]["addresses"] if one["type"] == "InternalIP"]
    here = [address for address in addresses if _is_here(address)]
    if not here:
        pytest.skip("no node of the cluster is this machine, so that none can read its directories")
    _hold_images(starter)
    yield str(here[0])
    kubectl("delete", "pod", "images", "-n", "default", "--wait=false")


def join(starter: str, *images: str) -> None:
    """Make this machine a node with these images and that of the sandboxes, unless it is one."""
    done = subprocess.run([f"{starter}/node/up", *images], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _hold_images(starter: str | None) -> None:
    """Run the images that the tests need: a kubelet that is short of disk removes those that no pod runs.

    The one of the sandboxes counts as unused, too, and without it no pod starts.
    """
    kubectl("delete", "pod", "images", "-n", "default", "--ignore-not-found")
    if starter:
        # It may have been removed since the node was there.
        join(starter)
        wait_for("the image of the sandboxes", lambda: _sandbox() is not None)
    wait_for("the serving image", lambda: SERVING_IMAGE in _images())
    kubectl("apply", "-f", "-", text=json.dumps(_holder()))
    kubectl("wait", "--for=condition=Ready", "pod/images", "-n", "default", "--timeout=120s")


def _holder() -> dict[str, Any]:
    sandbox = _sandbox()
    serving: dict[str, Any] = {
        "name": "serving",
        "image": SERVING_IMAGE,
        "command": ["python", "-c", "import time; time.sleep(14400)"],
    }
    containers = [serving, *([{"name": "sandbox", "image": sandbox}] if sandbox else [])]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "images", "namespace": "default"},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "containers": [{**one, "imagePullPolicy": "Never"} for one in containers],
        },
    }


def _sandbox() -> str | None:
    return next((name for name in _images() if "/pause:" in name), None)


def _images() -> list[str]:
    held = [image for item in get("nodes")["items"] for image in item["status"].get("images", [])]
    return [name for image in held for name in image["names"] or ()]


def _is_here(address: str) -> bool:
    with socket.socket() as trial:
        try:
            trial.bind((address, 0))
        except OSError:
            return False
    return True


@pytest.fixture
def namespace(cluster: str) -> Iterator[str]:
    """A namespace of the test's own."""
    name = f"almanac-test-{uuid.uuid4().hex[:6]}"
    kubectl("create", "namespace", name)
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="session")
def versions(production: Production, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry whose first version is in production, that a container's user may read."""
    return readable(Path(two_versions(production, tmp_path_factory.mktemp("versions"))))


def readable(directory: Path) -> Path:
    """Let everybody read a directory, as a volume's user does, and pass through those above it."""
    for path in [directory, *directory.rglob("*")]:
        path.chmod(path.stat().st_mode | stat.S_IROTH | (stat.S_IXOTH if path.is_dir() else 0))
    for parent in directory.parents:
        if parent.owner() == directory.owner() and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | stat.S_IXOTH)
    return directory


@pytest.fixture(scope="session")
def usecase(production: Production, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The file of the use case in production."""
    path = tmp_path_factory.mktemp("usecase") / "case.yaml"
    path.write_text(dump(production.case))
    return str(path)


@pytest.fixture
def store(node: str) -> Iterator[str]:
    """The address of an S3 on the node's address, where pods reach it."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", node, "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url, deadline = f"http://{node}:{port}", time.monotonic() + 60
    while True:
        try:
            httpx.get(url)
            break
        except httpx.HTTPError:
            assert time.monotonic() < deadline, "the S3 did not start"
            time.sleep(0.2)
    yield url
    process.terminate()
    process.wait()

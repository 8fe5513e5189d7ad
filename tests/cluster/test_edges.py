"""What surrounds a service, against the definitions that its makers ship, on the real API server.

The definitions come from their Go modules, which nothing here holds: `go mod download MODULE@VERSION` fetches one.
"""

import copy
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestration.client_key import make_client_key
from serving.deploy.apply import connect
from serving.deploy.helm import CHART, values_of
from serving.deploy.kube import Kube
from serving.deploy.manifests import render_edges, to_yaml
from tests.cluster.kubectl import command, get, kubectl, wait_for
from tests.cluster.test_admission import VERSION, strictly
from tests.system.deploy.test_helm import HELM, needs_helm

#: Of each kind the module of its definition, the file in it, and the definition's name.
DEFINITIONS = {
    "HTTPRoute": (
        "sigs.k8s.io/gateway-api@v1.5.1",
        "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml",
        "httproutes.gateway.networking.k8s.io",
    ),
    "ExternalSecret": (
        "github.com/external-secrets/external-secrets@v0.20.4",
        "config/crds/bases/external-secrets.io_externalsecrets.yaml",
        "externalsecrets.external-secrets.io",
    ),
    "ScaledObject": (
        "github.com/kedacore/keda/v2@v2.17.3",
        "config/crd/bases/keda.sh_scaledobjects.yaml",
        "scaledobjects.keda.sh",
    ),
}


@pytest.fixture
def defined(request: pytest.FixtureRequest, cluster: str) -> Iterator[str]:
    """A kind whose definition the cluster has, for as long as the test runs where it lacked it."""
    kind: str = request.param
    module, file, name = DEFINITIONS[kind]
    path = _modules() / module / file
    if not path.is_file():
        pytest.skip(f"the definition of {kind} is not here: go mod download {module}")
    made = command("kubectl", "get", "crd", name).returncode != 0
    if made:
        kubectl("apply", "--server-side", "-f", str(path))
        kubectl("wait", "--for=condition=established", f"crd/{name}", "--timeout=60s")
    yield kind
    if made:
        kubectl("delete", "crd", name, "--wait=false")


def _modules() -> Path:
    if shutil.which("go") is None:
        return Path("/nowhere")
    return Path(command("go", "env", "GOMODCACHE").stdout.strip())


@pytest.mark.parametrize("defined", ["HTTPRoute", "ExternalSecret"], indirect=True)
def test_an_edge_is_taken_strictly_applied_and_removed(defined: str, namespace: str) -> None:
    item = next(one for one in render_edges(replace(VERSION, namespace=namespace)) if one["kind"] == defined)
    assert strictly(to_yaml([item]), namespace) == ""
    wrong = copy.deepcopy(item)
    wrong["spec"]["refreshIntervall"] = "1h"
    assert "refreshIntervall" in strictly(to_yaml([wrong]), namespace)
    kube = Kube(connect())
    kube.apply(item)
    found = kube.get(item)
    assert found is not None
    # Filled in with defaults, and otherwise as it was sent.
    assert _within(item["spec"], found["spec"])
    kube.delete(item)
    assert kube.get(item) is None


def _within(part: Any, whole: Any) -> bool:
    if isinstance(part, dict):
        return all(name in whole and _within(value, whole[name]) for name, value in part.items())
    if isinstance(part, list):
        return len(part) == len(whole) and all(_within(*pair) for pair in zip(part, whole, strict=True))
    return bool(part == whole)


@needs_helm
@pytest.mark.parametrize("defined", ["ScaledObject"], indirect=True)
def test_kserve_makes_what_keda_scales_by(defined: str, namespace: str, tmp_path: Path) -> None:
    make_client_key(Kube(connect()), namespace)
    values = tmp_path / "values.yaml"
    values.write_text(yaml.safe_dump({**values_of(replace(VERSION, namespace=namespace)), "maxReplicas": 6}))
    chosen = ("-n", namespace, "-f", str(CHART / "values-dev.yaml"), "-f", str(values), "--set", "keda.enabled=true")
    done = command(HELM, "install", "air-quality", str(CHART), *chosen)
    assert done.returncode == 0, done.stderr
    wait_for("the ScaledObject", lambda: get("scaledobjects.keda.sh", "-n", namespace)["items"])
    (scaled,) = get("scaledobjects.keda.sh", "-n", namespace)["items"]
    assert scaled["spec"]["scaleTargetRef"]["name"] == "air-quality-predictor"
    (trigger,) = scaled["spec"]["triggers"]
    assert trigger["type"] == "prometheus"
    assert float(trigger["metadata"]["threshold"]) == 100
    assert "almanac_requests_total" in trigger["metadata"]["query"]
    # Two that scale one Deployment would pull it both ways.
    assert json.loads(kubectl("get", "hpa", "-n", namespace, "-o", "json"))["items"] == []

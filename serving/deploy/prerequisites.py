"""The prerequisites of a namespace for its first run or deployment, and whether it has them.

`look` tells a person what is there and what is missing; `serving.deploy.requirements` refuses a deployment that lacks
something.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any, Literal

import yaml

from almanac.core.errors import DeploymentError
from serving.deploy.kube import Kube

_TEMPLATE = Path(__file__).with_name("prerequisites.yaml")
#: Definitions that a deployment's objects need.
_DEFINITIONS = {
    "inferenceservices.serving.kserve.io": "install KServe 0.16 or newer",
    "servingruntimes.serving.kserve.io": "install KServe 0.16 or newer",
    "servicemonitors.monitoring.coreos.com": "kube-prometheus-stack brings it; without it nothing scrapes the servers",
}
_SECRETS = {
    "almanac-api-keys": "almanac deploy keys --namespace {namespace}",
    "almanac-client-key": "almanac deploy keys --namespace {namespace}; or ALMANAC_API_KEY where you deploy from",
    "almanac-store": "{create} --from-literal=access_key=KEY --from-literal=secret_key=SECRET; not needed where the "
    "service account may read the store",
    "almanac-signing": "{create} --from-file=private_key=signing.pem",
}
_OPTIONAL = ("servicemonitors.monitoring.coreos.com", "almanac-client-key", "almanac-store", "almanac-signing")

State = Literal["there", "missing", "optional"]


@dataclass(frozen=True)
class Finding:
    """One prerequisite: whether it is there, and the command or the step that brings it."""

    name: str
    state: State
    remedy: str


def objects(namespace: str, registry: str, predictions: str, account: str) -> list[dict[str, Any]]:
    """Return config map, rights and, for a registry on a disk, the volume claim of a namespace.

    Args:
        namespace: The namespace.
        registry: Address of the model registry.
        predictions: Address of the prediction log; none when empty.
        account: Service account that runs the pipelines, as NAME or NAMESPACE/NAME.
    """
    owner, _, name = account.rpartition("/")
    values = {"namespace": namespace, "registry": registry, "predictions": predictions}
    values |= {"account": name, "account_namespace": owner or namespace}
    # JSON is YAML: quoted like this, no value can change the document's structure.
    text = Template(_TEMPLATE.read_text("utf-8")).substitute({key: json.dumps(value) for key, value in values.items()})
    items: list[dict[str, Any]] = list(yaml.safe_load_all(text))
    if not predictions:
        del items[0]["data"]["predictions"]
    return [item for item in items if item["kind"] != "PersistentVolumeClaim" or "://" not in registry]


def look(kube: Kube, namespace: str) -> Iterator[Finding]:
    """Yield the prerequisites that a namespace has and those that it lacks.

    Raises:
        DeploymentError: the cluster does not answer, or refuses to.
    """
    if kube.read(f"/api/v1/namespaces/{namespace}", f"namespace {namespace}") is None:
        yield Finding(f"namespace {namespace}", "missing", f"kubectl create namespace {namespace}")
        return
    for name, remedy in _DEFINITIONS.items():
        path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}"
        yield _finding(kube, path, name, remedy, optional=name in _OPTIONAL)
    setup = f"make cluster-setup NAMESPACE={namespace}"
    rights = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/roles/almanac-deployer"
    yield _finding(kube, f"/api/v1/namespaces/{namespace}/configmaps/almanac", "config map almanac", setup)
    yield _finding(kube, rights, "role almanac-deployer", setup)
    for name, remedy in _SECRETS.items():
        path = f"/api/v1/namespaces/{namespace}/secrets/{name}"
        create = f"kubectl create secret generic {name} -n {namespace}"
        yield _finding(
            kube, path, f"secret {name}", remedy.format(create=create, namespace=namespace), optional=name in _OPTIONAL
        )


def _finding(kube: Kube, path: str, name: str, remedy: str, optional: bool = False) -> Finding:
    try:
        there = kube.read(path, name) is not None
    except DeploymentError as error:
        # Definitions and secrets are often hidden from the account that asks.
        return Finding(name, "optional" if optional else "missing", str(error))
    if there:
        return Finding(name, "there", "")
    return Finding(name, "optional" if optional else "missing", remedy)

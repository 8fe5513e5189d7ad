"""The rendered objects against the definitions of KServe's versions and the schemas of Kubernetes' versions."""

import os
import shutil
import subprocess
import warnings
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import kubernetes_validate
import pytest
import yaml

from serving.deploy.canary import render_canary
from serving.deploy.manifests import render
from serving.deploy.prerequisites import objects as prerequisites
from tests.contract.deploy.test_manifests import DEPLOYMENT

ROOT = Path(__file__).resolve().parents[3]
KSERVE = ("0.16.0", "0.17.0", "0.18.0", "0.19.0", "0.20.0", "0.21.0")
KUBERNETES = ("1.30", "1.31", "1.32", "1.33", "1.34", "1.35")
NEW = replace(DEPLOYMENT, version=4, digest="cd" * 32, storage_uri="s3://models/served/air_quality/v4")


def _modules() -> Path:
    """Return the directory of KServe's Go modules: ALMANAC_KSERVE, or the module cache (`go mod download` fills it)."""
    if given := os.environ.get("ALMANAC_KSERVE"):
        return Path(given)
    if shutil.which("go") is None:
        return Path("/nowhere")
    found = subprocess.run(["go", "env", "GOMODCACHE"], capture_output=True, text=True, check=True).stdout.strip()
    return Path(found) / "github.com" / "kserve"


@cache
def _schema(version: str, plural: str) -> dict[str, Any]:
    path = _modules() / f"kserve@v{version}" / "config" / "crd" / "full" / f"serving.kserve.io_{plural}.yaml"
    if not path.exists():
        pytest.skip(f"KServe {version} is not here: go mod download github.com/kserve/kserve@v{version}")
    loaded = yaml.load(path.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return dict(_strict(loaded["spec"]["versions"][0]["schema"]["openAPIV3Schema"]))


def _strict(schema: Any) -> Any:
    """Return a schema that takes no unknown field, as the API server does with strict validation."""
    if isinstance(schema, list):
        return [_strict(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: _strict(one) for name, one in schema.items() if name not in ("default", "description")}
    if schema.get("x-kubernetes-int-or-string"):
        made["type"] = ["integer", "string"]
    open_ = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
    if isinstance(schema.get("properties"), dict) and not open_:
        made["additionalProperties"] = False
    return made


def _check(item: dict[str, Any], version: str) -> None:
    plural = {"InferenceService": "inferenceservices", "ServingRuntime": "servingruntimes"}[item["kind"]]
    schema = _schema(version, plural)
    # The API server knows the metadata of every object by itself.
    known = {**schema, "properties": {**schema["properties"], "metadata": {}}}
    # Not by jsonschema.validate, which first holds the schema itself, a megabyte, against a schema of schemas.
    for error in jsonschema.Draft7Validator(known).iter_errors({**item, "metadata": {}}):
        raise error


@pytest.mark.parametrize("version", KSERVE)
@pytest.mark.parametrize("address", ["s3://models/a/3", "pvc://almanac-registry/a/3", "oci://ghcr.io/acme/models/a:3"])
def test_kserve_takes_the_objects(version: str, address: str) -> None:
    for item in render(replace(DEPLOYMENT, storage_uri=address)):
        if item["apiVersion"].startswith("serving.kserve.io"):
            _check(item, version)


@pytest.mark.parametrize("version", KSERVE)
def test_a_canary_of_each_mode_is_taken_where_the_table_says_so(version: str) -> None:
    def service(mode: Any) -> dict[str, Any]:
        return next(item for item in render_canary(DEPLOYMENT, NEW, 10, mode) if item["kind"] == "InferenceService")

    _check(service("Knative"), version)
    if version >= "0.20":
        _check(service("Standard"), version)
    else:
        with pytest.raises(jsonschema.ValidationError, match="canary"):
            _check(service("Standard"), version)


@pytest.mark.parametrize("version", KSERVE)
def test_an_unknown_field_is_found(version: str) -> None:
    item = next(one for one in render(DEPLOYMENT) if one["kind"] == "InferenceService")
    item["spec"]["predictor"]["minReplica"] = 1
    with pytest.raises(jsonschema.ValidationError, match="minReplica"):
        _check(item, version)


@pytest.mark.parametrize("version", KUBERNETES)
def test_kubernetes_takes_the_objects_and_the_pod(version: str) -> None:
    items = [item for item in render(DEPLOYMENT) if item["apiVersion"] in ("policy/v1", "networking.k8s.io/v1")]
    items += [*prerequisites("demo", "/registry", "s3://b/p", "default-editor"), _pod()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        for item in items:
            kubernetes_validate.validate(item, version, strict=True)


def _pod() -> dict[str, Any]:
    """Return the pod that KServe makes of the runtime's container and the service's settings."""
    kinds = {item["kind"]: item["spec"] for item in render(DEPLOYMENT)}
    predictor = kinds["InferenceService"]["predictor"]
    names = ("automountServiceAccountToken", "terminationGracePeriodSeconds", "securityContext", "initContainers")
    settings = {name: predictor[name] for name in (*names, "topologySpreadConstraints")}
    runtime = {name: kinds["ServingRuntime"][name] for name in ("containers", "volumes")}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "server"}, "spec": {**runtime, **settings}}


def test_the_guide_lists_these_versions() -> None:
    guide = (ROOT / "docs" / "guide" / "kserve.md").read_text()
    assert all(f"| {version.removesuffix('.0')} |" in guide for version in KSERVE)
    assert f"Kubernetes {KUBERNETES[0]} to {KUBERNETES[-1]}" in guide

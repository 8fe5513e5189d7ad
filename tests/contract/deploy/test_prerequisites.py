"""What `almanac deploy setup` prints, against Kubernetes' schemas and against what a deployment asks of the API."""

import re
import warnings
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from typer.testing import CliRunner

from orchestration.commands.deploy import app
from serving.deploy import kube, rollout
from serving.deploy.manifests import render
from serving.deploy.prerequisites import objects
from tests.contract.deploy.test_manifests import DEPLOYMENT


def _rights() -> dict[str, set[str]]:
    (role,) = (item for item in objects("demo", "s3://b/r", "", "default-editor") if item["kind"] == "Role")
    return {resource: set(rule["verbs"]) for rule in role["rules"] for resource in rule["resources"]}


@pytest.mark.parametrize("registry", ["s3://models/registry", "/registry"])
def test_the_objects_keep_kubernetes_schemas(registry: str) -> None:
    items = objects("demo", registry, "s3://b/p", "kubeflow/pipeline-runner")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        for item in items:
            kubernetes_validate.validate(item, "1.31", strict=True)
    kinds = [item["kind"] for item in items]
    assert ("PersistentVolumeClaim" in kinds) == (registry == "/registry")
    (binding,) = (item for item in items if item["kind"] == "RoleBinding")
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "pipeline-runner", "namespace": "kubeflow"}]
    assert {item["metadata"]["namespace"] for item in items} == {"demo"}


def test_the_role_lets_every_object_be_read_applied_and_deleted() -> None:
    for item in render(DEPLOYMENT):
        assert {"get", "create", "patch", "delete"} <= _rights()[kube.PLURALS[item["kind"]]], item["kind"]


def test_the_role_lets_a_rollout_be_followed() -> None:
    """Each path that the rollout reads belongs to a resource of the role."""
    source = Path(rollout.__file__).read_text() + Path(kube.__file__).read_text()
    read = set(re.findall(r"/(deployments|pods|events)(?:/|\")", source)) | (
        {"pods/log"} if "/log" in source else set()
    )
    assert read == {"deployments", "events", "pods", "pods/log"}
    assert read <= _rights().keys()


def test_the_command_prints_them_without_any_secret() -> None:
    arguments = ["setup", "--namespace", "demo", "--registry", "s3://models/registry"]
    done = CliRunner().invoke(app, arguments, env={"AWS_SECRET_ACCESS_KEY": "quite-secret"})
    assert done.exit_code == 0
    items: list[Any] = list(yaml.safe_load_all(done.output))
    assert items == objects("demo", "s3://models/registry", "", "default-editor")
    assert items[0]["data"] == {"registry": "s3://models/registry"}
    assert "Secret" not in {item["kind"] for item in items}
    assert "quite-secret" not in done.output

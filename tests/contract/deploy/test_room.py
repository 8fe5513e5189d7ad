"""The objects of the operations room, against Kubernetes' schemas, the command line and the image."""

from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from typer.main import get_command

from almanac.core.image import OPERATIONS_IMAGE, VERSION
from operations.agent.policy import read_policy
from operations.commands import agent, console

ROOT = Path(__file__).resolve().parents[3]
ROOM = ROOT / "deploy" / "room"
FILES: list[str] = yaml.safe_load((ROOM / "kustomization.yaml").read_text())["resources"]
OBJECTS = [item for name in FILES for item in yaml.safe_load_all((ROOM / name).read_text())]
PODS = [item for item in OBJECTS if item["kind"] in ("Deployment", "StatefulSet")]


def name_of(item: dict[str, Any]) -> str:
    return f"{item['kind']}/{item['metadata']['name']}"


def options_of(module: Any) -> set[str]:
    return {option for parameter in get_command(module.app).params for option in parameter.opts}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("item", OBJECTS, ids=name_of)
def test_objects_keep_kubernetes_schemas(item: dict[str, Any]) -> None:
    kubernetes_validate.validate(item, "1.31", strict=True)


@pytest.mark.parametrize("item", PODS, ids=name_of)
def test_pods_run_as_nobody_on_a_read_only_root(item: dict[str, Any]) -> None:
    spec = item["spec"]["template"]["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in spec["containers"]:
        rules = container["securityContext"]
        assert rules["readOnlyRootFilesystem"] is True
        assert rules["allowPrivilegeEscalation"] is False
        assert rules["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["limits"]["memory"]
        # Every place that is written to is a volume, and every volume is mounted.
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        claimed = {claim["metadata"]["name"] for claim in item["spec"].get("volumeClaimTemplates", ())}
        assert mounted == {volume["name"] for volume in spec["volumes"]} | claimed


def test_services_select_the_pods_and_probes_ask_their_ports() -> None:
    pods = {item["metadata"]["name"]: item["spec"]["template"] for item in PODS}
    for item in OBJECTS:
        if item["kind"] == "Service":
            selected = item["spec"]["selector"]["app.kubernetes.io/name"]
            assert pods[selected]["metadata"]["labels"]["app.kubernetes.io/name"] == selected
            ports = {port["name"] for port in pods[selected]["spec"]["containers"][0]["ports"]}
            assert {port.get("targetPort", port["name"]) for port in item["spec"]["ports"]} <= ports


@pytest.mark.parametrize(("name", "module"), [("almanac-console", console), ("almanac-agent", agent)])
def test_the_commands_take_the_arguments(name: str, module: Any) -> None:
    (item,) = [item for item in PODS if item["metadata"]["name"] == name]
    (container,) = item["spec"]["template"]["spec"]["containers"]
    assert container["args"][0] == name.removeprefix("almanac-")
    assert {argument.partition("=")[0] for argument in container["args"][1:]} <= options_of(module)
    port = next(argument for argument in container["args"] if argument.startswith("--port="))
    assert int(port.partition("=")[2]) == container["ports"][0]["containerPort"]
    assert container["image"] == OPERATIONS_IMAGE.partition(":")[0]
    assert yaml.safe_load((ROOM / "kustomization.yaml").read_text())["images"][0]["newTag"] == VERSION


@pytest.mark.parametrize("folder", ["room", "compose"])
def test_the_policies_can_be_read(folder: str) -> None:
    policy = read_policy(ROOT / "deploy" / folder / "agent-policy.yaml")
    assert list(policy.use_cases) == ["air_quality"]


def test_the_agent_on_a_cluster_leaves_trainings_to_kubeflow() -> None:
    policy = read_policy(ROOM / "agent-policy.yaml")
    assert any("retrain" in actions for actions in policy.causes.values())
    training = policy.use_cases["air_quality"].training
    assert training is not None
    assert ".svc.cluster.local" in training.host


def test_the_agent_may_do_what_it_does_and_no_more() -> None:
    (role,) = [item for item in OBJECTS if item["kind"] == "Role"]
    rights = {f"{rule['apiGroups'][0]}/{name}": rule["verbs"] for rule in role["rules"] for name in rule["resources"]}
    asks = ["get", "list", "create"]
    assert rights == {
        "serving.kserve.io/inferenceservices": ["get", "patch"],
        **{f"pipelines.kubeflow.org/{name}": asks for name in ("pipelines", "pipelineversions", "experiments", "runs")},
        "pipelines.kubeflow.org/jobs": ["get", "list", "enable", "disable"],
    }

"""The cluster section of a use case in the compiled platform spec."""

from typing import Any

import pytest

from almanac.core.errors import UseCaseError
from almanac.usecase import UseCase
from orchestration.compiled import package
from pipelines import BUILDERS
from tests.support import small
from tests.support.packages import documents

SECTION = {
    "pull_secrets": ["registry-login"],
    "node_selector": {"pool": "batch"},
    "tolerations": [
        {"key": "dedicated", "value": "batch", "effect": "NoSchedule"},
        {"key": "spot", "operator": "Exists"},
    ],
    "resources": {"training": {"cpu": 1, "memory": "3Gi", "minutes": 90}},
    "secrets": [{"secret": "warehouse", "keys": {"url": "WAREHOUSE_URL"}}],
    "store_endpoint": "https://minio.example.com",
    "proxy": {"address": "http://proxy.example.com:3128", "exempt": [".example.com"]},
    "authority": {"config_map": "private-authority"},
}


def _case(section: dict[str, Any]) -> UseCase:
    return small.usecase(cluster=section)


def _specs(section: dict[str, Any], kind: str = "training") -> tuple[Any, Any]:
    spec, platform = documents(package(BUILDERS[kind](_case(section))))
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    containers = {name: each["container"] for name, each in spec["deploymentSpec"]["executors"].items()}
    return containers, executors


@pytest.fixture(scope="module", params=sorted(BUILDERS))
def specs(request: pytest.FixtureRequest) -> tuple[Any, Any]:
    return _specs(SECTION, request.param)


def test_every_task_is_placed(specs: tuple[Any, Any]) -> None:
    for settings in specs[1].values():
        assert [each["secretName"] for each in settings["imagePullSecret"]] == ["registry-login"]
        assert settings["nodeSelector"]["labels"] == {"pool": "batch"}
        assert settings["tolerations"] == [
            {"key": "dedicated", "operator": "Equal", "value": "batch", "effect": "NoSchedule"},
            {"key": "spot", "operator": "Exists"},
        ]


def test_tasks_that_leave_their_pod_know_the_way_out(specs: tuple[Any, Any]) -> None:
    containers, platform = specs
    outside = {name for name, settings in platform.items() if "secretAsEnv" in settings or "configMapAsEnv" in settings}
    assert outside < set(platform)
    for name, container in containers.items():
        variables = {each["name"]: each["value"] for each in container.get("env", [])}
        mounts = platform[name].get("configMapAsVolume", [])
        if name in outside:
            assert variables["HTTPS_PROXY"] == variables["HTTP_PROXY"] == "http://proxy.example.com:3128"
            assert {".svc", ".cluster.local", ".example.com"} < set(variables["NO_PROXY"].split(","))
            assert variables["AWS_ENDPOINT_URL"] == "https://minio.example.com"
            assert [(each["configMapName"], each["mountPath"]) for each in mounts] == [
                ("private-authority", "/etc/almanac/authority")
            ]
            files = {variables[key] for key in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "AWS_CA_BUNDLE")}
            assert files == {"/etc/almanac/authority/ca.crt"}
        else:
            assert not {"HTTPS_PROXY", "AWS_ENDPOINT_URL", "SSL_CERT_FILE"} & variables.keys()
            assert not mounts


def test_no_variable_is_set_twice(specs: tuple[Any, Any]) -> None:
    """Kubernetes takes the last of two, whatever the order of the sections."""
    containers, platform = specs
    for name, settings in platform.items():
        named = [each["name"] for each in containers[name].get("env", [])]
        for kind in ("secretAsEnv", "configMapAsEnv"):
            named += [key["envVar"] for each in settings.get(kind, []) for key in each["keyToEnv"]]
        assert len(named) == len(set(named)), name


def test_secrets_of_sources_reach_the_tasks_that_read_them_and_no_other(specs: tuple[Any, Any]) -> None:
    holders = {
        name
        for name, settings in specs[1].items()
        for each in settings.get("secretAsEnv", [])
        if each["secretName"] == "warehouse"
    }
    readers = {"exec-ingestion", "exec-fingerprint", "exec-preflight"}
    assert holders == readers & specs[1].keys()
    assert "exec-ingestion" in holders


def test_a_training_checks_the_key_that_it_ends_with_before_it_begins() -> None:
    spec, platform = documents(package(BUILDERS["training"](_case({}))))
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    mounted = {
        name: [(each["secretName"], each["mountPath"]) for each in settings["secretAsVolume"]]
        for name, settings in executors.items()
        if "secretAsVolume" in settings
    }
    key = [("almanac-signing", "/etc/almanac/signing")]
    assert mounted == {f"exec-{name}": key for name in ("preflight", "registration", "documentation")}
    # Whatever is cached: a secret may have gone since.
    preflight = spec["root"]["dag"]["tasks"]["preflight"]
    assert "enableCache" not in preflight["cachingOptions"]
    assert preflight["inputs"]["parameters"]["environment"] == {"componentInputParameter": "environment"}


def test_the_task_that_submits_a_retraining_asks_for_a_token() -> None:
    """By the label of Kubeflow's PodDefault; no other task is given one."""
    platform = documents(package(BUILDERS["monitoring"](_case({}))))[1]
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    labels = {name: each.get("podMetadata", {}).get("labels", {}) for name, each in executors.items()}
    assert {name: each for name, each in labels.items() if each} == {"exec-remediation": {"access-ml-pipeline": "true"}}


def test_resources_of_a_task_fit_a_quota() -> None:
    containers, platform = _specs(SECTION)
    resources = containers["exec-training"]["resources"]
    assert resources["resourceCpuRequest"] == "1"
    assert resources["resourceMemoryLimit"] == resources["resourceMemoryRequest"] == "3Gi"
    assert platform["exec-training"]["activeDeadlineSeconds"] == "5400"
    # A namespace with a quota admits only pods that state all four.
    kinds = {f"resource{part}{kind}" for part in ("Cpu", "Memory") for kind in ("Request", "Limit")}
    for container in containers.values():
        assert kinds <= container["resources"].keys()
        assert "accelerator" not in container["resources"]


def test_without_the_section_nothing_is_set() -> None:
    containers, platform = _specs({})
    for name, settings in platform.items():
        assert not {"imagePullSecret", "nodeSelector", "tolerations", "configMapAsVolume"} & settings.keys()
        assert {each["name"] for each in containers[name].get("env", [])} <= {"ALMANAC_USE_CASE"}


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"resources": {"trainig": {"cpu": 1}}}, "cluster.resources: no task trainig; expected one of configuration, "),
        ({"resources": {"training": {"memory": "8G"}}}, "cluster.resources.training.memory: "),
        ({"tolerations": [{"key": "spot", "operator": "Exists", "value": "x"}]}, "'value' belongs to operator Equal"),
        (
            {"proxy": {"address": "proxy:3128"}},
            "cluster.proxy.address: an address begins with http:// or https://; got 'proxy:3128'",
        ),
        ({"proxy": {"address": "http://me:secret@proxy"}}, "an address in this file holds no password"),
        ({"pull_secrets": ["Registry Login"]}, "cluster.pull_secrets.0: "),
        ({"secrets": [{"secret": "warehouse", "keys": {"url": "WAREHOUSE-URL"}}]}, "cluster.secrets.0.keys.url: "),
    ],
)
def test_a_wrong_section_is_named(section: dict[str, Any], message: str) -> None:
    with pytest.raises(UseCaseError) as caught:
        BUILDERS["training"](_case(section))
    assert message in str(caught.value)
    assert "me:secret" not in str(caught.value)

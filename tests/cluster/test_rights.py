"""The rights of Kubeflow's accounts, as the API server sees them, before and after `make cluster-setup`."""

from typing import Any

from kubernetes import client

from serving.deploy.apply import connect
from serving.deploy.kube import PLURALS
from serving.deploy.manifests import render, to_yaml
from serving.deploy.prerequisites import objects
from tests.cluster.kubectl import command, kubectl
from tests.contract.deploy.test_manifests import DEPLOYMENT

#: Resources and verbs of the role `pipeline-runner` that Kubeflow Pipelines 2.17 ships, by API group.
PIPELINE_RUNNER = [
    ("", "secrets", "get"),
    ("", "configmaps", "get watch list"),
    ("", "persistentvolumes persistentvolumeclaims", "*"),
    ("snapshot.storage.k8s.io", "volumesnapshots", "create delete get"),
    ("argoproj.io", "workflows", "get list watch update patch"),
    ("", "pods pods/exec pods/log services", "*"),
    ("apps", "deployments replicasets", "*"),
    ("kubeflow.org", "*", "*"),
    ("batch", "jobs", "*"),
    ("argoproj.io", "workflowtaskresults", "create patch"),
]
ACCOUNT = "pipeline-runner"


def _role(namespace: str) -> list[dict[str, Any]]:
    rules = [
        {"apiGroups": [group], "resources": resources.split(), "verbs": verbs.split()}
        for group, resources, verbs in PIPELINE_RUNNER
    ]
    rbac, place = "rbac.authorization.k8s.io", {"name": ACCOUNT, "namespace": namespace}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": place},
        {"apiVersion": f"{rbac}/v1", "kind": "Role", "metadata": place, "rules": rules},
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "RoleBinding",
            "metadata": place,
            "subjects": [{"kind": "ServiceAccount", **place}],
            "roleRef": {"apiGroup": rbac, "kind": "Role", "name": ACCOUNT},
        },
    ]


def _may(namespace: str, verb: str, resource: str, name: str = "") -> bool:
    """Ask as a SubjectAccessReview whether the account may do something."""
    group, _, rest = resource.rpartition(".") if "." in resource else ("", "", resource)
    plural, _, subresource = rest.partition("/")
    asked = {"namespace": namespace, "verb": verb, "group": group, "resource": plural}
    asked |= {"subresource": subresource, "name": name}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": f"system:serviceaccount:{namespace}:{ACCOUNT}", "resourceAttributes": asked},
    }
    found: Any = client.AuthorizationV1Api(connect()).create_subject_access_review(review)
    return bool(found.status.allowed)


def _deploying() -> set[tuple[str, str]]:
    groups = {item["kind"]: item["apiVersion"].split("/")[0] for item in render(DEPLOYMENT)}
    verbs = ("get", "create", "patch", "delete")
    return {(verb, f"{group}.{PLURALS[kind]}") for kind, group in groups.items() for verb in verbs} | {
        ("get", "apps.deployments"),
        ("list", "pods"),
        ("list", "events"),
        ("get", "pods/log"),
        ("create", "services/proxy"),
    }


def test_what_a_stock_kubeflow_lacks_is_what_setting_up_gives(namespace: str) -> None:
    kubectl("apply", "-f", "-", text=to_yaml(_role(namespace)))
    lacking = {wanted for wanted in _deploying() if not _may(namespace, *wanted)}
    groups = {"serving.kserve.io", "policy", "networking.k8s.io", "monitoring.coreos.com"}
    assert {resource.rpartition(".")[0] for _, resource in lacking if "." in resource} == groups
    kubectl("apply", "-f", "-", text=to_yaml(objects(namespace, "s3://models", "", ACCOUNT)))
    assert {wanted for wanted in _deploying() if not _may(namespace, *wanted)} == set()
    assert _may(namespace, "get", "secrets", "almanac-client-key")


def test_setting_up_gives_no_right_to_other_secrets(namespace: str) -> None:
    kubectl("create", "serviceaccount", ACCOUNT, "-n", namespace)
    kubectl("apply", "-f", "-", text=to_yaml(objects(namespace, "s3://models", "", ACCOUNT)))
    assert _may(namespace, "get", "secrets", "almanac-client-key")
    assert not _may(namespace, "get", "secrets", "almanac-store")
    assert not _may(namespace, "list", "secrets")
    assert not _may(namespace, "create", "pods/exec")


def test_the_objects_of_setting_up_are_taken_strictly(namespace: str) -> None:
    text = to_yaml(objects(namespace, "/registry", "", f"kubeflow/{ACCOUNT}"))
    assert command("kubectl", "apply", "--dry-run=server", "--validate=strict", "-f", "-", text=text).stderr == ""

"""A registry in an S3 on this machine, from an empty namespace to a forecast, under PodSecurity restricted."""

import contextlib
import json
from pathlib import Path

import pytest

from tests.cluster.kubectl import almanac, get, kubectl, make
from tests.support.object_store import upload, use_endpoint

pytestmark = pytest.mark.slow
NAMESPACE = "almanac-dev"


def test_a_model_in_an_object_store_is_served(
    store: str, versions: Path, usecase: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_endpoint(monkeypatch, store)
    kubectl("wait", "--for=delete", f"namespace/{NAMESPACE}", "--timeout=90s")
    upload(versions, "s3://models")
    try:
        made = make("cluster-setup", NAMESPACE=NAMESPACE, REGISTRY="s3://models")
        assert made.returncode == 0, made.stdout + made.stderr
        kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")
        values = {"access_key": "testing", "secret_key": "testing", "endpoint": store}
        literals = [f"--from-literal={name}={value}" for name, value in values.items()]
        kubectl("create", "secret", "generic", "almanac-store", "-n", NAMESPACE, *literals)
        done = make("deploy", ENVIRONMENT="dev", USECASE=usecase, REGISTRY="s3://models", DEPLOY="--timeout 120")
        assert done.returncode == 0, done.stdout + done.stderr
        answer = almanac("deploy", "predict", usecase, "s3://models", "--namespace", NAMESPACE)
        assert answer.returncode == 0, answer.stderr
        assert json.loads(answer.stdout)["model_version"] == "1"
        (pod,) = (one for one in get("pods", "-n", NAMESPACE)["items"] if "deletionTimestamp" not in one["metadata"])
        # No agent of a server of many models, and no initializer but the one that keeps KServe's out.
        assert [one["name"] for one in pod["spec"]["containers"]] == ["kserve-container"]
        assert [one["command"] for one in pod["spec"]["initContainers"]] == [["python", "-c", "pass"]]
    finally:
        with contextlib.suppress(AssertionError):
            kubectl("delete", "namespace", NAMESPACE, "--wait=false")

"""A canary on a real KServe: its pods divide the requests and judge, and the command acts by their verdict."""

import contextlib
import json
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from governance.registry import Registry, resolve
from serving.deploy.apply import connect
from serving.deploy.kube import Kube
from serving.deploy.reach import client_key, through_the_api
from serving.deploy.smoke import examples, forecasters
from tests.cluster.kubectl import get, kubectl, make, wait_for
from tests.support.object_store import upload, use_endpoint

pytestmark = pytest.mark.slow
NAMESPACE, NAME = "almanac-dev", "air-quality"
SERVICE = ("inferenceservice", NAME, "-n", NAMESPACE)


@dataclass
class Callers:
    """Requests without a pause, and the values observed later; the new version's errors are so much larger."""

    registry: str
    worse: float
    answers: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)

    def __enter__(self) -> "Callers":
        api = connect()
        headers = {"x-api-key": client_key(Kube(api), NAMESPACE) or ""}
        way = through_the_api(api, {"metadata": {"name": NAME, "namespace": NAMESPACE}})
        self._client = httpx.Client(base_url="http://service", headers=headers, transport=way, timeout=20)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        self._client.close()

    def _run(self) -> None:
        draw = np.random.default_rng(3)
        (model,) = forecasters(resolve("registry:air_quality/1", self.registry))
        rows = examples(model)[0][:1]
        while not self._end.is_set():
            answer = self._client.post(f"/v1/models/{model.name}:predict", json={"instances": rows})
            if answer.status_code != httpx.codes.OK:
                self.failed.append(f"{answer.status_code} {answer.text[:200]}")
                continue
            self.answers[str(answer.json()["model_version"])] += 1
            if self.answers["2"] and sum(self.answers.values()) % 20 == 0:
                # Refused by the pod of a single version, which is told of no other.
                self._client.post(
                    f"/v1/models/{NAME.replace('-', '_')}:feedback", json=self._observed(draw, model.name)
                )

    def _observed(self, draw: np.random.Generator, target: str) -> dict[str, Any]:
        rows = [
            {"prediction": 50.0, "actual": 50.0 + float(draw.exponential(2.0)) * (self.worse if number == "2" else 1.0)}
            | {"model_version": number, "target": target}
            for _ in range(400)
            for number in ("1", "2")
        ]
        return {"feedback": rows}


@pytest.fixture
def registry(store: str, versions: Path, usecase: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A registry in an object store whose first version is served in a namespace of its own."""
    use_endpoint(monkeypatch, store)
    kubectl("wait", "--for=delete", f"namespace/{NAMESPACE}", "--timeout=90s")
    upload(versions, "s3://models")
    try:
        made = make("cluster-setup", NAMESPACE=NAMESPACE, REGISTRY="s3://models")
        assert made.returncode == 0, made.stdout + made.stderr
        values = {"access_key": "testing", "secret_key": "testing", "endpoint": store}
        literals = [f"--from-literal={name}={value}" for name, value in values.items()]
        kubectl("create", "secret", "generic", "almanac-store", "-n", NAMESPACE, *literals)
        done = deploy(usecase)
        assert done.returncode == 0, done.stdout + done.stderr
        yield "s3://models"
    finally:
        with contextlib.suppress(AssertionError):
            kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def deploy(usecase: str, **canary: str) -> "subprocess.CompletedProcess[str]":
    given = {"ENVIRONMENT": "dev", "USECASE": usecase, "REGISTRY": "s3://models"}
    return make("deploy", DEPLOY="--timeout 300 --verdict 300", **given, **canary)


def beside(usecase: str) -> "Future[subprocess.CompletedProcess[str]]":
    """Start a deployment by canary."""
    pool = ThreadPoolExecutor(1)
    made = pool.submit(deploy, usecase, CANARY="25", RELEASE="2")
    pool.shutdown(wait=False)
    return made


def test_pods_divide_the_requests_and_their_verdict_decides(registry: str, usecase: str) -> None:
    with Callers(registry, worse=2.0) as callers:
        refused = beside(usecase).result()
    assert refused.returncode != 0
    assert "version 2 broke a bound as a canary: failed in 1 pod; " in refused.stderr
    assert "version 1 has all requests back" in refused.stderr
    assert callers.failed == []
    divided = callers.answers["2"]
    assert divided > 0
    assert Registry(registry).stages("air_quality") == {"production": 1}
    assert "almanac.io/canary" not in get(*SERVICE)["metadata"]["annotations"]
    # A machine that is shared answers unevenly, which is no fault of a version.
    patch = {"spec": {"predictor": {"model": {"args": ["--canary-latency=9"]}}}}
    kubectl("patch", *SERVICE, "--type=merge", "-p", json.dumps(patch))
    kubectl("rollout", "status", f"deployment/{NAME}-predictor", "-n", NAMESPACE, "--timeout=120s")
    with Callers(registry, worse=0.8) as callers:
        done = beside(usecase).result()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "version 2 kept every bound and is in production; it is rolled out" in done.stdout
    assert callers.failed == []
    assert Registry(registry).stages("air_quality") == {"production": 2}
    assert get(*SERVICE)["metadata"]["annotations"]["almanac.io/version"] == "2"
    # The pods that are left are of the version alone, without a canary.
    wait_for("the end of the canary's pods", lambda: len(_pods()) == 1)
    (pod,) = _pods()
    assert pod["metadata"]["annotations"]["almanac.io/version"] == "2"
    assert not [one for one in pod["spec"]["containers"][0]["args"] if one.startswith("--canary=")]


def _pods() -> list[Any]:
    found = get("pods", "-n", NAMESPACE, "-l", f"serving.kserve.io/inferenceservice={NAME}")["items"]
    return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

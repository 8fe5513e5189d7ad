"""A deployment by canary: real servers divide the requests, and the verdict of their test decides."""

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kubernetes import client

from almanac.core.errors import DeploymentError, GateError, RegistryError
from governance.registry import Registry, resolve
from orchestration.canary import Trial, deploy_by_canary
from serving.deploy.apply import Check, apply_and_wait
from serving.deploy.canary import with_canary
from serving.deploy.manifests import Deployment, render
from serving.deploy.smoke import examples, forecasters, smoke
from serving.deploy.verdict import verdict
from tests.support.kubernetes_api import KubernetesApi
from tests.support.production import Production, two_versions
from tests.support.server import ServerProcess

TRIAL = Trial(percent=50, patience=60, timeout=20, interval=0.1)


def objects_of(registry: str, version: int) -> list[dict[str, Any]]:
    """Return the objects of a version, whose server reads the model directory of this machine."""
    model = resolve(f"registry:air_quality/{version}", registry)
    one = Deployment(
        "air_quality", version, f"{version}" * 64, str(model), "ghcr.io/almanac/serving:0.1.0", "almanac", 1, 1
    )
    made = render(one)
    service = next(item for item in made if item["kind"] == "InferenceService")
    # On a machine that others use, answers of both versions take longer at times.
    service["spec"]["predictor"]["model"]["args"] = ["--canary-latency=9"]
    return made


class World:
    """A cluster whose pods are one real server, started with the arguments that KServe would hand it."""

    def __init__(self, production: Production, registry: str) -> None:
        self.production, self.registry = production, registry
        self.api = KubernetesApi(self._start)
        self.running: ServerProcess | None = None
        self.lines: list[str] = []

    def objects(self, version: int) -> list[dict[str, Any]]:
        return objects_of(self.registry, version)

    def client(self) -> client.ApiClient:
        return client.ApiClient(client.Configuration(host=self.api.host))

    @property
    def checks(self) -> tuple[Check, Check]:
        return self.check(1), self.check(2)

    def check(self, version: int) -> Check:
        models = forecasters(resolve(f"registry:air_quality/{version}", self.registry))
        return lambda applied: smoke(self.api.url, models, None, 20, 0.05)

    def deploy(self, trial: Trial = TRIAL, report: Callable[[str], None] | None = None) -> None:
        """Deploy the second version by a canary."""
        deploy_by_canary(
            self.production.case,
            self.registry,
            self.objects(2),
            self.client(),
            trial,
            self.checks,
            report or self.lines.append,
        )

    def traffic(self, worse: float, ended: threading.Event) -> None:
        """Send requests and observed values while there is a canary, whose errors are so much larger."""
        draw = np.random.default_rng(3)
        (model,) = forecasters(resolve("registry:air_quality/1", self.registry))
        rows = examples(model)[0][:1]
        while not ended.is_set():
            try:
                if len(self.server.get(f"/v2/models/{model.name}").json["versions"]) == 2:
                    for _ in range(40):
                        self.server.post(f"/v1/models/{model.name}:predict", {"instances": rows})
                    self.server.post(
                        "/v1/models/air_quality:feedback", {"feedback": _observed(draw, worse, model.name)}
                    )
            except OSError:  # a rollout has just ended the server
                pass
            ended.wait(0.05)

    def close(self) -> None:
        if self.running is not None:
            self.running.stop()

    @property
    def server(self) -> ServerProcess:
        """The server that runs now."""
        assert self.running is not None
        return self.running

    def _start(self, service: dict[str, Any]) -> None:
        self.close()
        model = service["spec"]["predictor"]["model"]
        env = {one["name"]: one["value"] for one in model["env"]}
        arguments = ["--model", env["ALMANAC_MODEL"], "--model-version", env["ALMANAC_MODEL_VERSION"], *model["args"]]
        self.running = ServerProcess(arguments).wait()
        self.api.url = self.server.url


def _observed(draw: np.random.Generator, worse: float, target: str) -> list[dict[str, Any]]:
    return [
        {
            "prediction": 50.0,
            "actual": 50.0 + float(draw.exponential(2.0)) * (worse if number == "2" else 1.0),
            "model_version": number,
            "target": target,
        }
        for _ in range(400)
        for number in ("1", "2")
    ]


@pytest.fixture(scope="module")
def versions(production: Production, tmp_path_factory: pytest.TempPathFactory) -> str:
    return two_versions(production, tmp_path_factory.mktemp("versions"))


@pytest.fixture
def world(production: Production, versions: str, tmp_path: Path) -> Iterator[World]:
    shutil.copytree(versions, tmp_path / "registry")
    made = World(production, str(tmp_path / "registry"))
    with made.api:
        apply_and_wait(made.objects(1), made.client(), timeout=20, interval=0.1, check=made.check(1))
        yield made
    made.close()


@contextmanager
def requests(world: World, worse: float) -> Iterator[None]:
    """Send traffic beside the block."""
    ended = threading.Event()
    sender = threading.Thread(target=world.traffic, args=(worse, ended))
    sender.start()
    try:
        yield
    finally:
        ended.set()
        sender.join()


def served(world: World) -> str:
    models = world.server.get("/v2/models/pm25_6h").json
    return str(models["versions"])


def test_a_version_that_keeps_its_bounds_is_promoted_and_rolled_out(world: World) -> None:
    with requests(world, worse=0.8):
        world.deploy()
    assert world.lines[0] == "version 2 has 50% of the requests"
    assert world.lines[-1] == "version 2 kept every bound and is in production; it is rolled out"
    registry = Registry(world.registry)
    assert registry.stages("air_quality") == {"production": 2}
    promoted = registry.log("air_quality")[-1]
    assert promoted.kind == "promoted" and promoted.why.startswith("its canary kept every bound: promote in 1 pod; ")
    assert served(world) == "['2']"


def test_a_version_that_breaks_a_bound_gives_the_requests_back(world: World) -> None:
    message = r"version 2 broke a bound as a canary: failed in 1 pod; .*; version 1 has all requests back$"
    with requests(world, worse=2.0), pytest.raises(GateError, match=message):
        world.deploy()
    assert Registry(world.registry).stages("air_quality") == {"production": 1}
    assert served(world) == "['1']"


def test_the_registry_follows_where_the_version_was_in_production_already(world: World) -> None:
    registry = Registry(world.registry)
    registry.promote("air_quality", 2, who="ann", why="better")
    with pytest.raises(GateError, match=r"got no verdict within 0 s: .*, and version 1 is in production again$"):
        world.deploy(replace(TRIAL, patience=0))
    assert registry.stages("air_quality") == {"production": 1}
    assert served(world) == "['1']"


def test_a_rollout_that_fails_after_the_verdict_leaves_nothing_half_done(world: World) -> None:
    def refuse(applied: dict[str, Any]) -> None:
        raise DeploymentError("answered by another model")

    with requests(world, worse=0.8), pytest.raises(DeploymentError, match=r"another model; .* is in production again$"):
        deploy_by_canary(
            world.production.case,
            world.registry,
            world.objects(2),
            world.client(),
            TRIAL,
            (world.check(1), refuse),
            world.lines.append,
        )
    assert Registry(world.registry).stages("air_quality") == {"production": 1}
    assert served(world) == "['1']"


def test_what_may_not_be_promoted_gets_no_requests(world: World) -> None:
    Registry(world.registry).reject("air_quality", 2, who="bob", why="biased")
    applied = len(world.api.applied)
    with pytest.raises(RegistryError, match="version 2 was rejected by bob"):
        world.deploy()
    assert len(world.api.applied) == applied


def test_a_version_that_is_rejected_while_it_is_judged_gives_the_requests_back(world: World) -> None:
    registry = Registry(world.registry)

    def reject(line: str) -> None:
        world.lines.append(line)
        # The first line is of the rollout, and the second one of the first look at the canary.
        if len(world.lines) == 2:
            registry.reject("air_quality", 2, who="bob", why="biased")

    with requests(world, worse=0.8), pytest.raises(RegistryError, match="version 2 was rejected by bob"):
        world.deploy(report=reject)
    assert registry.stages("air_quality") == {"production": 1}
    assert served(world) == "['1']"


def test_without_a_running_version_there_is_nothing_to_compare(production: Production, versions: str) -> None:
    made = World(production, versions)
    with made.api, pytest.raises(DeploymentError, match="nothing runs that a canary could be compared with"):
        deploy_by_canary(made.production.case, versions, made.objects(2), made.client(), TRIAL, made.checks, print)


def test_a_canary_is_read_from_an_object_store(production: Production, versions: str) -> None:
    running, new = (
        next(item for item in objects_of(versions, number) if item["kind"] == "InferenceService") for number in (1, 2)
    )
    given = with_canary(running, new, 10)["spec"]["predictor"]["model"]["args"]
    address = new["spec"]["predictor"]["model"]["storageUri"]
    # A second order takes the place of the first; what the running version was told stays.
    assert given == ["--canary-latency=9", f"--canary={address}=10", "--canary-number=2", "--canary-alpha=0.05"]
    again = with_canary(with_canary(running, new, 5), new, 10)
    assert again["spec"]["predictor"]["model"]["args"] == given
    assert again["metadata"]["annotations"]["almanac.io/canary"] == "2=10"
    new["spec"]["predictor"]["model"]["storageUri"] = "pvc://almanac-registry/use_cases/air_quality/served/2"
    with pytest.raises(DeploymentError, match="is read by the server itself, from an object store; pvc://almanac-reg"):
        with_canary(running, new, 10)
    new["spec"]["predictor"]["model"]["storageUri"] = "oci://ghcr.io/acme/models/air-quality:2"
    with pytest.raises(DeploymentError, match=r"from an object store; oci://ghcr\.io/acme\S+ is mounted by KServe"):
        with_canary(running, new, 10)
    with pytest.raises(DeploymentError, match="100 percent; between 1 and 99"):
        with_canary(running, new, 100)


def test_pods_are_judged_together() -> None:
    """One pod that found a bound broken outweighs all others; their intervals are intersected."""
    states = ("running", "promote", "failed")

    def page(state: str, low: float, high: float) -> str:
        labels = 'use_case="air",version="2"'
        lines = [f'almanac_canary_state{{{labels},state="{one}"}} {float(one == state)}' for one in states]
        ends = (("low", low), ("high", high))
        lines += [f'almanac_canary_excess{{{labels},measure="latency",end="{end}"}} {value}' for end, value in ends]
        return "\n".join([*lines, 'almanac_canary_state{use_case="air",version="1",state="failed"} 1.0', ""])

    pages = [page("running", -0.5, 0.1), page("promote", -0.3, -0.1)]
    found = verdict(pages, "2")
    assert (found.state, found.pods, found.excess) == ("promote", 2, {"latency": (-0.3, -0.1)})
    assert str(found) == "promote in 2 pods; excess over the bound: latency -0.3 to -0.1"
    assert verdict([*pages, page("failed", 0.1, 0.2)], "2").state == "failed"
    assert verdict(["almanac_ready 1.0\n"], "2").pods == 0

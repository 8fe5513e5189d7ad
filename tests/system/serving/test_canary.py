"""A new version beside the running one: shares, evidence, verdict, roll-back and promotion, on a real server."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from prometheus_client import CollectorRegistry

from almanac.core.errors import ServingError
from almanac.model.bundle import Bundle, load_bundle
from monitoring.metrics import Metrics
from serving.operations.canaries import Canaries
from serving.prediction.canary import CanaryBounds
from serving.prediction.repository import Repository
from serving.prediction.source import Source
from serving.prediction.traffic import Traffic
from serving.prediction.use_case import UseCase
from serving.runtime.errors import HTTPError
from serving.runtime.http import Reply as Answer
from serving.runtime.http import Request
from serving.settings import Settings
from tests.support.server import ROOT, ServerProcess, Start, as_row, wait_for, write_model

CANARY = "/v2/repository/models/air/canary"
PREDICT = "/v1/models/pm25_1h:predict"


@pytest.fixture(scope="module")
def new_model(tmp_path_factory: pytest.TempPathFactory, beijing: pl.DataFrame) -> Path:
    return write_model(tmp_path_factory.mktemp("new") / "model", beijing, trees=30)


def almanac(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "serving", "canary", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def versions(server: ServerProcess, row: np.ndarray, count: int) -> list[str]:
    body = {"instances": [as_row(row)]}
    return [str(server.post(PREDICT, body).json["model_version"]) for _ in range(count)]


def feedback(server: ServerProcess, draw: np.random.Generator, worse: float, count: int) -> None:
    """Observed values of predictions by both versions in turn, of which the new one's errors are so much larger."""
    names = server.get("/v2/models/pm25_1h").json["versions"]
    rows = [
        {
            "prediction": 50.0, "actual": 50.0 + float(draw.exponential(2.0)) * (worse if version == names[1] else 1.0),
            "model_version": version, "target": target,
        }
        for _ in range(count) for target in ("pm25_1h", "pm25_6h") for version in names
    ]  # fmt: skip
    answer = server.post("/v1/models/air:feedback", {"feedback": rows})
    assert answer.status == 200, answer.body


def state(server: ServerProcess) -> dict[str, Any]:
    return server.get(CANARY).json


def test_a_canary_in_steps_to_the_proposal(start: Start, new_model: Path, feature_rows: np.ndarray) -> None:
    server = start("--canary", f"{new_model}=25", "--canary-latency", "9")
    metadata = server.get("/v2/models/pm25_1h").json
    running, new = metadata["versions"]
    seen = versions(server, feature_rows[0], 80)
    assert set(seen) == {running, new}
    assert 5 <= seen.count(new) <= 40  # of 80 at 25%: outside once in a million
    for version in metadata["versions"]:
        assert server.get(f"/v2/models/pm25_1h/versions/{version}").json["versions"] == [running, new]
    stepped = almanac("step", "50", "--url", server.url, "--model-name", "air")
    assert (stepped.returncode, "50%" in stepped.stdout) == (0, True), stepped.stderr
    assert state(server)["percent"] == 50
    feedback(server, np.random.default_rng(3), 0.8, 1200)
    waiting = state(server)
    assert (waiting["state"], waiting["reason"]) == ("running", "not decided: latency")
    for _ in range(12):
        versions(server, feature_rows[0], 60)
        if state(server)["state"] == "promote":
            break
    shown = almanac("status", "--url", server.url, "--model-name", "air").stdout
    assert f"proposed: almanac registry promote air/{new}" in shown
    metrics = server.get("/metrics").body.decode()
    assert f'almanac_canary_share_ratio{{use_case="air",version="{new}"}} 0.5' in metrics
    wait_for(lambda: f'state="promote",use_case="air",version="{new}"}} 1.0' in server.get("/metrics").body.decode())
    ended = almanac("end", "--url", server.url, "--model-name", "air")
    assert ended.returncode == 0
    assert set(versions(server, feature_rows[0], 20)) == {running}
    assert server.get("/v2/models/pm25_1h").json["versions"] == [running]


def test_a_broken_bound_gives_the_requests_back(start: Start, new_model: Path, feature_rows: np.ndarray) -> None:
    server = start("--canary", f"{new_model}=50")
    running, new = server.get("/v2/models/air").json["versions"]
    feedback(server, np.random.default_rng(4), 2.0, 600)
    wait_for(lambda: state(server)["state"] == "failed")
    assert state(server)["reason"] == "error of pm25_1h, error of pm25_6h beyond the bound"
    assert set(versions(server, feature_rows[0], 20)) == {running}
    assert server.post(CANARY, {"percent": 100}).status == 409
    assert f'state="failed",use_case="air",version="{new}"}} 1.0' in server.get("/metrics").body.decode()
    assert "beyond the bound" in server.stop()


def test_feedback_names_its_version_while_two_answer(start: Start, new_model: Path) -> None:
    server = start("--canary", f"{new_model}=50")
    row = {"prediction": 1.0, "actual": 2.0}
    refused = server.post("/v1/models/pm25_1h:feedback", {"feedback": [row]})
    assert (refused.status, "missing field model_version" in refused.json["error"]) == (400, True)


@pytest.mark.parametrize(
    ("body", "status"),
    [({}, 400), ({"percent": 0}, 400), ({"percent": "5"}, 400), ({"percent": True}, 400), ({"percent": 5}, 409),
     ({"end": True}, 409), ({"version": "3", "percent": 5}, 409), ({"version": "3", "percent": 500}, 400)],
)  # fmt: skip
def test_a_wrong_order_changes_nothing(server: ServerProcess, body: dict[str, Any], status: int) -> None:
    assert server.post(CANARY, body).status == status
    assert server.get(CANARY).status == 404
    assert len(server.get("/v2/models/air").json["versions"]) == 1


@pytest.mark.parametrize(
    "change",
    [{"canary": "3"}, {"canary": "=5"}, {"canary": "3=0"}, {"canary": "3=101"}, {"canary": "3=x"},
     {"canary_alpha": 1.0}, {"canary_error": 0.0}, {"canary": "3=5", "second": "m"},
     {"canary": "3=5", "workers": 2, "feature_store": "sqlite:///s.db"}],
)  # fmt: skip
def test_settings_of_a_canary_are_checked(change: dict[str, Any]) -> None:
    with pytest.raises(ServingError, match="--canary"):
        Settings(["m"], **change).check()


def canaries(running: Bundle, **bounds: Any) -> tuple[Canaries, UseCase]:
    use_case = UseCase(Source("registry:air/production"), Traffic(running))
    repository = Repository([use_case])
    made = Canaries(
        repository,
        lambda _, number: replace(running, version=number),
        CanaryBounds(**bounds),
        Metrics(CollectorRegistry()),
        1,
        [],
    )
    repository.watch(made.follow)
    return made, use_case


def ask(made: Canaries, version: str, status: int = 200, seconds: float = 0.001) -> None:
    request = Request("POST", "/", {}, "local", use_case="air", verb="predict", answered_by=version)
    made.answered(request, Answer(b"", status), "v1", seconds)


def test_a_version_that_fails_is_stopped_soon(model_dir: Path) -> None:
    made, use_case = canaries(load_bundle(model_dir, "1"))
    made.start(use_case, "2", 5)
    count = 0
    while made.describe("air")["state"] == "running":
        for _ in range(19):
            ask(made, "1")
        ask(made, "2", 500)
        count += 1
    assert 10 < count < 60
    assert made.describe("air")["reason"] == "failures beyond the bound"
    assert use_case.traffic is not None
    assert use_case.traffic.second is None


def test_it_steps_by_itself_and_takes_all_only_when_proposed(model_dir: Path) -> None:
    made, use_case = canaries(load_bundle(model_dir, "1"), advance=60)
    made.start(use_case, "2", 5)
    draw, percents = np.random.default_rng(0), []
    for _ in range(1200):
        for version, factor in ("1", 1.0), ("2", 0.5):
            ask(made, version, seconds=float(draw.lognormal(0.0, 0.3)) * 0.001)
            for target in ("pm25_1h", "pm25_6h"):
                made.observed("air", target, version, float(draw.exponential(1.0)) * factor)
        made._look(made._canaries["air"])
        percents.append(made.describe("air")["percent"])
    assert list(dict.fromkeys(percents)) == [5, 25, 50, 100]
    assert made.describe("air")["state"] == "promote"


def test_the_registry_has_the_last_word(model_dir: Path) -> None:
    for promoted, expected in ("2", "promoted"), ("3", "ended"):
        made, use_case = canaries(load_bundle(model_dir, "1"))
        made.start(use_case, "2", 50)
        repository = made._repository
        second = use_case.traffic.second if use_case.traffic else None
        assert second is not None
        repository.swap(replace(second, version=promoted), use_case)
        assert made.describe("air")["state"] == expected
        assert use_case.traffic is not None
        assert (use_case.traffic.primary.version, use_case.traffic.second) == (promoted, None)
    with pytest.raises(HTTPError, match="has no running canary"):
        made.move("air", 100)


def test_the_log_of_a_decision_is_json(start: Start, new_model: Path) -> None:
    server = start("--canary", f"{new_model}=50")
    assert server.post(CANARY, {"end": True}).status == 200
    lines = [json.loads(line) for line in server.stop().splitlines()]
    assert any("is ended: ended by order" in line["event"] for line in lines)

"""A new version beside the running one: shares, evidence, verdict, roll-back and promotion, on a real server."""

import asyncio
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
from serving.operations.canary_files import CanaryFiles
from serving.prediction.canary import CanaryBounds
from serving.prediction.repository import Repository
from serving.prediction.source import Source
from serving.prediction.traffic import Traffic
from serving.prediction.use_case import ServedUseCase
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
     {"canary_alpha": 1.0}, {"canary_error": 0.0}, {"canary": "3=5", "second": "m"}],
)  # fmt: skip
def test_settings_of_a_canary_are_checked(change: dict[str, Any]) -> None:
    with pytest.raises(ServingError, match="--canary"):
        Settings(["m"], **change).check()


def canaries(running: Bundle, directory: Path | None = None, **bounds: Any) -> tuple[Canaries, ServedUseCase]:
    use_case = ServedUseCase(Source("registry:air/production"), Traffic(running))
    repository = Repository([use_case])
    made = Canaries(
        repository,
        lambda _, number: replace(running, version=number),
        CanaryBounds(**bounds),
        Metrics(CollectorRegistry()),
        None if directory is None else CanaryFiles(directory),
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


def test_processes_judge_by_the_evidence_of_all(model_dir: Path, tmp_path: Path) -> None:
    """Neither of two processes has enough by itself; what one decides, both do, and a third that starts later."""
    bundle = load_bundle(model_dir, "1")
    (one, first), (other, second) = (canaries(bundle, tmp_path) for _ in range(2))
    one.start(first, "2", 5)
    other.start(second, "2", 5)
    alone = 0
    while one.describe("air")["state"] == "running":
        for made in one, other:
            ask(made, "1")
            ask(made, "2", 500)
            made._look(made._canaries["air"])
        alone += 1
    assert one.describe("air")["measures"]["failures"]["differences"] > 1.5 * alone
    asyncio.run(other._follow_order(CanaryFiles(tmp_path), second))
    assert other.describe("air")["state"] == "failed"
    assert second.traffic is not None
    assert second.traffic.second is None
    later, third = canaries(bundle, tmp_path)
    later.start(third, "2", 5)
    assert (later.describe("air")["state"], later.describe("air")["percent"]) == ("failed", 0)
    assert third.traffic is not None
    assert third.traffic.second is None


def test_orders_and_evidence_outlive_a_process(model_dir: Path, tmp_path: Path) -> None:
    bundle = load_bundle(model_dir, "1")
    before, use_case = canaries(bundle, tmp_path)
    before.start(use_case, "2", 5)
    before.move("air", 25)
    for _ in range(30):
        ask(before, "1")
        ask(before, "2")
    known = before.describe("air")
    after, use_case = canaries(bundle, tmp_path)
    after.resume()
    found = after.describe("air")
    assert found["percent"] == 25
    assert found["measures"]["failures"] == pytest.approx(known["measures"]["failures"])
    assert use_case.traffic is not None
    assert use_case.traffic.share == 0.25
    # An order to begin anew forgets it.
    asyncio.run(after.begin("air", "2", 10))
    assert after.describe("air")["measures"]["failures"]["differences"] == 0


def test_workers_share_a_canary_and_a_restart_keeps_it(start: Start, new_model: Path, tmp_path: Path) -> None:
    arguments = ["--workers", "2", "--feature-store", f"sqlite:///{tmp_path}/s.db", "--canary", f"{new_model}=50"]
    arguments += ["--canary-state", str(tmp_path / "canary")]
    server = start(*arguments)
    assert server.post(CANARY, {"percent": 25}).status == 200
    wait_for(lambda: {state(server)["percent"] for _ in range(12)} == {25})
    feedback(server, np.random.default_rng(4), 2.0, 600)
    wait_for(lambda: {state(server)["state"] for _ in range(12)} == {"failed"})
    server.stop()
    again = start(*arguments)
    found = [state(again) for _ in range(12)]
    assert {one["state"] for one in found} == {"failed"}
    assert len(again.get("/v2/models/air").json["versions"]) == 1


def test_the_log_of_a_decision_is_json(start: Start, new_model: Path) -> None:
    server = start("--canary", f"{new_model}=50")
    assert server.post(CANARY, {"end": True}).status == 200
    lines = [json.loads(line) for line in server.stop().splitlines()]
    assert any("is ended: ended by order" in line["event"] for line in lines)

"""Several use cases on one server: isolation, the repository, the memory budget, keys, limits, logs and stores."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from almanac.core.errors import ModelError, ServingError
from almanac.model.bundle import load_bundle
from serving.prediction.repository import EVICTED, Repository
from serving.prediction.source import Source
from serving.prediction.traffic import Traffic
from serving.prediction.use_case import ServedUseCase, memory_of
from serving.runtime.errors import HTTPError
from tests.support.server import ServerProcess, Start, as_row, wait_for
from tests.support.use_cases import renamed
from tests.system.serving.test_security import create


@pytest.fixture(scope="module")
def demand(model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return renamed(model_dir, tmp_path_factory.mktemp("models") / "demand", "demand")


@pytest.fixture(scope="module")
def sales(model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return renamed(model_dir, tmp_path_factory.mktemp("models") / "sales", "sales")


def states(server: ServerProcess) -> dict[str, str]:
    index: Any = server.post("/v2/repository/index", {}).json
    return {one["name"]: one["state"] for one in index}


def reason(server: ServerProcess, name: str) -> str:
    index: Any = server.post("/v2/repository/index", {}).json
    return str(next(one["reason"] for one in index if one["name"] == name))


def test_each_answers_under_its_names(start: Start, demand: Path, sales: Path, feature_rows: np.ndarray) -> None:
    server = start("--model", str(demand), "--model", str(sales))
    body = {"instances": [as_row(feature_rows[0])]}
    answers = {
        name: server.post(f"/v1/models/{name}:predict", body).json
        for name in ("pm25_1h", "demand_pm25_1h", "sales_pm25_1h")
    }
    assert len({json.dumps(answer["predictions"]) for answer in answers.values()}) == 1  # copies of one model
    assert len({answer["model_version"] for answer in answers.values()}) == 3
    whole = server.post("/v1/models/demand:predict", body).json
    assert list(whole["predictions"][0]) == ["demand_pm25_1h", "demand_pm25_6h"]
    health = server.get("/healthz").json
    assert set(health["model_versions"]) == {"air", "demand", "sales"}
    assert "not_loaded" not in health
    document = server.get("/openapi.json").json
    assert document["info"]["title"] == "Almanac: air, demand, sales"
    metrics = server.get("/metrics").body.decode()
    for use_case in ("air", "demand", "sales"):
        assert f'almanac_use_case_ready{{use_case="{use_case}"}} 1.0' in metrics


def test_a_bad_model_leaves_the_others_alone(
    start: Start, demand: Path, model_dir: Path, tmp_path: Path, feature_rows: np.ndarray
) -> None:
    bad = shutil.copytree(model_dir, tmp_path / "bad")
    (bad / "pm25_1h" / "model.bst").write_bytes(b"tampered")
    server = start("--model", str(bad), "--model", str(tmp_path / "none"), model=demand)
    assert server.post("/v1/models/demand_pm25_1h:predict", {"instances": [as_row(feature_rows[0])]}).status == 200
    assert set(server.get("/healthz").json["not_loaded"]) == {"air", "none"}
    assert server.get("/v2/health/ready").status == 200
    for name in "air", "bad", "none":
        answer = server.get(f"/v2/models/{name}/ready")
        assert (answer.status, name in answer.json["error"]) == (503, True)
        assert str(tmp_path) not in answer.json["error"]  # probes are public
    assert "model.bst: altered" in reason(server, "air")
    assert "no such directory" in reason(server, "none")
    # Once it is whole it is loaded by an order, and known by its own names.
    shutil.rmtree(bad)
    shutil.copytree(model_dir, bad)
    assert server.post("/v2/repository/models/air/load", b"").status == 200
    assert states(server)["pm25_1h"] == "READY"
    assert server.get("/v2/models/air/ready").status == 200
    assert "none" in server.get("/healthz").json["not_loaded"]
    log = server.stop()
    assert "air is not served: " in log


def test_two_models_of_one_name_are_refused(start: Start, demand: Path, tmp_path: Path) -> None:
    twin = shutil.copytree(demand, tmp_path / "twin")
    server = start("--model", str(twin), model=demand)
    assert "demand has a model demand as well" in reason(server, "twin")
    assert server.post("/v2/repository/models/twin/load", b"").status == 503
    assert server.get("/v2/models/demand/ready").status == 200


def test_none_that_can_be_loaded_is_an_error_that_names_all(tmp_path: Path) -> None:
    server = ServerProcess(["--model", str(tmp_path / "one"), "--model", str(tmp_path / "two")])
    assert server.process.wait(60) != 0
    errors = server.stop()
    assert "error: no model can be loaded: one: " in errors
    assert "two: " in errors


def test_the_least_recently_used_is_put_out(
    start: Start, model_dir: Path, demand: Path, sales: Path, feature_rows: np.ndarray
) -> None:
    size = memory_of(load_bundle(model_dir))
    arguments = ("--model", str(demand), "--model", str(sales), "--memory-budget", str(int(2.5 * size)), "--pin", "air")
    server = start(*arguments)
    body = {"instances": [as_row(feature_rows[0])]}
    # At the start nothing is put out for another.
    assert "of --memory-budget" in reason(server, "sales")
    assert server.post("/v1/models/sales:predict", body).status == 503
    assert server.post("/v2/repository/models/sales/load", b"").status == 200
    assert reason(server, "demand") == EVICTED
    refused = server.post("/v1/models/demand:predict", body)
    assert (refused.status, EVICTED in refused.json["error"]) == (503, True)
    assert server.get("/v2/models/demand_pm25_1h/ready").status == 503
    assert server.post("/v2/repository/models/demand/load", b"").status == 200
    assert {name for name, state in states(server).items() if state != "READY"} == {
        "sales", "sales_pm25_1h", "sales_pm25_6h",
    }  # fmt: skip
    assert server.post("/v1/models/air:predict", body).status == 200  # pinned


def test_unloading_a_use_case_frees_all_of_it(start: Start, demand: Path, feature_rows: np.ndarray) -> None:
    server = start("--model", str(demand))
    body = {"instances": [as_row(feature_rows[0])]}
    assert server.post("/v2/repository/models/demand_pm25_6h/unload", b"").status == 200
    assert server.post("/v1/models/demand_pm25_1h:predict", body).status == 200
    assert server.post("/v2/repository/models/demand/unload", b"").status == 200
    assert [name for name, state in states(server).items() if state != "READY"] == [
        "demand_pm25_1h", "demand_pm25_6h", "demand",
    ]  # fmt: skip
    assert server.post("/v1/models/demand_pm25_1h:predict", body).status == 503
    assert 'almanac_use_case_ready{use_case="demand"} 0.0' in server.get("/metrics").body.decode()
    assert server.post("/v1/models/pm25_1h:predict", body).status == 200
    assert server.post("/v2/repository/models/demand/load", b"").status == 200
    assert server.post("/v1/models/demand_pm25_6h:predict", body).status == 200


def test_keys_limits_and_the_audit_know_the_use_case(
    start: Start, demand: Path, tmp_path: Path, feature_rows: np.ndarray
) -> None:
    keys, audit = tmp_path / "keys.json", tmp_path / "audit.jsonl"
    of_demand = {"x-api-key": create(keys, "predict", "--use-cases", "demand")}
    of_all = {"x-api-key": create(keys, "predict")}
    server = start(
        "--model", str(demand), "--auth", "required", "--keys", str(keys), "--audit-log", str(audit),
        "--rate-limit", "1000/s,demand=2/h",
    )  # fmt: skip
    body = {"instances": [as_row(feature_rows[0])]}

    def ask(name: str, key: dict[str, str]) -> int:
        return server.post(f"/v1/models/{name}:predict", body, key).status

    assert [ask("pm25_1h", of_demand), ask("air", of_demand), ask("demand", of_demand)] == [403, 403, 200]
    # The limit of one use case is of its own, for each client.
    assert [ask("demand_pm25_1h", of_all) for _ in range(3)] == [200, 200, 429]
    assert [ask("pm25_1h", of_all) for _ in range(3)] == [200, 200, 200]
    assert ask("demand", of_demand) == 200
    server.stop()
    lines = [json.loads(line) for line in audit.read_text().splitlines()]
    seen = [(line["use_case"], line["model"], line["status"]) for line in lines]
    assert ("air", "pm25_1h", 403) in seen
    assert ("demand", "demand_pm25_1h", 429) in seen


def test_each_has_a_store_and_a_prediction_log_of_its_own(start: Start, demand: Path, tmp_path: Path) -> None:
    server = start(
        "--model",
        str(demand),
        "--feature-store",
        f"sqlite:///{tmp_path}/s.db",
        "--prediction-log",
        str(tmp_path / "log"),
    )
    values = {"pm25": 50.0, "dewp": 1.0, "temp": 1.0, "pres": 1000.0, "iws": 1.0, "snow_hours": 0.0, "rain_hours": 0.0}
    rows = [
        {"timestamp": f"2014-03-{day:02}T{hour:02}:00:00", **values, "cbwd": "NW"}
        for day in (1, 2)
        for hour in range(24)
    ]
    assert server.post("/v1/models/demand:ingest", {"observations": rows}).json == {"ingested": 48}
    asked = {"instances": [{"entity": "default", "time": "2014-03-02T20:00:00"}]}
    assert server.post("/v1/models/demand_pm25_1h:predict", asked).status == 200
    assert server.post("/v1/models/pm25_1h:predict", asked).status == 409
    server.stop()
    assert [path.parent.name for path in (tmp_path / "log").rglob("*.jsonl") if path.stat().st_size] == ["demand"]


def test_workers_share_what_is_loaded(start: Start, demand: Path, tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/s.db"
    server = start("--model", str(demand), "--workers", "2", "--feature-store", store)

    def everywhere(status: int) -> Callable[[], bool]:
        # Connections are new ones, so that both workers are asked.
        return lambda: {server.get("/v2/models/demand/ready").status for _ in range(12)} == {status}

    assert server.post("/v2/repository/models/demand/unload", b"").status == 200
    wait_for(everywhere(503))
    assert server.get("/v2/models/air/ready").status == 200
    assert server.post("/v2/repository/models/demand/load", b"").status == 200
    wait_for(everywhere(200))


def repository(*models: Path, budget: float = 0, pinned: int = -1) -> Repository:
    use_cases = [ServedUseCase(Source(str(path)), pinned=at == pinned) for at, path in enumerate(models)]
    return Repository(use_cases, int(budget * memory_of(load_bundle(models[0]))) or None)


def test_a_model_that_cannot_fit_puts_nobody_out(model_dir: Path, demand: Path, sales: Path) -> None:
    import asyncio

    models = repository(model_dir, demand, sales, budget=1.5, pinned=0)
    models.open()
    assert [one.name for one in models.use_cases if one.traffic] == ["air"]
    with pytest.raises(HTTPError, match=r"of --memory-budget .* the other pinned models take"):
        asyncio.run(models.load("sales"))
    assert models.is_ready("air")


def test_the_last_order_counts(model_dir: Path, demand: Path) -> None:
    import asyncio

    models = repository(model_dir, demand)
    models.open()

    async def run() -> None:
        models.unload("demand")
        loading = asyncio.create_task(models.load("demand"))
        await asyncio.sleep(0)  # the load has begun, and its thread reads files
        models.unload("demand")
        await loading

    asyncio.run(run())
    assert not models.is_ready("demand")


def test_running_requests_end_with_the_version_that_was_put_out(model_dir: Path, demand: Path) -> None:
    models = repository(model_dir, demand)
    models.open()
    bundle = models.bundle("demand")
    models.unload("demand")
    assert bundle.targets["demand_pm25_1h"].row([1.0] * 11).prediction > 0


def test_one_model_behaves_as_ever(model_dir: Path, tmp_path: Path) -> None:
    models = repository(model_dir)
    models.open()
    models.unload("air")
    assert models.use_cases[0].traffic is not None
    assert models.is_ready("pm25_1h")
    with pytest.raises(ModelError, match=r"manifest\.json: cannot be read"):
        Repository([ServedUseCase(Source(str(tmp_path)))]).open()


def test_a_second_version_is_counted(model_dir: Path) -> None:
    bundle = load_bundle(model_dir)
    use_case = ServedUseCase(Source(str(model_dir)), Traffic(bundle, bundle, "split", 0.5))
    assert use_case.memory == 2 * memory_of(bundle)
    with pytest.raises(ServingError, match="no model is loaded"):
        _ = repository(model_dir).traffic

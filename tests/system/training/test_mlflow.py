"""A training logged to a real MLflow server whose store is PostgreSQL, and trainings whose server is not there."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from almanac.core.files import read_json
from almanac.model.model import load_model
from almanac.training.tracking import make_record
from almanac.training.tracking.mlflow_log import address_of, log_to_mlflow
from almanac.training.train import train
from almanac.usecase import UseCase, load_text
from almanac.usecase.tracking_section import MLflow, Tracking
from almanac.usecase.views import reads, trained_digest
from tests.support.postgres import needs_postgres
from tests.support.training_world import LEVEL, RIDGE, inputs, usecase

pytestmark = pytest.mark.skipif(
    find_spec("mlflow") is None and os.environ.get("CI") != "true", reason="mlflow is not installed"
)
_TARGET = "pm25_6h"
BLEND_OF_TWO = {"name": "blend", "kind": "blend", "of": ["level", "ridge"]}


@pytest.fixture
def server(postgresql: int, tmp_path: Path) -> Iterator[str]:
    """The address of an MLflow server with PostgreSQL as its store."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    store = f"postgresql+psycopg://meter:opensesame@127.0.0.1:{postgresql}/postgres"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", store, "--artifacts-destination", str(tmp_path / "artifacts")]
    log = (tmp_path / "server.log").open("w")
    # Without the processes for jobs that the pages of other products start.
    settings = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=tmp_path, env=settings)
    address = f"http://127.0.0.1:{port}"
    try:
        _wait(process, address, tmp_path / "server.log")
        yield address
    finally:
        # The server stops its workers when it is told to end, and not when it is killed.
        process.terminate()
        process.wait(60)
        log.close()


def _wait(process: "subprocess.Popen[bytes]", address: str, log: Path) -> None:
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(log.read_text())


def ask(address: str, what: str, **body: Any) -> dict[str, Any]:
    """Ask MLflow's REST interface, which is what its pages show."""
    request = urllib.request.Request(
        f"{address}/api/2.0/mlflow/{what}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


@needs_postgres
@pytest.mark.slow
def test_a_training_is_logged_with_its_folds_importances_data_and_model(
    beijing: pl.DataFrame,
    server: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "meter")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "opensesame")
    case = _tracked(usecase(LEVEL, RIDGE, BLEND_OF_TWO, budget={"trials": 1}), server)
    files = inputs(case, beijing, tmp_path / "in")
    model, tuning = tmp_path / "model", tmp_path / "tuning.json"
    record = train(case, files, model, tuning, tmp_path / "comet")
    assert "warning" not in capfd.readouterr().out

    (run,) = ask(server, "runs/search", experiment_ids=[_experiment(server, case.name)])["runs"]
    assert run["info"]["status"] == "FINISHED"
    assert run["info"]["run_name"] == read_json(tmp_path / "comet" / "record.json")["name"]
    parameters = {one["key"]: one["value"] for one in run["data"]["params"]}
    assert parameters[f"{_TARGET}/chosen"] == record["targets"][_TARGET]["chosen"]
    metrics = {one["key"]: one["value"] for one in run["data"]["metrics"]}
    assert metrics[f"{_TARGET}/folds/rmse"] == record["targets"][_TARGET]["loss"]
    # Each fold is a step of one metric.
    steps = _history(server, run["info"]["run_id"], f"{_TARGET}/candidates/ridge/fold/rmse")
    assert steps == record["targets"][_TARGET]["candidates"]["ridge"]["folds"]
    assert metrics[f"{_TARGET}/importance/pm25"] > metrics[f"{_TARGET}/importance/hour"] > 0

    data = {one["dataset"]["name"]: one["dataset"] for one in run["inputs"]["dataset_inputs"]}
    assert data.keys() == {"beijing_pm", case.name}
    assert record["data_digest"].startswith(data[case.name]["digest"])
    assert json.loads(data[case.name]["profile"])["num_rows"] == record["table"]["rows"]
    _check_artifacts(server, run["info"]["run_id"], record)
    _check_model(server, run["info"]["experiment_id"], model, files.features, tmp_path, monkeypatch)

    # The same training is logged once, and the digest of a model's use case does not depend on the server.
    assert trained_digest(case) == trained_digest(case.model_copy(update={"tracking": None}))
    again = make_record(read_json(tuning), trained_digest(case))
    assert log_to_mlflow(case, MLflow(uri=server), again, model, tuning) is None
    assert len(ask(server, "runs/search", experiment_ids=[run["info"]["experiment_id"]])["runs"]) == 1
    assert "opensesame" not in json.dumps(run)


def _tracked(case: UseCase, address: str) -> UseCase:
    """As the training component reads it."""
    return reads(case.model_copy(update={"tracking": Tracking(mlflow=MLflow(uri=address))}), "training")


def _experiment(address: str, name: str) -> str:
    (found,) = ask(address, "experiments/search", max_results=10, filter=f"name = '{name}'")["experiments"]
    return str(found["experiment_id"])


def _history(address: str, run: str, metric: str) -> list[float]:
    url = f"{address}/api/2.0/mlflow/metrics/get-history?run_id={run}&metric_key={metric}"
    with urllib.request.urlopen(url, timeout=60) as answer:
        points = json.load(answer)["metrics"]
    return [point["value"] for point in sorted(points, key=lambda point: int(point["step"]))]


def _check_artifacts(address: str, run: str, record: dict[str, Any]) -> None:
    def read(path: str) -> Any:
        with urllib.request.urlopen(f"{address}/get-artifact?run_id={run}&path={path}", timeout=60) as answer:
            return json.load(answer)

    assert read("tuning.json")["targets"] == record["targets"]
    assert [fold["valid"] for fold in read("folds.json")[_TARGET]] == [
        fold["valid"] for fold in record["targets"][_TARGET]["folds"]
    ]
    importances = read(f"importances/{_TARGET}.json")
    assert list(importances.values()) == sorted(importances.values(), reverse=True)


def _check_model(
    address: str, experiment: str, model: Path, features: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Load the logged model in another process, as a consumer does, and compare it with the directory itself."""
    (logged,) = ask(address, "logged-models/search", experiment_ids=[experiment])["models"]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    script = (
        "import sys, mlflow, polars as pl\n"
        "model = mlflow.pyfunc.load_model(sys.argv[1])\n"
        "rows = pl.read_parquet(sys.argv[2]).slice(1000, 50).to_pandas()\n"
        "inputs = model.metadata.signature.inputs.input_names()\n"
        "model.predict(rows[inputs]).to_parquet(sys.argv[3])\n"
    )
    out = base / "answer.parquet"
    uri = f"models:/{logged['info']['model_id']}"
    subprocess.run([sys.executable, "-c", script, uri, str(features), str(out)], check=True, timeout=300)
    own = load_model(model / _TARGET)
    rows = pl.read_parquet(features).slice(1000, 50)
    expected = own.predict(rows.select(own.names).cast(pl.Float64).fill_null(float("nan")).to_numpy())
    answer = pl.read_parquet(out)
    assert answer.columns == ["prediction", "lower", "upper"]
    np.testing.assert_array_equal(answer["prediction"].to_numpy(), expected.prediction)
    assert expected.lower is not None
    np.testing.assert_array_equal(answer["lower"].to_numpy(), expected.lower)


def test_a_server_that_is_not_there_fails_no_training(
    beijing: pl.DataFrame, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        case = _tracked(usecase(RIDGE), f"http://someone@127.0.0.1:{port}/?key=opensesame")
        files = inputs(case, beijing, tmp_path / "in")
        record = train(case, files, tmp_path / "model", tmp_path / "tuning.json", tmp_path / "comet")
    assert record["model_digest"]
    told = capfd.readouterr().out
    assert f"warning: nothing was logged to MLflow at http://127.0.0.1:{port}: it cannot be reached" in told
    assert "opensesame" not in told
    assert "someone" not in told


def test_a_server_that_is_no_mlflow_is_told_without_its_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "opensesame")
    other = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", str(tmp_path)]
    with subprocess.Popen(other, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        port = process.stdout.readline().split("port ")[1].split()[0]
        address = f"http://127.0.0.1:{port}"
        record = {"key": "0" * 32, "name": "one", "use_case_digest": "0" * 64}
        problem = log_to_mlflow(usecase(RIDGE), MLflow(uri=address), record, tmp_path, tmp_path / "tuning.json")
        process.terminate()
    assert problem is not None
    assert problem.startswith(f"the training was not logged to MLflow at {address}: ")
    assert "opensesame" not in problem


def test_an_address_is_told_without_user_and_query() -> None:
    assert address_of("https://someone@tracking.example.com:5000/path?key=1") == "https://tracking.example.com:5000"


def test_a_password_in_the_file_is_refused() -> None:
    data = json.loads(usecase(RIDGE).model_dump_json())
    data["tracking"] = {"mlflow": {"uri": "https://me:opensesame@tracking.example.com"}}
    with pytest.raises(Exception, match=r"tracking\.mlflow\.uri") as raised:
        load_text(json.dumps(data), "usecase")
    assert "opensesame" not in str(raised.value)

"""Running the server: drain, several workers, hot swap, shadow and split traffic, tampered models."""

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from almanac.core.files import read_json, sha256_file, write_json
from governance.registry import Registry
from tests.support.bundles import document_files
from tests.support.server import ROOT, ServerProcess, Start, as_row, wait_for, write_model

PREDICT = "/v1/models/pm25_1h:predict"


class Asking:
    """Threads that ask without a pause, and keep what went wrong."""

    def __init__(self, server: ServerProcess, body: dict[str, Any], threads: int = 3) -> None:
        self.answers: list[dict[str, Any]] = []
        self.failures: list[str] = []
        self._stop = threading.Event()
        self._server, self._body = server, body
        self._threads = [threading.Thread(target=self._run) for _ in range(threads)]

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                answer = self._server.post(PREDICT, self._body)
            except OSError as error:
                self.failures.append(repr(error))
                continue
            if answer.status == 200:
                self.answers.append(answer.json)
            else:
                self.failures.append(f"{answer.status} {answer.body!r}")

    def __enter__(self) -> "Asking":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def test_a_drain_is_told_before_the_end(start: Start, feature_rows: np.ndarray) -> None:
    server = start("--drain-seconds", "0.7")
    body = {"instances": [as_row(feature_rows[0])]}
    assert server.post(PREDICT, body).status == 200
    server.process.send_signal(signal.SIGTERM)
    wait_for(lambda: server.get("/v2/health/ready").status == 503)
    assert server.get("/healthz").json["status"] == "draining"
    answer = server.post(PREDICT, body)
    assert (answer.status, answer.headers["connection"]) == (200, "close")
    assert server.process.wait(10) == 0


def test_a_request_under_way_is_finished(start: Start, feature_rows: np.ndarray) -> None:
    server = start()
    body = json.dumps({"instances": [as_row(values) for values in feature_rows[:50]]}).encode()
    with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
        head = f"POST {PREDICT} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        connection.sendall(head + body[:100])
        wait_for(lambda: total(server, "almanac_requests_in_flight") == 2)  # the question itself is one
        server.process.send_signal(signal.SIGTERM)
        wait_for(lambda: not _accepts(server))
        connection.sendall(body[100:])
        answer = b""
        while part := connection.recv(1 << 16):
            answer += part
    head, _, text = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert b"connection: close" in head
    assert len(json.loads(text)["predictions"]) == 50
    assert server.process.wait(20) == 0


def _accepts(server: ServerProcess) -> bool:
    try:
        socket.create_connection(("127.0.0.1", server.port), 1).close()
    except OSError:
        return False
    return True


def test_a_computation_under_way_is_finished(start: Start, feature_rows: np.ndarray) -> None:
    server = start()
    rows = [as_row(values) for values in feature_rows[:4000]] * 2
    found: list[int] = []
    path = PREDICT.replace("predict", "explain")
    body = json.dumps({"instances": rows}).encode()
    asking = [threading.Thread(target=lambda: found.append(server.post(path, body).status)) for _ in range(4)]
    for thread in asking:
        thread.start()
    wait_for(lambda: total(server, "almanac_requests_in_flight") >= 2)
    server.process.send_signal(signal.SIGTERM)
    before = len(found)
    for thread in asking:
        thread.join()
    assert before < len(found)
    assert set(found) == {200}
    assert server.process.wait(20) == 0


def total(server: ServerProcess, name: str, **labels: str) -> float:
    total = 0.0
    for line in server.get("/metrics").body.decode().splitlines():
        if re.match(rf"{name}(\{{|\s)", line) and all(f'{key}="{value}"' in line for key, value in labels.items()):
            total += float(line.rpartition(" ")[2])
    return total


def test_workers_add_up_and_are_replaced(start: Start, tmp_path: Path, feature_rows: np.ndarray) -> None:
    server = start("--workers", "2", "--feature-store", f"sqlite:///{tmp_path}/s.db", "--drain-seconds", "0.3")
    body = {"instances": [as_row(feature_rows[0])]}
    for _ in range(40):
        assert server.post(PREDICT, body).status == 200
    for _ in range(4):  # whichever worker is asked
        wait_for(lambda: total(server, "almanac_requests_total", verb="predict", code="200") == 40)
    before = workers(server)
    assert len(before) == 2
    with Asking(server, body) as asking:
        server.process.send_signal(signal.SIGHUP)
        wait_for(lambda: not before & workers(server) and len(workers(server)) == 2)
    assert asking.failures == []
    assert asking.answers
    victim = next(iter(workers(server)))
    subprocess.run(["kill", "-9", str(victim)], check=True)
    wait_for(lambda: len(workers(server) - {victim}) == 2)
    assert server.post(PREDICT, body).status == 200
    assert server.post("/v2/repository/models/pm25_1h/unload", b"").status == 200
    wait_for(lambda: all(server.post(PREDICT, body).status == 503 for _ in range(6)))
    assert server.post("/v2/repository/models/pm25_1h/load", b"").status == 200
    wait_for(lambda: all(server.post(PREDICT, body).status == 200 for _ in range(6)))
    server.process.terminate()
    assert server.process.wait(30) == 0


def workers(server: ServerProcess) -> set[int]:
    found = subprocess.run(
        ["ps", "-o", "pid=,stat=", "--ppid", str(server.process.pid)], capture_output=True, text=True
    )
    pairs = [line.split() for line in found.stdout.splitlines()]
    return {int(pid) for pid, state in pairs if not state.startswith("Z")}


@pytest.fixture(scope="module")
def second_model(tmp_path_factory: pytest.TempPathFactory, beijing: pl.DataFrame) -> Path:
    """A further version of the model."""
    return write_model(tmp_path_factory.mktemp("second") / "model", beijing, trees=15)


def register(registry: Registry, model: Path, folder: Path) -> int:
    files = {f"model/{path.relative_to(model)}": path for path in model.rglob("*") if path.is_file()}
    folder.mkdir()
    extra = {
        "metrics.json": {"use_case": "air", "targets": {}},
        "gate.json": {"passed": True, "rules": []},
        "lineage.json": {"sources": []},
    }
    for name, document in extra.items():
        (folder / name).write_text(json.dumps(document))
        files[name] = folder / name
    number = registry.register("air", files, who="ann", why="test", approval="none")
    documents = document_files(folder, files)
    registry.attach_documents("air", number, documents, who="ann", why="test")
    registry.promote("air", number, who="ann", why="test")
    return number


def test_a_promotion_takes_over_without_a_failed_request(
    start: Start, tmp_path: Path, model_dir: Path, second_model: Path, feature_rows: np.ndarray
) -> None:
    url = tmp_path / "registry"
    registry = Registry(url)
    assert register(registry, model_dir, tmp_path / "one") == 1
    environment = {"ALMANAC_REGISTRY": str(url), "ALMANAC_CACHE": str(tmp_path / "cache")}
    server = start("--poll-seconds", "0.2", model="registry:air/production", environment=environment)
    body = {"instances": [as_row(feature_rows[5])]}
    first = server.post(PREDICT, body).json
    assert first["model_version"] == "1"
    with Asking(server, body) as asking:
        assert register(registry, second_model, tmp_path / "two") == 2
        wait_for(lambda: server.post(PREDICT, body).json["model_version"] == "2")
    assert asking.failures == []
    predictions = {(answer["model_version"], answer["predictions"][0]) for answer in asking.answers}
    assert {version for version, _ in predictions} >= {"1"}
    assert len(predictions) == len({version for version, _ in predictions})  # one number for each version
    assert first["predictions"] != server.post(PREDICT, body).json["predictions"]
    assert total(server, "almanac_model_swaps_total", result="done") == 1
    assert total(server, "almanac_requests_total", version="2", verb="predict") > 0
    late, now = {"prediction": 10.0, "actual": 12.0, "model_version": "1"}, {"prediction": 10.0, "actual": 11.0}
    told = server.post("/v1/models/pm25_1h:feedback", {"feedback": [late, late, now]}).json["rolling"]
    assert {name: figures["mae"] for name, figures in told.items()} == {
        "pm25_1h version 1": 2.0,
        "pm25_1h version 2": 1.0,
    }
    assert [total(server, "almanac_feedback_total", version=version) for version in ("1", "2")] == [2, 1]
    assert "pm25_1h" in server.post("/v1/models/pm25_1h:feedback", {"feedback": [late]}).json["rolling"]


def test_split_and_shadow_have_metrics_of_their_own(start: Start, second_model: Path, feature_rows: np.ndarray) -> None:
    body = {"instances": [as_row(feature_rows[5])]}
    split = start("--second", str(second_model), "--second-share", "0.5")
    versions = [split.post(PREDICT, body).json["model_version"] for _ in range(60)]
    assert len(set(versions)) == 2
    assert 10 < versions.count(versions[0]) < 50
    for version in set(versions):
        assert total(split, "almanac_requests_total", version=version, verb="predict") == versions.count(version)
    shadow = start("--second", str(second_model), "--second-role", "shadow", "--second-share", "1")
    answers = [shadow.post(PREDICT, body).json["model_version"] for _ in range(10)]
    assert len(set(answers)) == 1
    wait_for(lambda: total(shadow, "almanac_shadow_absolute_difference_count", model="pm25_1h") == 10)


def test_a_tampered_model_is_refused(tmp_path: Path, model_dir: Path) -> None:
    copy = tmp_path / "model"
    shutil.copytree(model_dir, copy)
    body = copy / "pm25_1h" / "model.bst"
    body.write_bytes(body.read_bytes().replace(b"leaf_value=", b"leaf_value=9", 1))
    command = [sys.executable, "-m", "serving", "--model", str(copy), "--http-port", "0"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert "altered" in ended.stderr
    assert "model.bst" in ended.stderr


def test_feedback_gives_a_rolling_error(server: ServerProcess) -> None:
    rows = [{"prediction": 10.0, "actual": 12.0, "lower": 5.0, "upper": 11.0}, {"prediction": 10.0, "actual": 9.0}]
    answer = server.post("/v1/models/pm25_6h:feedback", {"feedback": rows})
    assert answer.status == 200, answer.body
    assert answer.json["rolling"]["pm25_6h"] == {"mae": 1.5, "rmse": 2.5**0.5, "bias": -0.5, "coverage": 0.0}
    assert total(server, "almanac_rolling_mae", model="pm25_6h") == 1.5
    wrong = server.post("/v1/models/pm25_6h:feedback", {"feedback": [rows[0], {"prediction": 1}]})
    assert (wrong.status, "feedback[1]" in wrong.json["error"]) == (400, True)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"prediction": 1e308}, "feedback[1].prediction: 1e+308 is beyond 1e+150"),
        ({"actual": -1e308}, "feedback[1].actual: -1e+308 is beyond"),
        ({"actual": 1000.5}, "feedback[1].actual: 1000.5 is beyond the declared range 0 to 1000"),
        ({"actual": -1}, "feedback[1].actual: -1 is beyond the declared range"),
        ({"actual": None}, "feedback[1]: missing field actual"),
        ({"lower": 50, "upper": 20}, "feedback[1].lower: 50 is above upper, which is 20"),
        ({"model_version": "no"}, "feedback[1].model_version: 'no' has not been served here"),
        ({"model_version": 1}, "feedback[1].model_version: 1 has not been served here"),
    ],
)
def test_feedback_that_cannot_be_is_refused(server: ServerProcess, change: dict[str, Any], word: str) -> None:
    good = {"prediction": 10.0, "actual": 12.0}
    answer = server.post("/v1/models/pm25_1h:feedback", {"feedback": [good, {**good, **change}]})
    assert answer.status == 400
    assert word in answer.json["error"], answer.json
    assert total(server, "almanac_feedback_total", model="pm25_1h") == 0


def test_every_exported_metric_is_a_defined_one(server: ServerProcess) -> None:
    from monitoring.metrics import ALL
    from tests.support.live import series_names

    text = server.get("/metrics").body.decode()
    found = {line.split("{")[0].split(" ")[0] for line in text.splitlines() if line and not line.startswith("#")}
    assert {name for name in found if not name.endswith("_created")} <= series_names()
    described = set(re.findall(r"# HELP (\S+)", text))
    assert {metric.name for metric in ALL if metric.origin == "server"} <= described | {
        name + "_total" for name in described
    }


def test_a_port_that_is_taken_is_told(server: ServerProcess, model_dir: Path) -> None:
    command = [sys.executable, "-m", "serving", "--model", str(model_dir), "--http-port", str(server.port)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert str(server.port) in ended.stderr


def test_the_page_and_the_document(server: ServerProcess) -> None:
    document = server.get("/openapi.json").json
    assert document["openapi"] == "3.1.0"
    assert b"openapi.json" in server.get("/docs").body
    schema = document["components"]["schemas"]["Rows"]["oneOf"][0]["properties"]["instances"]["oneOf"][0]
    assert "pm25_lag_24h" in schema["items"]["required"]
    by_time = document["components"]["schemas"]["Rows"]["oneOf"][0]["properties"]["instances"]["oneOf"][2]["items"]
    refused = server.post(PREDICT, {"instances": [{"time": "2012-06-30T22:00:00", "other": 1}]}).json["error"]
    assert refused.endswith(f"a row by time has {', '.join(sorted(by_time['properties']))}")


def test_what_is_out_of_range_is_refused_as_the_model_or_the_command_line_says(
    start: Start, tmp_path: Path, model_dir: Path, feature_rows: np.ndarray
) -> None:
    body = {"instances": [{**as_row(feature_rows[0]), "temp": 1e6}]}
    assert start().post(PREDICT, body).json["warnings"][0].startswith("row 0, temp: beyond the declared range")
    assert start("--out-of-range", "refuse").post(PREDICT, body).status == 400
    strict = tmp_path / "strict"
    shutil.copytree(model_dir / "pm25_1h", strict)
    write_json(strict / "signature.json", {**read_json(strict / "signature.json"), "out_of_range": "refuse"})
    manifest = read_json(strict / "manifest.json")
    manifest["files"]["signature.json"]["sha256"] = sha256_file(strict / "signature.json")
    write_json(strict / "manifest.json", manifest)
    refused = start(model=strict).post(PREDICT, body)
    assert (refused.status, "temp: beyond the declared range" in refused.json["error"]) == (400, True)
    assert start("--out-of-range", "warn", model=strict).post(PREDICT, body).status == 200

"""The Open Inference Protocol over HTTP, by hand and with kserve's own classes."""

import json
from typing import Any

import numpy as np
import pytest

from tests.support.server import FEATURES, WIND, ServerProcess, as_row

INFER = "/v2/models/pm25_1h/infer"


def columns(X: np.ndarray, names: tuple[str, ...] = FEATURES) -> list[dict[str, Any]]:
    rows = [as_row(values) for values in X]
    return [
        {
            "name": name,
            "shape": [len(rows)],
            "datatype": "BYTES" if name == "cbwd" else "FP64",
            "data": [row[name] for row in rows],
        }
        for name in names
    ]


@pytest.fixture(scope="module")
def v1(server: ServerProcess, feature_rows: np.ndarray) -> dict[str, Any]:
    rows = [as_row(values) for values in feature_rows[:20]]
    return server.post("/v1/models/pm25_1h:predict", {"instances": rows}).json


def output(document: dict[str, Any], name: str) -> list[Any]:
    return next(o["data"] for o in document["outputs"] if o["name"] == name)


def test_named_tensors_in_any_order(server: ServerProcess, feature_rows: np.ndarray, v1: dict[str, Any]) -> None:
    for names in (FEATURES, tuple(reversed(FEATURES))):
        answer = server.post(INFER, {"id": "7", "inputs": columns(feature_rows[:20], names)})
        assert answer.status == 200, answer.body
        assert output(answer.json, "prediction") == v1["predictions"]
        assert output(answer.json, "signal") == v1["signals"]
        assert answer.json["id"] == "7"
        assert answer.json["parameters"]["model_digest"] == v1["model_digest"]


def test_one_matrix_in_the_models_order(server: ServerProcess, feature_rows: np.ndarray, v1: dict[str, Any]) -> None:
    X = feature_rows[:20]
    nested = [[None if np.isnan(v) else v for v in row] for row in X.tolist()]
    for data in (nested, [v for row in nested for v in row]):
        tensor = {"name": "input-0", "shape": list(X.shape), "datatype": "FP64", "data": data}
        answer = server.post(INFER, {"inputs": [tensor]})
        assert answer.status == 200, answer.body
        assert output(answer.json, "prediction") == v1["predictions"]


def binary(X: np.ndarray) -> tuple[bytes, dict[str, str]]:
    inputs, parts = [], []
    for at, name in enumerate(FEATURES):
        if name == "cbwd":
            texts = [WIND[int(code)].encode() for code in X[:, at]]
            data = b"".join(len(text).to_bytes(4, "little") + text for text in texts)
        else:
            data = X[:, at].astype("<f8").tobytes()
        kind = "BYTES" if name == "cbwd" else "FP64"
        inputs.append(
            {"name": name, "shape": [len(X)], "datatype": kind, "parameters": {"binary_data_size": len(data)}}
        )
        parts.append(data)
    head = json.dumps({"inputs": inputs, "parameters": {"binary_data_output": True}}).encode()
    headers = {"inference-header-content-length": str(len(head)), "content-type": "application/octet-stream"}
    return b"".join([head, *parts]), headers


def test_binary_tensors_both_ways(server: ServerProcess, feature_rows: np.ndarray, v1: dict[str, Any]) -> None:
    body, headers = binary(feature_rows[:20])
    answer = server.post(INFER, body, headers)
    assert answer.status == 200, answer.body
    length = int(answer.headers["inference-header-content-length"])
    head = json.loads(answer.body[:length])
    size = head["outputs"][0]["parameters"]["binary_data_size"]
    found = np.frombuffer(answer.body[length : length + size], dtype="<f8")
    assert found.tolist() == v1["predictions"]


def test_kserves_own_request_and_answer(server: ServerProcess, feature_rows: np.ndarray, v1: dict[str, Any]) -> None:
    kserve = pytest.importorskip("kserve")
    X = feature_rows[:20]
    inputs = []
    for name in ("hour", *FEATURES[:-1]):
        at = FEATURES.index(name)
        item = kserve.InferInput(name, [len(X)], "FP64")
        item.set_data_from_numpy(X[:, at].astype(np.float64), binary_data=name != "temp")
        inputs.append(item)
    request = kserve.InferRequest("pm25_1h", inputs, request_id="a1", parameters={"binary_data_output": True})
    body, length = request.to_rest()
    answer = server.post(INFER, body, {"inference-header-content-length": str(length)})
    assert answer.status == 200, answer.body
    size = int(answer.headers["inference-header-content-length"])
    response = kserve.InferResponse.from_bytes(answer.body, size)
    assert response.get_output_by_name("prediction").as_numpy().tolist() == v1["predictions"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t[:-1], ["missing", "hour"]),
        (lambda t: [*t, {**t[0], "name": "colour"}], ["unknown", "colour"]),
        (lambda t: [*t, t[0]], ["twice", "pm25"]),
        (lambda t: [{**t[0], "shape": [3]}, *t[1:]], ["pm25", "shape"]),
        (lambda t: [{**t[0], "shape": [1, 2], "data": [1, 2]}, *t[1:]], ["pm25", "shape"]),
        (lambda t: [{**t[0], "shape": [-1]}, *t[1:]], ["pm25", "shape"]),
        (lambda t: [{**t[0], "datatype": "FP128"}, *t[1:]], ["pm25", "FP128"]),
        (lambda t: [{**t[0], "datatype": "BYTES", "data": ["a"]}, *t[1:]], ["pm25", "BYTES"]),
        (lambda t: [{**t[0], "data": ["3"]}, *t[1:]], ["pm25[0]", "text"]),
        (lambda t: [{**t[0], "data": [1e308 * 10]}, *t[1:]], ["pm25[0]: Infinity is no number of JSON"]),
        (lambda t: [{**t[0], "shape": [0], "data": []}, *t[1:]], ["rows"]),
        (lambda t: [{**t[0], "data": None}, *t[1:]], ["pm25", "data"]),
        (lambda t: [], ["empty"]),
    ],
)
def test_a_bad_tensor_is_named(server, feature_rows, change, words) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    answer = server.post(INFER, {"inputs": change(columns(feature_rows[:1]))})
    assert answer.status == 400, answer.body
    for word in words:
        assert word in answer.json["error"], answer.json


def test_integers_stay_exact(server: ServerProcess, feature_rows: np.ndarray) -> None:
    tensors = columns(feature_rows[:1])
    for value, status in ((16777217, 200), (2**53, 200), (2**53 + 1, 400)):
        tensors[FEATURES.index("iws")] |= {"datatype": "INT64", "data": [value]}
        answer = server.post(INFER, {"inputs": tensors})
        assert answer.status == status, answer.body


def test_outputs_asked_for(server: ServerProcess, feature_rows: np.ndarray) -> None:
    body = {"inputs": columns(feature_rows[:2]), "outputs": [{"name": "upper"}]}
    assert [o["name"] for o in server.post(INFER, body).json["outputs"]] == ["upper"]
    wrong = server.post(INFER, {**body, "outputs": [{"name": "x"}]})
    assert wrong.status == 400
    everything = server.post("/v2/models/air/infer", {"inputs": columns(feature_rows[:2])}).json
    assert "pm25_6h.signal" in [o["name"] for o in everything["outputs"]]


def test_metadata_and_health(server: ServerProcess) -> None:
    model = server.get("/v2/models/pm25_1h").json
    assert [item["name"] for item in model["inputs"]] == list(FEATURES)
    assert {item["name"] for item in model["outputs"]} == {"prediction", "lower", "upper", "signal"}
    (version,) = model["versions"]
    assert server.get(f"/v2/models/pm25_1h/versions/{version}/ready").json["ready"] is True
    assert server.get("/v2/models/pm25_1h/versions/99").status == 404
    assert "binary_tensor_data" in server.get("/v2").json["extensions"]
    assert server.get("/v2/health/live").json == {"live": True}
    assert server.get("/v2/health/ready").json == {"ready": True}
    assert server.get("/v2/models/other/ready").status == 404


def test_the_repository(server: ServerProcess, feature_rows: np.ndarray) -> None:
    body = {"instances": [as_row(feature_rows[0])]}
    assert server.post("/v2/repository/models/pm25_6h/unload", b"").status == 200
    try:
        assert server.post("/v1/models/pm25_6h:predict", body).status == 503
        assert server.get("/v2/models/pm25_6h/ready").status == 503
        assert server.post("/v1/models/pm25_1h:predict", body).status == 200
        index = json.loads(server.post("/v2/repository/index", {}).body)
        states = {row["name"]: row["state"] for row in index}
        assert (states["pm25_6h"], states["pm25_1h"]) == ("UNAVAILABLE", "READY")
    finally:
        assert server.post("/v2/repository/models/pm25_6h/load", b"").status == 200
    assert server.post("/v1/models/pm25_6h:predict", body).status == 200
    assert server.post("/v2/repository/models/other/load", b"").status == 404

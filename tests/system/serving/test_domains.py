"""Every datatype has its domain, in JSON, binary data and gRPC alike; a refusal names row and column."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]
import numpy as np
import pytest

from serving.protocol.grpc_messages import load_messages
from serving.protocol.grpc_servicer import SERVICE
from tests.support.server import FEATURES, ServerProcess, free_port

pb = load_messages()
INFER = "/v2/models/pm25_1h/infer"
PREDICT = "/v1/models/pm25_1h:predict"
GOOD: dict[str, Any] = dict.fromkeys(FEATURES, 1.5) | {"hour": 1.0, "cbwd": 0.0}
UINT16 = "is not an UINT16, which reaches from 0 to 65535"
FOREIGN = "is no number of JSON that float64 holds; null stands for a missing value"
EXACTLY = "cannot be held exactly in float64"
FP16 = "FP16, which reaches to 65504"


@pytest.fixture(scope="module")
def served(model_dir: Path) -> Iterator[tuple[ServerProcess, Any]]:
    port = free_port()
    process = ServerProcess(["--model", str(model_dir), "--grpc-port", str(port)]).wait()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield process, channel.unary_unary(f"/{SERVICE}/ModelInfer")
    process.stop()


def as_json(server: ServerProcess, column: str, datatype: str, data: str, count: int) -> str:
    """The error, or "" with the prediction, of a request whose one column is given as JSON text."""
    others = [
        {"name": name, "shape": [count], "datatype": "FP64", "data": [GOOD[name]] * count}
        for name in FEATURES
        if name != column
    ]
    one = json.dumps({"name": column, "shape": [count], "datatype": datatype})[:-1] + f', "data": {data}}}'
    body = json.dumps({"inputs": others})[:-2] + ", " + one + "]}"
    answer = server.request("POST", INFER, body.encode(), {"content-type": "application/json"})
    assert (answer.status == 400) == ("error" in answer.json), answer.body
    return str(answer.json.get("error", ""))


def as_binary(server: ServerProcess, column: str, datatype: str, data: bytes, count: int) -> str:
    parts = {name: np.full(count, GOOD[name]).astype("<f8").tobytes() for name in FEATURES} | {column: data}
    head = json.dumps({
        "inputs": [
            {
                "name": name, "shape": [count], "datatype": datatype if name == column else "FP64",
                "parameters": {"binary_data_size": len(parts[name])},
            }
            for name in FEATURES
        ]
    }).encode()  # fmt: skip
    headers = {"content-type": "application/octet-stream", "inference-header-content-length": str(len(head))}
    return str(server.request("POST", INFER, head + b"".join(parts.values()), headers).json.get("error", ""))


def as_raw(infer: Any, column: str, datatype: str, data: bytes, count: int) -> str:
    message = pb.ModelInferRequest(model_name="pm25_1h")
    for name in FEATURES:
        message.inputs.add(name=name, datatype=datatype if name == column else "FP64", shape=[count])
        values = np.full(count, GOOD[name]).astype("<f8").tobytes()
        message.raw_input_contents.append(data if name == column else values)
    return _error(infer, message)


def as_contents(infer: Any, column: str, datatype: str, field: str, values: list[Any]) -> str:
    message = pb.ModelInferRequest(model_name="pm25_1h")
    for name in FEATURES:
        tensor = message.inputs.add(name=name, datatype=datatype if name == column else "FP64", shape=[len(values)])
        given = values if name == column else [GOOD[name]] * len(values)
        getattr(tensor.contents, field if name == column else "fp64_contents").extend(given)
    return _error(infer, message)


def _error(infer: Any, message: Any) -> str:
    try:
        infer(message.SerializeToString(), timeout=20)
    except grpc.RpcError as error:
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        return str(error.details())
    return ""


@pytest.mark.parametrize(
    ("datatype", "data", "error"),
    [
        ("BOOL", "[true, 2]", "rain_hours[1]: 2 is not a BOOL, which is true or false"),
        ("BOOL", "[true, null]", "rain_hours[1]: null is not a BOOL, which is true or false"),
        ("BOOL", "[0.0, 1.0]", "rain_hours[0]: 0.0 is not a BOOL, which is true or false"),
        ("INT32", "[1, 1.5]", "rain_hours[1]: 1.5 is not an INT32; send FP64 for fractions and missing values"),
        ("INT32", "[1, null]", "rain_hours[1]: null is not an INT32; send FP64 for fractions and missing values"),
        ("INT8", "[1, 300]", "rain_hours[1]: 300 is not an INT8, which reaches from -128 to 127"),
        ("UINT16", "[1, -1]", f"rain_hours[1]: -1 {UINT16}"),
        ("FP16", "[1, 70000]", f"rain_hours[1]: 70000 is beyond {FP16}"),
        ("FP32", "[1, 1e39]", "rain_hours[1]: 1e+39 is beyond FP32, which reaches to 3.40282e+38"),
        ("FP64", "[1, true]", "rain_hours[1]: True is a truth value; expected a number or null"),
        ("FP64", "[1, NaN]", f"rain_hours[1]: NaN {FOREIGN}"),
        ("FP64", "[1, -Infinity]", f"rain_hours[1]: -Infinity {FOREIGN}"),
        ("FP64", "[1, 1e400]", f"rain_hours[1]: 1e400 {FOREIGN}"),
        ("FP64", "[1, 1%s]" % ("0" * 400), f"rain_hours[1]: 1{'0' * 36}... {EXACTLY}"),
        ("FP64", "[1, 9007199254740993]", f"rain_hours[1]: 9007199254740993 {EXACTLY}"),
        ("INT64", "[1, 9007199254740993]", f"rain_hours[1]: 9007199254740993 {EXACTLY}"),
    ],
)  # fmt: skip
def test_json(served: tuple[ServerProcess, Any], datatype: str, data: str, error: str) -> None:
    assert as_json(served[0], "rain_hours", datatype, data, 2) == error


@pytest.mark.parametrize(
    ("datatype", "data", "error"),
    [
        ("BOOL", b"\1\2", "rain_hours[1]: 2 is not a BOOL, which is true or false"),
        ("FP16", np.array([1.0, np.inf], "<f2").tobytes(), "rain_hours[1]: inf is not a finite number"),
        ("FP32", np.array([1.0, -np.inf], "<f4").tobytes(), "rain_hours[1]: -inf is not a finite number"),
        ("INT64", np.array([1, 2**53 + 1], "<i8").tobytes(),
         f"rain_hours[1]: 9007199254740993 {EXACTLY}"),
        ("UINT64", np.array([1, 2**64 - 1], "<u8").tobytes(),
         f"rain_hours[1]: 18446744073709551615 {EXACTLY}"),
        ("INT32", b"\0\0\0\0\1", "rain_hours: 5 bytes are no whole number of INT32 values"),
    ],
)  # fmt: skip
def test_binary_data_and_raw_grpc(served: tuple[ServerProcess, Any], datatype: str, data: bytes, error: str) -> None:
    assert as_binary(served[0], "rain_hours", datatype, data, 2) == error
    assert as_raw(served[1], "rain_hours", datatype, data, 2) == error


@pytest.mark.parametrize(
    ("datatype", "field", "values", "error"),
    [
        ("INT8", "int_contents", [1, 300], "rain_hours[1]: 300 is not an INT8, which reaches from -128 to 127"),
        ("UINT16", "uint_contents", [1, 70_000], f"rain_hours[1]: 70000 {UINT16}"),
        ("INT64", "int64_contents", [1, 2**53 + 1], f"rain_hours[1]: 9007199254740993 {EXACTLY}"),
        ("FP64", "fp64_contents", [1.0, float("inf")], "rain_hours[1]: inf is not a finite number"),
        ("FP16", "fp32_contents", [1.0, 2.0], "rain_hours: datatype 'FP16' needs raw contents, or is unknown"),
    ],
)  # fmt: skip
def test_grpc(served: tuple[ServerProcess, Any], datatype: str, field: str, values: list[Any], error: str) -> None:
    assert as_contents(served[1], "rain_hours", datatype, field, values) == error


def test_a_missing_value_is_refused_by_row_where_the_column_needs_one(served: tuple[ServerProcess, Any]) -> None:
    error, nan = "hour[1]: missing, but hour must have a value", np.array([1.0, np.nan], "<f8").tobytes()
    assert as_json(served[0], "hour", "FP64", "[1, null]", 2) == error
    assert as_binary(served[0], "hour", "FP64", nan, 2) == error
    assert as_raw(served[1], "hour", "FP64", nan, 2) == error
    assert as_contents(served[1], "hour", "FP64", "fp64_contents", [1.0, float("nan")]) == error


def test_a_matrix_names_row_and_column(served: tuple[ServerProcess, Any]) -> None:
    rows = [list(GOOD.values()), list(GOOD.values())]
    rows[1][FEATURES.index("temp")] = 70_000
    tensor = {"name": "x", "shape": [2, len(FEATURES)], "datatype": "FP16", "data": rows}
    answer = served[0].post(INFER, {"inputs": [tensor]})
    assert answer.json["error"] == f"x[1, {FEATURES.index('temp')}] (temp): 70000 is beyond {FP16}"


@pytest.mark.parametrize("value", [0.1, 16_777_217.0, 1e-40, 3.4e38])
def test_the_same_fp32_gives_the_same_answer_in_every_form(served: tuple[ServerProcess, Any], value: float) -> None:
    server, infer = served
    data = np.array([value], "<f4")
    head = {
        "inputs": [
            {"name": name, "shape": [1], "datatype": "FP32" if name == "pm25" else "FP64", "data": [GOOD[name]]}
            for name in FEATURES
        ]
    }
    head["inputs"][0]["data"] = [value]
    given = server.post(INFER, head).json["outputs"][0]["data"]
    message = pb.ModelInferRequest(model_name="pm25_1h")
    for name in FEATURES:
        tensor = message.inputs.add(name=name, datatype="FP32" if name == "pm25" else "FP64", shape=[1])
        if name == "pm25":
            tensor.contents.fp32_contents.append(value)
        else:
            tensor.contents.fp64_contents.append(GOOD[name])
    by_grpc = pb.ModelInferResponse.FromString(infer(message.SerializeToString(), timeout=20))
    assert list(by_grpc.outputs[0].contents.fp64_contents) == given
    exact = {**GOOD, "pm25": float(data[0])}
    assert server.post(PREDICT, {"instances": [exact]}).json["predictions"] == given


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ("NaN", "instances[1].temp: NaN is no number of JSON that float64 holds; null stands for a missing value"),
        ("1e999", "instances[1].temp: 1e999 is no number of JSON that float64 holds; null stands for a missing value"),
        ("9007199254740993", "instances[1].temp: 9007199254740993 cannot be held exactly in float64"),
        ("true", "instances[1].temp: True is a truth value; expected a number or null"),
        ('"x"', "instances[1].temp: 'x' is text; expected a number or null"),
    ],
)
def test_rows_by_name(served: tuple[ServerProcess, Any], value: str, error: str) -> None:
    body = json.dumps({"instances": [GOOD, GOOD | {"temp": "HERE"}]}).replace('"HERE"', value)
    answer = served[0].request("POST", PREDICT, body.encode(), {"content-type": "application/json"})
    assert (answer.status, answer.json["error"]) == (400, error)

"""Integers that float64 does not have, or that their datatype does not, are refused alike by every way in."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]
import numpy as np
import polars as pl
import pytest

from almanac.core.errors import TableError
from almanac.model.batch import predict_file
from almanac.model.bundle import load_bundle
from serving.protocol.grpc_messages import load_messages
from serving.protocol.grpc_servicer import SERVICE
from tests.support.server import FEATURES, ServerProcess, as_row, free_port

pb = load_messages()
INEXACT = [2**53 + 1, -(2**53) - 1, 2**63 - 1, 2**64 - 1, 10**20 + 1]
EXACT = [2**53, 2**54, -(2**60), 2**63, 7, 0]


@pytest.fixture(scope="module")
def both(model_dir: Path) -> Iterator[tuple[ServerProcess, Any]]:
    """A server with its gRPC method for predictions."""
    port = free_port()
    process = ServerProcess(["--model", str(model_dir), "--grpc-port", str(port), "--cache-size", "0"]).wait()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield (
            process,
            channel.unary_unary(
                f"/{SERVICE}/ModelInfer",
                request_serializer=lambda message: message.SerializeToString(),
                response_deserializer=pb.ModelInferResponse.FromString,
            ),
        )
    process.stop()


def bodies(rows: list[dict[str, object]]) -> dict[str, tuple[str, Any, str]]:
    """The same rows by each way in over JSON: the path, the body, and how it names the temperature of row 1."""
    ordered = [[row[name] for name in FEATURES] for row in rows]
    tensors = [
        {"name": n, "shape": [len(rows)], "datatype": "BYTES" if n == "cbwd" else "FP64", "data": [r[n] for r in rows]}
        for n in FEATURES
    ]
    v1, v2, at = "/v1/models/pm25_1h:predict", "/v2/models/pm25_1h/infer", FEATURES.index("temp")
    return {
        "by name": (v1, {"instances": rows}, "instances[1].temp"),
        "ordered": (v1, {"instances": ordered}, f"instances[1][{at}] (temp)"),
        "table": (v1, {"inputs": {name: [row[name] for row in rows] for name in FEATURES}}, "inputs.temp[1]"),
        "tensors": (v2, {"inputs": tensors}, "temp[1]"),
    }


@pytest.mark.parametrize("way", ["by name", "ordered", "table", "tensors"])
def test_an_integer_that_would_be_rounded_is_refused(
    both: tuple[ServerProcess, Any], feature_rows: np.ndarray, way: str
) -> None:
    server, _ = both
    for value in [*INEXACT, *EXACT]:
        rows = [as_row(feature_rows[0]), {**as_row(feature_rows[1]), "temp": value}]
        path, body, place = bodies(rows)[way]
        answer = server.post(path, body)
        if value in EXACT:
            assert answer.status == 200, answer.body
        else:
            assert (answer.status, answer.json["error"]) == (400, f"{place}: {value} cannot be held exactly in float64")
    path, body, place = bodies([as_row(feature_rows[0]), {**as_row(feature_rows[1]), "temp": 1e300}])[way]
    assert server.post(path, body).status == 200  # no integer, and exact


def test_a_large_request_is_no_way_round(both: tuple[ServerProcess, Any], feature_rows: np.ndarray) -> None:
    server, _ = both
    rows = [as_row(values) for values in feature_rows[:6000]]
    rows[1234]["temp"] = 2**53 + 1
    for way in ("by name", "ordered", "table", "tensors"):
        path, body, place = bodies(rows)[way]
        assert len(json.dumps(body)) > 256 << 10
        answer = server.post(path, body)
        assert (answer.status, place.replace("1]", "1234]", 1) in answer.json["error"]) == (400, True), answer.json


CONTENTS = {"INT8": "int", "INT32": "int", "UINT8": "uint", "UINT16": "uint", "INT64": "int64", "UINT64": "uint64"}


def infer(stub: Any, datatype: str, values: list[int], raw: bool) -> tuple[grpc.StatusCode, str]:
    message = pb.ModelInferRequest(model_name="pm25_1h")
    for name in FEATURES:
        tensor = message.inputs.add(name=name, datatype=datatype if name == "temp" else "FP64", shape=[len(values)])
        if raw:
            dtype = datatype.lower() if name == "temp" else "<f8"
            message.raw_input_contents.append(
                np.array(values if name == "temp" else [1] * len(values), dtype).tobytes()
            )
        elif name == "temp":
            getattr(tensor.contents, f"{CONTENTS[datatype]}_contents").extend(values)
        else:
            tensor.contents.fp64_contents.extend([1.0] * len(values))
    try:
        stub(message, timeout=10)
    except grpc.RpcError as error:
        return error.code(), error.details()
    return grpc.StatusCode.OK, ""


@pytest.mark.parametrize(
    ("datatype", "values", "word"),
    [
        ("UINT64", [2**64 - 1, 2**53 + 1], "temp[0]: 18446744073709551615 cannot be held exactly in float64"),
        ("UINT64", [2**63, 2**53 + 1], "temp[1]: 9007199254740993 cannot be held exactly in float64"),
        ("INT64", [1, -(2**53) - 1], "temp[1]: -9007199254740993 cannot be held exactly in float64"),
        ("INT64", [-(2**63), 2**54], ""),
        ("UINT64", [2**63, 2**53], ""),
        ("INT8", [1, 300], "temp[1]: 300 is not an INT8, which reaches from -128 to 127"),
        ("INT8", [-128, 127], ""),
        ("UINT8", [256, 1], "temp[0]: 256 is not an UINT8, which reaches from 0 to 255"),
        ("UINT16", [1, 65536], "temp[1]: 65536 is not an UINT16, which reaches from 0 to 65535"),
        ("INT32", [2**31 - 1, -(2**31)], ""),
    ],
)
def test_datatypes_hold_over_grpc_as_over_rest(
    both: tuple[ServerProcess, Any], datatype: str, values: list[int], word: str
) -> None:
    server, stub = both
    expected = (grpc.StatusCode.INVALID_ARGUMENT, word) if word else (grpc.StatusCode.OK, "")
    assert infer(stub, datatype, values, raw=False) == expected
    if "not an" not in word:  # else they cannot be written
        assert infer(stub, datatype, values, raw=True) == expected
    tensors = [
        {
            "name": n,
            "shape": [2],
            "datatype": datatype if n == "temp" else "FP64",
            "data": values if n == "temp" else [1, 1],
        }
        for n in FEATURES
    ]
    answer = server.post("/v2/models/pm25_1h/infer", {"inputs": tensors})
    assert (answer.status, answer.json.get("error", "")) == ((400, word) if word else (200, ""))


def test_a_matrix_names_row_and_column(both: tuple[ServerProcess, Any], feature_rows: np.ndarray) -> None:
    server, _ = both
    data = [[1] * len(FEATURES) for _ in range(3)]
    at = FEATURES.index("temp")
    data[2][at] = 2**53 + 1
    tensor = {"name": "rows", "shape": [3, len(FEATURES)], "datatype": "INT64", "data": data}
    answer = server.post("/v2/models/pm25_1h/infer", {"inputs": [tensor]})
    place = f"rows[2, {at}] (temp)"
    assert (answer.status, answer.json["error"]) == (400, f"{place}: {2**53 + 1} cannot be held exactly in float64")


def test_a_file_is_no_way_round(model_dir: Path, tmp_path: Path, feature_rows: np.ndarray) -> None:
    bundle = load_bundle(model_dir)
    table = pl.DataFrame(feature_rows[:5], schema=list(FEATURES))
    for temp, fits in (([1, 2, None, 2**54, 5], True), ([1, 2, None, 2**53 + 1, 5], False)):
        source = tmp_path / "rows.parquet"
        table.with_columns(pl.Series("temp", temp, dtype=pl.Int64)).write_parquet(source)
        if fits:
            assert predict_file(bundle, source, tmp_path / "out.parquet") == 5
        else:
            with pytest.raises(TableError, match=r"rows.parquet: row 3, temp: 9007199254740993 cannot be held exactly"):
                predict_file(bundle, source, tmp_path / "out.parquet")

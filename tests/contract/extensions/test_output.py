"""A further output is one field and the line that computes it: every protocol, log, table and document follows."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]
import numpy as np
import polars as pl
import pytest

from almanac.model.batch import predict_file
from almanac.model.bundle import Bundle
from almanac.model.model import Model
from almanac.model.prediction import Number, Output, Prediction, Predictions, Row, Text, output, outputs
from almanac.model.predictor import Rows
from serving.build import Server, build, grpc_calls
from serving.features.records import EntityRequest
from serving.protocol.grpc_messages import load_messages
from serving.protocol.grpc_servicer import SERVICE
from serving.runtime.http import Request
from serving.settings import Settings
from serving.transport.grpc_listener import GRPCOptions, start_grpc
from tests.support.server import FEATURES, as_row

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@dataclass(slots=True)
class WithMedian(Prediction[Number, Text]):
    """A forecast with its median: the one declaration."""

    median: Number | None = field(default=None, metadata=output("median", "FP64", "medians"))


class MedianModel(Model):
    """A model that computes it."""

    @cached_property
    def outputs(self) -> tuple[Output, ...]:
        return (*super().outputs, outputs(WithMedian)[-1])

    def predict(self, rows: Rows | np.ndarray) -> Predictions:
        base = super().predict(rows)
        return WithMedian(base.prediction, base.lower, base.upper, base.decision, base.prediction + 1)

    def row(self, values: np.ndarray | Sequence[float | None], entity: str | None = None) -> Row:
        base = super().row(values, entity)
        return WithMedian(base.prediction, base.lower, base.upper, base.decision, base.prediction + 1)


def extended(bundle: Bundle) -> Bundle:
    """The same models, with the further output."""
    models: dict[str, Model] = {
        name: MedianModel(**{one.name: getattr(model, one.name) for one in fields(model)})
        for name, model in bundle.targets.items()
    }
    return replace(bundle, targets=models)


@pytest.fixture
def server(model_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    import logging

    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    monkeypatch.setattr(logging.getLogger(), "level", logging.WARNING)
    server = build(Settings([str(model_dir)], drift_seconds=0, prediction_log=str(tmp_path / "log")))
    server.repository.swap(extended(server.repository.traffic.primary))
    yield server
    asyncio.run(server.close())


def ask(server: Server, path: str, body: dict[str, Any] | None = None) -> Any:
    method = "GET" if body is None else "POST"
    match = server.app.router.find(method, path)
    request = Request(method, path, {}, "local", json.dumps(body).encode() if body else b"", model=match.model)
    return json.loads(asyncio.run(match.route.handler(request)).body)


@pytest.mark.parametrize("count", [1, 3, 200])
def test_v1_answers_it_as_a_column_of_its_own(server: Server, feature_rows: np.ndarray, count: int) -> None:
    answer = ask(server, "/v1/models/pm25_1h:predict", {"instances": [as_row(row) for row in feature_rows[:count]]})
    assert answer["medians"] == [value + 1 for value in answer["predictions"]]
    assert list(answer)[:4] == ["predictions", "intervals", "signals", "medians"]


def test_v1_of_the_use_case_answers_it_in_each_object(server: Server, feature_rows: np.ndarray) -> None:
    answer = ask(server, "/v1/models/air:predict", {"instances": [as_row(row) for row in feature_rows[:2]]})
    for row in answer["predictions"]:
        assert all(one["median"] == one["prediction"] + 1 for one in row.values())


def test_v2_answers_and_describes_it(server: Server, feature_rows: np.ndarray) -> None:
    described = {one["name"]: one["datatype"] for one in ask(server, "/v2/models/air")["outputs"]}
    assert described["pm25_1h.median"] == "FP64"
    tensor = {"name": "x", "shape": [2, len(FEATURES)], "datatype": "FP64", "data": feature_rows[:2].ravel().tolist()}
    body = {"inputs": [tensor], "outputs": [{"name": "prediction"}, {"name": "median"}]}
    predicted, median = ask(server, "/v2/models/pm25_1h/infer", body)["outputs"]
    assert median["data"] == [value + 1 for value in predicted["data"]]


def test_grpc_answers_it(server: Server, feature_rows: np.ndarray) -> None:
    pb = load_messages()
    message = pb.ModelInferRequest(model_name="pm25_1h")
    item = message.inputs.add(name="x", shape=[1, len(FEATURES)], datatype="FP64")
    item.contents.fp64_contents.extend(feature_rows[0].tolist())

    async def call() -> Any:
        listener, port = await start_grpc(grpc_calls(server), GRPCOptions("127.0.0.1", 0, 1 << 20, False, None))
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            answer = await channel.unary_unary(f"/{SERVICE}/ModelInfer")(message.SerializeToString())
        await listener.stop(0)
        return pb.ModelInferResponse.FromString(answer)

    values = {one.name: list(one.contents.fp64_contents) for one in asyncio.run(call()).outputs}
    assert values["median"] == [values["prediction"][0] + 1]


def test_openapi_describes_it(server: Server) -> None:
    schema = ask(server, "/openapi.json")["components"]["schemas"]["Predictions"]
    assert schema["properties"]["medians"] == {"type": "array", "items": {"type": "number"}}


def test_the_prediction_log_keeps_it(server: Server, feature_rows: np.ndarray, tmp_path: Path) -> None:
    bundle = server.repository.traffic.primary
    model = bundle.targets["pm25_1h"]
    row = model.row(feature_rows[0].tolist())
    logs = server.service._logs
    assert logs is not None
    logs.put(bundle, model, EntityRequest("instances[0]", None, "2014-01-01T00:00:00", None), row)
    logs.close()
    line = json.loads(next((tmp_path / "log").rglob("*.jsonl")).read_text())
    assert line["median"] == line["prediction"] + 1


def test_batch_prediction_writes_it(server: Server, feature_rows: np.ndarray, tmp_path: Path) -> None:
    table = pl.DataFrame({name: feature_rows[:5, at] for at, name in enumerate(FEATURES)})
    table.write_parquet(tmp_path / "rows.parquet")
    predict_file(server.repository.traffic.primary, tmp_path / "rows.parquet", tmp_path / "predicted.parquet")
    predicted = pl.read_parquet(tmp_path / "predicted.parquet")
    assert predicted["pm25_1h_median"].to_list() == [value + 1 for value in predicted["pm25_1h_prediction"]]

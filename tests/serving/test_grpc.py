"""gRPC: kserve's messages and client against the same guard and predictions."""

import os
import random
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]
import numpy as np
import pytest

from serving.rpc.messages import load_messages
from serving.rpc.servicer import SERVICE
from tests.serving.conftest import FEATURES, ServerProcess, Start, as_row, free_port

pb = load_messages()


@pytest.fixture(scope="module")
def served(model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ServerProcess, Any, str]]:
    import subprocess
    import sys

    keys = tmp_path_factory.mktemp("keys") / "keys.json"
    create = [
        sys.executable,
        "-m",
        "serving",
        "keys",
        "--keys",
        str(keys),
        "create",
        "--name",
        "t",
        "--scopes",
        "predict",
    ]
    key = subprocess.run(create, capture_output=True, text=True, check=True).stdout.split()[0]
    port = free_port()
    arguments = ["--model", str(model_dir), "--grpc-port", str(port), "--auth", "required", "--keys", str(keys)]
    process = ServerProcess([*arguments, "--rate-limit", "200/m"]).wait()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield process, channel, key
    process.stop()


def call(channel: Any, method: str, message: Any, answer: Any, key: str | None = None) -> tuple[Any, dict[str, str]]:
    stub = channel.unary_unary(
        f"/{SERVICE}/{method}",
        request_serializer=lambda m: m.SerializeToString(),
        response_deserializer=answer.FromString,
    )
    reply, ended = stub.with_call(message, metadata=(("x-api-key", key),) if key else (), timeout=10)
    return reply, dict(ended.trailing_metadata())


def infer_message(X: np.ndarray, raw: bool) -> Any:
    message = pb.ModelInferRequest(model_name="pm25_1h", id="q")
    for name in reversed(FEATURES):
        values = X[:, FEATURES.index(name)]
        tensor = message.inputs.add(name=name, datatype="FP64", shape=[len(X)])
        if raw:
            message.raw_input_contents.append(values.astype("<f8").tobytes())
        else:
            tensor.contents.fp64_contents.extend(values.tolist())
    return message


@pytest.mark.parametrize("raw", [False, True])
def test_infer_equals_rest(served: tuple[ServerProcess, Any, str], feature_rows: np.ndarray, raw: bool) -> None:
    process, channel, key = served
    X = feature_rows[:9]
    answer, trailing = call(channel, "ModelInfer", infer_message(X, raw), pb.ModelInferResponse, key)
    rows = {"instances": [as_row(values) for values in X]}
    expected = process.post("/v1/models/pm25_1h:predict", rows, {"x-api-key": key}).json["predictions"]
    assert answer.outputs[0].name == "prediction"
    if raw:
        assert np.frombuffer(answer.raw_output_contents[0], "<f8").tolist() == expected
    else:
        assert list(answer.outputs[0].contents.fp64_contents) == expected
    assert answer.id == "q"
    assert "x-ratelimit-remaining" in trailing
    assert re.fullmatch(r"[0-9a-f]+", trailing["x-request-id"])


def test_health_needs_no_key_and_the_rest_does(served: tuple[ServerProcess, Any, str]) -> None:
    _, channel, key = served
    assert call(channel, "ServerLive", pb.ServerLiveRequest(), pb.ServerLiveResponse)[0].live
    assert call(channel, "ServerReady", pb.ServerReadyRequest(), pb.ServerReadyResponse)[0].ready
    unload = pb.RepositoryModelUnloadRequest(model_name="pm25_1h")
    with pytest.raises(grpc.RpcError) as none:
        call(channel, "RepositoryModelUnload", unload, pb.RepositoryModelUnloadResponse)
    assert none.value.code() is grpc.StatusCode.UNAUTHENTICATED
    with pytest.raises(grpc.RpcError) as lacking:
        call(channel, "RepositoryModelUnload", unload, pb.RepositoryModelUnloadResponse, key)
    assert lacking.value.code() is grpc.StatusCode.PERMISSION_DENIED
    with pytest.raises(grpc.RpcError) as predict:
        call(channel, "ModelInfer", infer_message(np.zeros((1, len(FEATURES))), True), pb.ModelInferResponse)
    assert predict.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_errors_have_their_codes(served: tuple[ServerProcess, Any, str], feature_rows: np.ndarray) -> None:
    _, channel, key = served
    message = infer_message(feature_rows[:2], False)
    message.model_name = "other"
    with pytest.raises(grpc.RpcError) as unknown:
        call(channel, "ModelInfer", message, pb.ModelInferResponse, key)
    assert unknown.value.code() is grpc.StatusCode.NOT_FOUND
    short = infer_message(feature_rows[:2], False)
    del short.inputs[0]
    with pytest.raises(grpc.RpcError) as missing:
        call(channel, "ModelInfer", short, pb.ModelInferResponse, key)
    assert missing.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "hour" in missing.value.details()


def test_metadata(served: tuple[ServerProcess, Any, str]) -> None:
    _, channel, key = served
    request = pb.ModelMetadataRequest(name="pm25_1h")
    answer, _ = call(channel, "ModelMetadata", request, pb.ModelMetadataResponse, key)
    assert [item.name for item in answer.inputs] == list(FEATURES)


def test_mutated_messages_are_answered(start: Start, feature_rows: np.ndarray) -> None:
    """Real messages with bytes changed, cut out or doubled: a fault of the client's, never one of the server's."""
    port, rng = free_port(), random.Random(5)
    server = start("--grpc-port", str(port))
    seeds = [infer_message(feature_rows[:2], raw).SerializeToString() for raw in (False, True)]
    codes: Counter[grpc.StatusCode] = Counter()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = channel.unary_unary(f"/{SERVICE}/ModelInfer")
        for _ in range(int(os.environ.get("ALMANAC_FUZZ", "1000")) // 3):
            data = bytearray(rng.choice(seeds))
            for _ in range(rng.randint(1, 4)):
                at = rng.randrange(len(data))
                kind = rng.randrange(3)
                if kind == 0:
                    data[at] = rng.randrange(256)
                elif kind == 1:
                    del data[at : at + rng.randint(1, 40)]
                else:
                    data[at:at] = data[at : at + rng.randint(1, 40)]
            try:
                stub(bytes(data), timeout=10)
                codes[grpc.StatusCode.OK] += 1
            except grpc.RpcError as error:
                codes[error.code()] += 1
                assert error.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND), error.details()
    assert codes[grpc.StatusCode.INVALID_ARGUMENT] > 100
    assert server.get("/healthz").status == 200

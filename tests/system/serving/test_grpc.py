"""gRPC: kserve's messages and client against the same guard and predictions."""

import asyncio
import logging
import os
import random
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import grpc  # type: ignore[import-untyped]
import numpy as np
import pytest
from prometheus_client import generate_latest

from serving.build import build, grpc_calls
from serving.protocol.grpc_messages import load_messages
from serving.protocol.grpc_servicer import SERVICE
from serving.settings import Settings
from serving.transport.grpc_listener import GRPCOptions, start_grpc
from tests.support.server import FEATURES, ServerProcess, Start, as_row, free_port
from tests.system.serving.test_admission import memory
from tests.system.serving.test_fuzz import LEAK
from tests.system.serving.test_security import create

pb = load_messages()


@pytest.fixture(scope="module")
def served(model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ServerProcess, Any, str]]:
    keys = tmp_path_factory.mktemp("keys") / "keys.json"
    key = create(keys, "predict")
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


class Refused(NamedTuple):
    """An answer that is an error."""

    code: grpc.StatusCode
    details: str
    trailing: dict[str, str]


def refused(channel: Any, method: str, message: Any, answer: Any, key: str | None = None) -> Refused:
    with pytest.raises(grpc.RpcError) as raised:
        call(channel, method, message, answer, key)
    return Refused(raised.value.code(), raised.value.details(), dict(raised.value.trailing_metadata()))


def test_the_limit_is_told_and_kept(start: Start, tmp_path: Path, feature_rows: np.ndarray) -> None:
    keys, port = tmp_path / "keys.json", free_port()
    key = create(keys, "predict", "--rate", "4/h")
    arguments = ("--grpc-port", str(port), "--auth", "required", "--keys", str(keys), "--rate-limit", "3/h")
    server = start(*arguments)
    good, bad = infer_message(feature_rows[:1], True), infer_message(feature_rows[:1], True)
    bad.model_name = "other"
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        trailing = call(channel, "ModelInfer", good, pb.ModelInferResponse, key)[1]
        assert (trailing["x-ratelimit-limit"], trailing["x-ratelimit-remaining"]) == ("4", "3")
        unknown = refused(channel, "ModelInfer", bad, pb.ModelInferResponse, key)
        assert (unknown.code, unknown.trailing["x-ratelimit-remaining"]) == (grpc.StatusCode.NOT_FOUND, "2")
        unload = pb.RepositoryModelUnloadRequest(model_name="pm25_1h")
        lacking = refused(channel, "RepositoryModelUnload", unload, pb.RepositoryModelUnloadResponse, key)
        assert (lacking.code, lacking.trailing["x-ratelimit-remaining"]) == (grpc.StatusCode.PERMISSION_DENIED, "1")
        call(channel, "ModelInfer", good, pb.ModelInferResponse, key)
        many = refused(channel, "ModelInfer", good, pb.ModelInferResponse, key)
        assert many.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert many.details == "rate limit of 4 requests in 3600 s reached"
        assert (many.trailing["x-ratelimit-remaining"], 0 < int(many.trailing["retry-after"]) <= 900) == ("0", True)
        assert many.trailing["x-request-id"]
        assert server.post("/v1/models/air:predict", {}, {"x-api-key": key}).status == 429  # one bucket for both
        without = [refused(channel, "ModelInfer", good, pb.ModelInferResponse).code for _ in range(2)]
        call(channel, "ServerMetadata", pb.ServerMetadataRequest(), pb.ServerMetadataResponse)
        without.append(refused(channel, "ServerMetadata", pb.ServerMetadataRequest(), pb.ServerMetadataResponse).code)
        assert without == [grpc.StatusCode.UNAUTHENTICATED] * 2 + [grpc.StatusCode.RESOURCE_EXHAUSTED]
        assert server.get("/v2").status == 429
        assert call(channel, "ServerReady", pb.ServerReadyRequest(), pb.ServerReadyResponse)[0].ready


def test_an_admin_loads_and_unloads(start: Start, tmp_path: Path, model_dir: Path, feature_rows: np.ndarray) -> None:
    keys, port, copy = tmp_path / "keys.json", free_port(), tmp_path / "model"
    key = create(keys, "admin")
    shutil.copytree(model_dir, copy)
    server = start("--grpc-port", str(port), "--auth", "required", "--keys", str(keys), model=copy)
    infer, admin = infer_message(feature_rows[:1], True), {"x-api-key": key}

    def ready(channel: Any) -> bool:
        request = pb.ModelReadyRequest(name="pm25_1h")
        return bool(call(channel, "ModelReady", request, pb.ModelReadyResponse)[0].ready)

    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        unload = pb.RepositoryModelUnloadRequest(model_name="pm25_1h")
        load = pb.RepositoryModelLoadRequest(model_name="pm25_1h")
        assert call(channel, "RepositoryModelUnload", unload, pb.RepositoryModelUnloadResponse, key)[0].isUnloaded
        gone = refused(channel, "ModelInfer", infer, pb.ModelInferResponse, key)
        assert (gone.code, gone.trailing["retry-after"], ready(channel)) == (grpc.StatusCode.UNAVAILABLE, "1", False)
        assert server.get("/v2/models/pm25_1h/ready").status == 503
        body = copy / "pm25_1h" / "model.bst"
        whole = body.read_bytes()
        body.write_bytes(whole.replace(b"leaf_value=", b"leaf_value=9", 1))
        failed = refused(channel, "RepositoryModelLoad", load, pb.RepositoryModelLoadResponse, key)
        rest = server.post("/v2/repository/models/pm25_1h/load", b"", admin)
        assert (failed.code, rest.status) == (grpc.StatusCode.UNAVAILABLE, 503)
        assert failed.details == rest.json["error"]
        assert "altered" in failed.details
        assert not ready(channel)
        body.write_bytes(whole)
        assert call(channel, "RepositoryModelLoad", load, pb.RepositoryModelLoadResponse, key)[0].isLoaded
        assert ready(channel)
        assert call(channel, "ModelInfer", infer, pb.ModelInferResponse, key)[0].outputs
        other = pb.RepositoryModelLoadRequest(model_name="other")
        nobody = refused(channel, "RepositoryModelLoad", other, pb.RepositoryModelLoadResponse, key)
        assert nobody.code is grpc.StatusCode.NOT_FOUND


def test_a_version_is_ready_only_where_it_is_served(served: tuple[ServerProcess, Any, str]) -> None:
    process, channel, key = served
    named = pb.ModelMetadataRequest(name="pm25_1h")
    (version,) = call(channel, "ModelMetadata", named, pb.ModelMetadataResponse, key)[0].versions
    request = pb.ModelReadyRequest(name="pm25_1h", version=version)
    assert call(channel, "ModelReady", request, pb.ModelReadyResponse)[0].ready
    for name, other in (("pm25_1h", "999"), ("other", "")):
        request = pb.ModelReadyRequest(name=name, version=other)
        assert refused(channel, "ModelReady", request, pb.ModelReadyResponse).code is grpc.StatusCode.NOT_FOUND
    assert process.get("/v2/models/pm25_1h/versions/999/ready").status == 404


def test_tls(start: Start, tls_files: tuple[Path, Path], feature_rows: np.ndarray) -> None:
    port = free_port()
    server = start("--grpc-port", str(port), tls=tls_files)
    trusted = grpc.ssl_channel_credentials(tls_files[0].read_bytes())
    with grpc.secure_channel(f"localhost:{port}", trusted) as channel:
        answer, _ = call(channel, "ModelInfer", infer_message(feature_rows[:1], True), pb.ModelInferResponse)
    rest = server.post("/v1/models/pm25_1h:predict", {"instances": [as_row(feature_rows[0])]})
    assert np.frombuffer(answer.raw_output_contents[0], "<f8").tolist() == rest.json["predictions"]
    live = ("ServerLive", pb.ServerLiveRequest(), pb.ServerLiveResponse)
    with grpc.insecure_channel(f"localhost:{port}") as channel:
        assert refused(channel, *live).code is grpc.StatusCode.UNAVAILABLE
    with grpc.secure_channel(f"localhost:{port}", grpc.ssl_channel_credentials()) as channel:
        assert refused(channel, *live).code is grpc.StatusCode.UNAVAILABLE


def test_a_fault_is_counted_as_one(
    model_dir: Path, feature_rows: np.ndarray, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """An error that nobody foresaw is a 500 in the metrics, and tells the client nothing but where the log has it."""
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    monkeypatch.setattr(logging.getLogger(), "level", logging.WARNING)
    server = build(Settings([str(model_dir)], grpc_port=0, drift_seconds=0))

    async def broken(*_: Any) -> Any:
        raise ZeroDivisionError("secret")

    async def run() -> tuple[grpc.aio.AioRpcError, str]:
        listener, port = await start_grpc(grpc_calls(server), GRPCOptions("127.0.0.1", 0, 1 << 20, False, None))
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            method = channel.unary_unary(f"/{SERVICE}/ModelInfer")
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await method(infer_message(feature_rows[:1], True).SerializeToString())
        await listener.stop(None)
        await server.close()
        return raised.value, generate_latest(server.metrics.registry).decode()

    monkeypatch.setattr(server.service, "predict", broken)
    error, metrics = asyncio.run(run())
    assert error.code() is grpc.StatusCode.INTERNAL
    identity = dict(error.trailing_metadata())["x-request-id"]
    assert error.details() == f"internal error; the log has it under the request id {identity}"
    assert re.search(r'almanac_requests_total\{code="500",[^}]*protocol="grpc"[^}]*\} 1.0', metrics)
    assert 'code="200"' not in metrics
    logged = capfd.readouterr().err
    assert identity in logged
    assert "ZeroDivisionError: secret" in logged


def test_mutated_messages_are_answered(start: Start, feature_rows: np.ndarray) -> None:
    """Real messages with bytes changed, cut out or doubled: a fault of the client's, never one of the server's."""
    port, rng = free_port(), random.Random(5)
    server = start("--grpc-port", str(port), "--access-log", "off")
    seeds = [infer_message(feature_rows[:2], raw).SerializeToString() for raw in (False, True)]
    codes: Counter[grpc.StatusCode] = Counter()
    before = 0
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = channel.unary_unary(f"/{SERVICE}/ModelInfer")
        count = int(os.environ.get("ALMANAC_FUZZ", "1000")) // 3
        for number in range(count):
            if number == count // 4:
                before = memory(server)
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
    grown = memory(server) - before
    print(f"gRPC: {codes.total()} messages, {dict(codes)}, {grown >> 10} KiB more")
    assert grown < LEAK
    assert codes[grpc.StatusCode.INVALID_ARGUMENT] > 100
    assert server.get("/healthz").status == 200

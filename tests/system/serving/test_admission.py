"""Admission: key, rate and size are judged from head and length alone, whatever is behind them."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]
import pytest
from grpc_health.v1 import health_pb2  # type: ignore[import-untyped]
from grpc_reflection.v1alpha import reflection_pb2  # type: ignore[import-untyped]

from serving.protocol.grpc_messages import load_messages
from serving.protocol.grpc_servicer import SERVICE
from serving.protocol.grpc_wire import MOST_FIELDS, MOST_PARTS, count_objects
from serving.runtime.errors import HTTPError
from tests.support.server import ServerProcess, Start, free_port, wait_for
from tests.system.serving.test_security import create

pb = load_messages()
MEGABYTE = 1 << 20


def memory(process: ServerProcess, field: str = "VmRSS") -> int:
    """Bytes of memory that a server holds now, or held at most (VmHWM)."""
    lines = Path(f"/proc/{process.process.pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field)).split()[1]) * 1024


def settled(process: ServerProcess) -> int:
    """Bytes that a server holds once its background has opened what it opens: no longer growing."""
    sizes = [0]

    def still() -> bool:
        sizes.append(memory(process))
        return len(sizes) > 8 and max(sizes[-8:]) - min(sizes[-8:]) < MEGABYTE // 4

    wait_for(still, pause=0.25)
    return sizes[-1]


@pytest.fixture(scope="module")
def guarded(model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ServerProcess, int, str]]:
    keys = tmp_path_factory.mktemp("admission") / "keys.json"
    key, port = create(keys, "predict"), free_port()
    arguments = ["--model", str(model_dir), "--grpc-port", str(port), "--auth", "required", "--keys", str(keys)]
    process = ServerProcess([*arguments, "--max-message", str(16 * MEGABYTE)]).wait()
    yield process, port, key
    process.stop()


def infer(port: int, data: bytes, key: str | None = None) -> grpc.RpcError:
    """The error of a raw ModelInfer message."""
    options = [("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(f"127.0.0.1:{port}", options) as channel, pytest.raises(grpc.RpcError) as raised:
        method = channel.unary_unary(f"/{SERVICE}/ModelInfer")
        method(data, metadata=(("x-api-key", key),) if key else (), timeout=30)
    return raised.value


def test_a_message_without_a_key_is_not_received(guarded: tuple[ServerProcess, int, str]) -> None:
    process, port, _ = guarded
    assert infer(port, b"\x2a\x00", None).code() is grpc.StatusCode.UNAUTHENTICATED
    before = settled(process)
    for _ in range(3):
        assert infer(port, b"\x2a\x00" * (8 * MEGABYTE - 64)).code() is grpc.StatusCode.UNAUTHENTICATED
    assert memory(process, "VmHWM") - before < 8 * MEGABYTE


def test_a_message_is_bounded_in_objects(guarded: tuple[ServerProcess, int, str]) -> None:
    process, port, key = guarded
    before = settled(process)
    for data in (b"\x2a\x00" * (2 * MEGABYTE), b"\x3a\x00" * (2 * MEGABYTE)):
        error = infer(port, data, key)
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert f"{MOST_PARTS} tensors" in error.details()
    assert memory(process, "VmHWM") - before < 32 * MEGABYTE


def counted(data: bytes) -> None:
    for _ in count_objects(data):
        pass


def test_objects_are_counted_wherever_they_are() -> None:
    def nested(number: int, inner: bytes) -> bytes:
        return bytes([number << 3 | 2]) + len(inner).to_bytes(1, "little") + inner

    whole = pb.ModelInferRequest(model_name="m", raw_input_contents=[b"x" * 300])
    tensor = whole.inputs.add(name="a", datatype="FP64", shape=[3])
    tensor.contents.fp64_contents.extend([1.0, 2.0, 3.0])
    tensor.parameters["p"].int64_param = -1
    counted(whole.SerializeToString())
    contents = nested(5, b"\x42\x00" * 50)  # a tensor's contents with fifty empty texts
    for data in (
        nested(4, b"") * (MOST_PARTS + 1),
        nested(5, nested(4, b"") * 60) * (MOST_PARTS // 60),
        nested(5, contents) * (MOST_FIELDS // 50),
        b"\x3a\x00" * (MOST_FIELDS + 1),
    ):
        with pytest.raises(HTTPError, match="more than"):
            counted(data)
    whole.inputs.add(name="b", datatype="INT64", shape=[600_000]).contents.int64_contents.extend([1] * 600_000)
    with pytest.raises(HTTPError, match="bytes of whole numbers"):
        counted(whole.SerializeToString())
    for torn in (b"\x2a\x05\x00", b"\x2a" + b"\xff" * 11, b"\x0b", b"\x09\x00", b"\x08"):
        with pytest.raises(HTTPError, match="not a ModelInferRequest"):
            counted(torn)


def test_a_long_message_is_only_for_rows(guarded: tuple[ServerProcess, int, str]) -> None:
    _, port, _ = guarded
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel, pytest.raises(grpc.RpcError) as raised:
        channel.unary_unary(f"/{SERVICE}/ServerLive")(b"\x2a\x00" * MEGABYTE, timeout=30)
    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "at most 16384" in raised.value.details()


def _never() -> Iterator[bytes]:
    time.sleep(5)
    yield b""


def test_a_message_that_does_not_come_is_not_waited_for(start: Start) -> None:
    port = free_port()
    start("--grpc-port", str(port), "--body-seconds", "0.3")
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        method = channel.stream_unary(f"/{SERVICE}/ModelInfer")
        with pytest.raises(grpc.RpcError) as late:
            method(_never(), timeout=4)
        assert late.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert late.value.details() == "the message did not arrive within 0.3 s"
        with pytest.raises(grpc.RpcError) as none:
            method(iter(()), timeout=4)
        assert (none.value.code(), none.value.details()) == (grpc.StatusCode.INVALID_ARGUMENT, "there is no message")


def test_what_no_route_answers_takes_a_token(start: Start) -> None:
    port = free_port()
    server = start("--rate-limit", "8/h", "--cors", "https://example.org", "--grpc-port", str(port))
    preflight = {"origin": "https://example.org", "access-control-request-method": "POST"}
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        for service in ("nothing.Here", SERVICE):
            with pytest.raises(grpc.RpcError) as unknown:
                channel.unary_unary(f"/{service}/Nothing")(b"", timeout=10)
            assert unknown.value.code() is grpc.StatusCode.UNIMPLEMENTED
    asked = [("GET", "/nothing", {}), ("DELETE", "/v2", {}), ("OPTIONS", "/v2", preflight), ("OPTIONS", "/v2", {})] * 2
    answers = [server.request(method, path, None, headers) for method, path, headers in asked]
    assert [answer.status for answer in answers] == [404, 405, 204, 403, 404, 405, 429, 429]
    assert [answer.headers["x-ratelimit-remaining"] for answer in answers] == [*"543210", "0", "0"]
    assert server.get("/healthz").status == 200


def test_health_and_reflection_are_the_standard_services(guarded: tuple[ServerProcess, int, str]) -> None:
    process, port, _ = guarded
    serving, not_serving = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check", lambda m: m.SerializeToString(), health_pb2.HealthCheckResponse.FromString
        )
        for name in ("", SERVICE, "air", "pm25_1h"):
            assert check(health_pb2.HealthCheckRequest(service=name), timeout=10).status == serving
        with pytest.raises(grpc.RpcError) as unknown:
            check(health_pb2.HealthCheckRequest(service="other"), timeout=10)
        assert unknown.value.code() is grpc.StatusCode.NOT_FOUND
        reflect = channel.stream_stream(
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
            lambda m: m.SerializeToString(),
            reflection_pb2.ServerReflectionResponse.FromString,
        )
        asked = [
            reflection_pb2.ServerReflectionRequest(list_services=""),
            reflection_pb2.ServerReflectionRequest(file_containing_symbol=SERVICE),
        ]
        listed, described = reflect(iter(asked), timeout=10)
        names = {one.name for one in listed.list_services_response.service}
        assert names == {SERVICE, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}
        assert described.file_descriptor_response.file_descriptor_proto
        with pytest.raises(grpc.RpcError) as long:
            list(reflect(iter([reflection_pb2.ServerReflectionRequest(file_by_filename="x" * 20_000)]), timeout=10))
        assert long.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert not_serving != serving
    text = process.get("/metrics").body.decode()
    assert 'protocol="grpc",verb="HealthCheck"' in text


def test_a_watch_sees_a_model_go_and_come_and_ends_with_the_server(start: Start, tmp_path: Path) -> None:
    port = free_port()
    server = start("--grpc-port", str(port))
    seen: list[int] = []
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        watch = channel.unary_stream(
            "/grpc.health.v1.Health/Watch", lambda m: m.SerializeToString(), health_pb2.HealthCheckResponse.FromString
        )
        stream: Any = watch(health_pb2.HealthCheckRequest(service="pm25_1h"), timeout=60)
        kinds = health_pb2.HealthCheckResponse
        for verb, expected in (("", kinds.SERVING), ("unload", kinds.NOT_SERVING), ("load", kinds.SERVING)):
            if verb:
                assert server.post(f"/v2/repository/models/pm25_1h/{verb}", b"").status == 200
            seen.append(next(stream).status)
            assert seen[-1] == expected
        server.process.terminate()
        assert next(stream).status == kinds.NOT_SERVING
    wait_for(lambda: server.process.poll() is not None)
    assert server.process.returncode == 0

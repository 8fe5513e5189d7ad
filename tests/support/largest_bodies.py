"""The largest body that each route allows, in the forms that cost most, and a probe beside them."""

import contextlib
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import yaml

from serving.protocol.grpc_messages import load_messages
from serving.protocol.grpc_servicer import SERVICE
from tests.support.server import FEATURES, ROOT, ServerProcess

BODY = 16 << 20
#: Version that the bodies ask for.
VERSION = "7"
MESSAGE = (2 << 20) - 256
RUNTIME = ROOT / "serving/deploy/kustomize/base/servingruntime.yaml"
ROWS = 10_000
ROW: dict[str, object] = dict.fromkeys(FEATURES, 1.5) | {"hour": 1.0, "cbwd": "NW"}
_JSON = {"content-type": "application/json"}

Make = Callable[[], bytes]


@dataclass(frozen=True)
class Body:
    """One body.

    Attributes:
        name: what it is.
        path: where it is posted.
        make: returns the bytes; those of all bodies together are more than half a gigabyte.
        headers: its headers.
    """

    name: str
    path: str
    make: Make
    headers: dict[str, str]


def _filled(head: bytes, item: bytes, tail: bytes, size: int = BODY) -> Make:
    """Return what makes a list of as many items as fit."""
    count = (size - len(head) - len(tail)) // (len(item) + 1)
    return lambda: head + b",".join([item] * count) + tail


def _json(document: Any) -> bytes:
    return json.dumps(document).encode()


def _rows(rows: list[Any]) -> Make:
    return partial(_json, {"instances": rows})


def _padded(document: Any) -> bytes:
    """Return a JSON object as large as is allowed, by blanks between its rows."""
    data = _json(document)
    return data.replace(b", {", b"," + b" " * ((BODY - len(data)) // ROWS) + b"{")


def _binary(datatype: str, shape: list[int], size: int, path: str) -> Body:
    item = {"name": "x", "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": size}}
    head = _json({"inputs": [item]})
    headers = {"content-type": "application/octet-stream", "inference-header-content-length": str(len(head))}
    return Body("binary " + datatype, path, lambda: head + bytes(size), headers)


def bodies(model: str = "air", target: str = "pm25_1h") -> Iterator[Body]:
    """Yield the bodies of every route that takes one."""
    moment = {"entity": "default", "time": "2014-01-01T00:00:00"}
    history = {name: [1.0] * 30 for name in FEATURES if "_lag" not in name and name != "hour"}
    history["cbwd"] = ["NW"] * 30  # type: ignore[list-item]
    history["pres"] = [1000.0] * 30
    for verb in ("predict", "explain"):
        path = f"/v1/models/{model}:{verb}"
        forms: dict[str, Make] = {
            "rows by name": partial(_padded, {"instances": [ROW] * ROWS}),
            "ordered rows": _rows([list(ROW.values())] * ROWS),
            "columns": partial(_json, {"inputs": {name: [value] * ROWS for name, value in ROW.items()}}),
            "moments": _rows([moment] * ROWS),
            "histories": _rows([{"time": "2014-01-01T00:00:00", "history": history}] * 4000),
            "lists": _filled(b'{"instances":[', b"[1]", b"]}"),
            "empty rows": _filled(b'{"instances":[', b"{}", b"]}"),
            "long column": _filled(b'{"inputs":{"temp":[', b"1", b"]}}"),
            "texts": _filled(b'{"inputs":{"cbwd":[', b'"NW"', b"]}}"),
            "another form": _filled(b'{"x":[', b"[]", b"]}"),
            "one row": lambda: b'{"instances":[' + b"[" * (BODY - 100),
        }
        for name, make in forms.items():
            yield Body(f"{verb} {name}", path, make, _JSON)
    yield Body(
        "predict blanks", f"/v1/models/{target}:predict", lambda: b'{"instances":[{' + b" " * (BODY - 100), _JSON
    )
    yield Body("steps", f"/v1/models/{model}:steps", _filled(b'{"instances":[', b"[1]", b"]}"), _JSON)
    infer = f"/v2/models/{target}/infer"
    inputs = [{"name": name, "datatype": "FP64", "shape": [ROWS], "data": [1.5] * ROWS} for name in FEATURES]
    inputs[FEATURES.index("cbwd")] |= {"datatype": "BYTES", "data": ["NW"] * ROWS}
    tensors = partial(_json, {"inputs": inputs})
    tensor = b'{"inputs":[{"name":"temp","datatype":"FP64","shape":[1000000,1],"data":['
    nested = _filled(tensor, b"[1]", b"]}]}")
    yield Body("infer nested by version", f"/v2/models/{target}/versions/{VERSION}/infer", nested, _JSON)
    yield Body("infer tensors of all targets", f"/v2/models/{model}/infer", tensors, _JSON)
    forms = {
        "tensors": tensors,
        "nested": nested,
        "empty lists": _filled(tensor, b"[]", b"]}]}"),
        "numbers": _filled(tensor, b"1", b"]}]}"),
        "texts": _filled(tensor, b'""', b"]}]}"),
        "many tensors": _filled(b'{"inputs":[', b'{"name":"a","shape":[1],"datatype":"FP64","data":[1]}', b"]}"),
    }
    for name, make in forms.items():
        yield Body(f"infer {name}", infer, make, _JSON)
    yield _binary("BYTES", [4_000_000], BODY - 1000, infer)
    yield _binary("FP64", [ROWS, len(FEATURES)], 8 * ROWS * len(FEATURES), infer)
    yield _binary("INT8", [BODY - 1000], BODY - 1000, infer)
    feedback = {"feedback": [{"prediction": 1.0, "actual": 2.0, "lower": 0.5, "upper": 3.0}] * ROWS}
    path = f"/v1/models/{target}:feedback"
    yield Body("feedback", path, partial(_padded, feedback), _JSON)
    yield Body("feedback rows", path, _filled(b'{"feedback":[', b'{"prediction":1,"actual":1}', b"]}"), _JSON)
    row = {name: values[0] for name, values in history.items()}
    observed = [{"timestamp": f"201{at // 8760}-01-01T00:00:00", **row} for at in range(ROWS)]
    path = f"/v1/models/{model}:ingest"
    yield Body("ingest", path, partial(_padded, {"observations": observed}), _JSON)
    yield Body("ingest rows", path, _filled(b'{"observations":[', b"{}", b"]}"), _JSON)
    for verb in ("load", "unload"):
        blanks = _filled(b'{"x":[', b"1", b"]}")
        yield Body(f"repository {verb}", f"/v2/repository/models/other/{verb}", blanks, _JSON)
    yield Body("canary", f"/v2/repository/models/{model}/canary", _filled(b'{"x":[', b"1", b"]}"), _JSON)
    yield Body("maintenance", "/v2/repository/maintenance", _filled(b'{"x":[', b"1", b"]}"), _JSON)
    yield Body("repository index", "/v2/repository/index", _filled(b'{"x":[', b"[]", b"]}"), _JSON)
    yield Body("nothing", "/nothing", lambda: b" " * BODY, _JSON)
    yield Body("another method", "/metrics", lambda: b" " * BODY, _JSON)


def largest_messages() -> dict[str, tuple[str, bytes]]:
    """gRPC messages of the largest size by what they are, in the forms that cost most, each with its method."""
    pb = load_messages()
    rows = MESSAGE // 8 // len(FEATURES) - 8
    raw = pb.ModelInferRequest(model_name="pm25_1h")
    raw.inputs.add(name="x", datatype="FP64", shape=[rows, len(FEATURES)])
    raw.raw_input_contents.append(b"\0" * (8 * rows * len(FEATURES)))
    packed = pb.ModelInferRequest(model_name="pm25_1h")
    packed.inputs.add(name="x", datatype="INT64", shape=[MESSAGE]).contents.int64_contents.extend([1] * MESSAGE)
    texts = pb.ModelInferRequest(model_name="pm25_1h")
    texts.inputs.add(name="cbwd", datatype="BYTES", shape=[100_000]).contents.bytes_contents.extend([b"NW"] * 100_000)
    named = pb.ModelMetadataRequest(name="x" * MESSAGE).SerializeToString()
    inferred = {
        "raw": raw.SerializeToString(),
        "packed": packed.SerializeToString(),
        "texts": texts.SerializeToString(),
        "empty tensors": b"\x2a\x00" * (MESSAGE // 2),
        "empty contents": b"\x3a\x00" * (MESSAGE // 2),
    }
    return {name: (f"/{SERVICE}/ModelInfer", data) for name, data in inferred.items()} | {
        "metadata": (f"/{SERVICE}/ModelMetadata", named),
        "reflection": ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", b"\x1a" + named[1:]),
    }


_PROBE = """
import socket, sys, time
port, data = int(sys.argv[1]), sys.stdin.buffer.read()
clock = (~int(sys.argv[2]) << 3) | 2  # another process's processor time, as clock_getcpuclockid(3) numbers it
connection = socket.create_connection(("127.0.0.1", port))
connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
print("ready", flush=True)
while True:
    start, busy = time.perf_counter(), time.clock_gettime(clock)
    connection.sendall(data)
    answer = b""
    while b"\\r\\n\\r\\n" not in answer or not answer.endswith(b"}"):
        answer += connection.recv(65536)
    took = min(time.perf_counter() - start, time.clock_gettime(clock) - busy)
    print(f"{start:.6f} {1e3 * took:.4f} {answer[9:12].decode()}", flush=True)
    time.sleep(0.0005)
"""


class Probe:
    """Asks a server for single rows, from a process of its own, again and again.

    What counts is the time that the server works while a request waits: its processor time, or the time that passes if
    that is less. Other programs on the machine then do not count.
    """

    def __init__(self, server: ServerProcess, target: str = "pm25_1h") -> None:
        body = json.dumps({"instances": [ROW]}).encode()
        head = f"POST /v1/models/{target}:predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PROBE, str(server.port), str(server.process.pid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(head.encode() + body)
        self._process.stdin.close()
        self._lines = self._process.stdout
        assert self._lines.readline() == b"ready\n"

    def stop(self) -> list[tuple[float, float]]:
        """Return when each request was sent, by the monotonic clock, and the milliseconds that it waited."""
        self._process.terminate()
        with self._lines:
            lines = [line.split() for line in self._lines.read().splitlines()]
        self._process.wait()
        whole = [line for line in lines if len(line) == 3]
        assert {line[2] for line in whole} == {b"200"}
        return [(float(start), float(took)) for start, took, _ in whole]


def post(server: ServerProcess, body: Body, data: bytes) -> int:
    """Return the status of the answer to a body with its bytes, which may come before the body is sent."""
    with socket.create_connection(("127.0.0.1", server.port), 120) as connection:
        lines = [f"{name}: {value}" for name, value in body.headers.items()]
        head = [f"POST {body.path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(data)}", *lines]
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall("\r\n".join([*head, "", ""]).encode() + data)
        answer = b""
        while b"\r\n\r\n" not in answer and (part := connection.recv(1 << 20)):
            answer += part
        size = int(answer.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        left = size - len(answer.partition(b"\r\n\r\n")[2])
        while left > 0 and (part := connection.recv(1 << 20)):
            left -= len(part)
        return int(answer[9:12])


def yardstick(size: int = BODY, piece: int = 256 << 10) -> float:
    """Return the milliseconds of processor time in which this machine passes a body through a loopback socket."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as sender:
        receiver, _ = listener.accept()
        with receiver:
            sender.setblocking(False)
            receiver.setblocking(False)
            data, sent, received, start = memoryview(bytes(size)), 0, 0, time.process_time()
            while received < size:
                with contextlib.suppress(BlockingIOError):
                    sent += sender.send(data[sent : sent + piece])
                with contextlib.suppress(BlockingIOError):
                    received += len(receiver.recv(piece))
            return 1e3 * (time.process_time() - start)


def manifest_memory() -> int:
    """Return the bytes of memory that the manifest gives the server."""
    containers = (one for document in yaml.safe_load_all(RUNTIME.read_text()) for one in document["spec"]["containers"])
    limit = str(next(containers)["resources"]["limits"]["memory"])
    assert limit.endswith("Mi")
    return int(limit[:-2]) << 20

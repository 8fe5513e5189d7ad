"""kserve's own client against our server, and our models inside kserve's own ModelServer."""

import json
import signal
import subprocess
import sys
import time
import urllib.error
from pathlib import Path

import numpy as np
import pytest

from tests.support.server import FEATURES, ROOT, ServerProcess, as_row, free_port

pytestmark = pytest.mark.slow  # importing kserve takes seconds


def test_kserves_client_asks_our_server(server: ServerProcess, feature_rows: np.ndarray, tmp_path: Path) -> None:
    program = f"""
import asyncio, json, sys
import kserve
rows = json.loads(sys.stdin.read())
async def main():
    base = "http://127.0.0.1:{server.port}"
    v1 = kserve.InferenceRESTClient(kserve.RESTConfig(protocol="v1"))
    answer = await v1.infer(base, {{"instances": rows}}, model_name="pm25_1h")
    explained = await v1.explain(base, "pm25_1h", {{"instances": rows}})
    v2 = kserve.InferenceRESTClient(kserve.RESTConfig(protocol="v2"))
    inputs = []
    for name in rows[0]:
        kind = "BYTES" if name == "cbwd" else "FP64"
        inputs.append(kserve.InferInput(name, [len(rows)], kind, data=[row[name] for row in rows]))
    tensors = await v2.infer(base, kserve.InferRequest("pm25_1h", inputs), model_name="pm25_1h")
    print(json.dumps([answer["predictions"], tensors.get_output_by_name("prediction").data,
                      len(explained["explanations"]), await v2.is_server_ready(base),
                      await v2.is_model_ready(base, "pm25_1h")]))
asyncio.run(main())
"""

    rows = [as_row(values) for values in feature_rows[:4]]
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        input=json.dumps(rows),
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    first, second, explained, ready, model_ready = json.loads(run.stdout.splitlines()[-1])
    assert first == second == server.post("/v1/models/pm25_1h:predict", {"instances": rows}).json["predictions"]
    assert (explained, ready, model_ready) == (4, True, True)


def test_our_models_in_kserves_server(model_dir: Path, server: ServerProcess, feature_rows: np.ndarray) -> None:
    port = free_port()
    program = f"""
import sys
sys.argv = ["models"]
import kserve
from serving.kserve_model import kserve_models
kserve.ModelServer(http_port={port}, enable_grpc=False, workers=1).start(kserve_models({str(model_dir)!r}))
"""
    other = ServerProcess.__new__(ServerProcess)
    other.port = port
    command = [sys.executable, "-W", "ignore", "-c", program]
    other.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        _wait(other)
        rows = [as_row(values) for values in feature_rows[:4]]
        for model in ("pm25_1h", "air"):
            path = f"/v1/models/{model}:predict"
            theirs, ours = (s.post(path, {"instances": rows}).json for s in (other, server))
            assert theirs == ours
        tensors = [
            {"name": n, "shape": [1], "datatype": "FP64", "data": [float(feature_rows[0][FEATURES.index(n)])]}
            for n in reversed(FEATURES)
        ]
        answer = other.post("/v2/models/pm25_1h/infer", {"inputs": tensors})
        assert answer.status == 200, answer.body
        assert answer.json["outputs"][0]["data"] == ours_first(server, rows)
        tensors[0]["data"] = [2**53 + 1]
        rounded = other.post("/v2/models/pm25_1h/infer", {"inputs": tensors})
        assert (rounded.status, "hour[0]: 9007199254740993 cannot be" in rounded.json["error"]) == (400, True)
        wrong = other.post("/v1/models/pm25_1h:predict", {"instances": [{**rows[0], "temp": "x"}]})
        assert (wrong.status, "instances[0].temp" in wrong.json["error"]) == (400, True)
        described = other.get("/v2/models/pm25_1h").json
        assert [item["name"] for item in described["inputs"]] == list(FEATURES)
    finally:
        other.process.send_signal(signal.SIGTERM)
        try:
            other.process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            other.process.kill()
            other.process.communicate()


def ours_first(server: ServerProcess, rows: list[dict[str, object]]) -> list[float]:
    found: list[float] = server.post("/v1/models/pm25_1h:predict", {"instances": rows[:1]}).json["predictions"]
    return found


def _wait(server: ServerProcess) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            raise AssertionError(server.process.communicate()[1].decode())
        try:
            if server.get("/v2/health/ready").status == 200:
                return
        except (OSError, urllib.error.URLError):
            time.sleep(0.1)
    raise AssertionError("kserve's server did not become ready")

"""kserve's own client against our server."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.support.server import ServerProcess, as_row

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

"""Load for a while at a good part of the top rate: nothing breaks, and memory does not grow.

ALMANAC_SOAK sets the seconds (3 unless told).
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.support.server import ServerProcess, Start, as_row

SECONDS = int(os.environ.get("ALMANAC_SOAK", "3"))


@pytest.mark.skipif(shutil.which("wrk") is None and not os.environ.get("CI"), reason="wrk is not installed")
def test_a_soak_leaves_no_error_and_no_leak(start: Start, tmp_path: Path, feature_rows: np.ndarray) -> None:
    server = start()
    bodies = tmp_path / "bodies"
    lines = [json.dumps({"instances": [as_row(values)]}) for values in feature_rows[:6000]]
    bodies.write_text("\n".join(lines) + "\n")
    script = tmp_path / "load.lua"
    # wrk adds the host to requests that are made after it has started, and these are made before.
    headers = f'{{["Content-Type"] = "application/json", ["Host"] = "127.0.0.1:{server.port}"}}'
    script.write_text(
        f'local r = {{}}\nfor line in io.lines("{bodies}") do\n'
        f'  r[#r + 1] = wrk.format("POST", nil, {headers}, line)\nend\n'
        "local at = 0\nrequest = function() at = at % #r + 1; return r[at] end\n"
    )
    url = f"http://127.0.0.1:{server.port}/v1/models/pm25_1h:predict"

    def load(seconds: int) -> str:
        command = ["wrk", "-t1", "-c8", f"-d{seconds}s", "-s", str(script), url]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    while _answered(server) < 2 * len(lines):
        load(1)  # until the prediction cache is full, and every body was seen
    before = _resident(server.process.pid)
    output = load(SECONDS)
    assert "Non-2xx" not in output
    assert "Socket errors" not in output
    assert _resident(server.process.pid) - before < 8.0
    assert 'code="5' not in server.get("/metrics").body.decode()


def _answered(server: ServerProcess) -> float:
    lines = server.get("/metrics").body.decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("almanac_requests_total{"))


def _resident(pid: int) -> float:
    line = next(x for x in Path(f"/proc/{pid}/status").read_text().splitlines() if x.startswith("VmRSS"))
    return int(line.split()[1]) / 1024

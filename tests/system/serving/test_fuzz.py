"""Generated requests: against the OpenAPI document, and mutations of real ones; none may be answered with a 5xx.

ALMANAC_FUZZ sets how many mutated requests are sent (1,000 unless told).
"""

import http.client
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.support.server import ServerProcess, Start, as_row
from tests.system.serving.test_admission import memory, settled
from tests.system.serving.test_v2 import INFER, binary, columns

#: Bytes that a server may hold more after three quarters of the requests: allocators keep some, a leak grows with them.
LEAK = 16 << 20
COUNT = int(os.environ.get("ALMANAC_FUZZ", "1000"))


def test_generated_requests_fit_the_document(start: Start, tmp_path: Path) -> None:
    server = start("--access-log", "off")  # nobody reads its lines, which would wait in its memory
    program = Path(sys.executable).with_name("schemathesis")
    if not program.exists() and not os.environ.get("CI"):
        pytest.skip("schemathesis is not installed")
    checks = "not_a_server_error,response_schema_conformance,status_code_conformance,content_type_conformance"
    before = settled(server)
    # Unloading a model rightly makes every other answer a 503, so the repository is tested by itself.
    command = [str(program), "run", f"http://127.0.0.1:{server.port}/openapi.json", "--seed", "7", "--checks", checks]
    command += [
        "--phases",
        "fuzzing",
        "--exclude-path-regex",
        "repository",
        "--max-examples",
        str(max(5, COUNT // 500)),
    ]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=max(600, COUNT // 20))
    assert run.returncode == 0, run.stdout[-3000:]
    grown = memory(server) - before
    print(f"{run.stdout[-600:]}\n{grown >> 10} KiB more")
    assert grown < 4 * LEAK  # with all that is loaded at its first use
    assert 'code="5' not in server.get("/metrics").body.decode()


def mutations(seeds: list[tuple[bytes, dict[str, str]]], count: int) -> list[tuple[bytes, dict[str, str]]]:
    """Return real requests with bytes changed, cut out, doubled, or with another length in the header."""
    rng = random.Random(11)
    found = []
    for _ in range(count):
        body, headers = rng.choice(seeds)
        data = bytearray(body)
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(data))
            kind = rng.randrange(5)
            if kind == 0:
                data[at] = rng.randrange(256)
            elif kind == 1:
                del data[at : at + rng.randint(1, 40)]
            elif kind == 2:
                data[at:at] = data[at : at + rng.randint(1, 40)]
            elif kind == 3:
                word = rng.choice(
                    [b"null", b"-1", b"1e999", b"[]", b"{}", b'"\\u0000"', b"NaN", b"99999999999999999999"]
                )
                data[at:at] = word
            elif "inference-header-content-length" in headers:
                length = str(rng.choice([0, 1, len(body) // 2, len(body), 2**40, -1]))
                headers = {**headers, "inference-header-content-length": length}
            if not data:
                data = bytearray(b"{")
        found.append((bytes(data), headers))
    return found


@pytest.fixture(scope="module")
def quiet(model_dir: Path) -> Iterator[ServerProcess]:
    process = ServerProcess(["--model", str(model_dir), "--access-log", "off"]).wait()
    yield process
    process.stop()


@pytest.mark.parametrize("path", [INFER, "/v1/models/air:predict", "/v1/models/pm25_1h:explain"])
def test_mutated_requests_are_answered(quiet: ServerProcess, feature_rows: np.ndarray, path: str) -> None:
    row, kind = as_row(feature_rows[3]), {"content-type": "application/json"}
    if path == INFER:
        seeds = [binary(feature_rows[:3]), (json.dumps({"inputs": columns(feature_rows[:2])}).encode(), kind)]
    else:
        moment = {"entity": "default", "time": "2014-01-01T00:00:00"}
        bodies = [{"instances": [row]}, {"inputs": {k: [v] for k, v in row.items()}}, {"instances": [moment]}]
        seeds = [(json.dumps(body).encode(), kind) for body in bodies]
    server = quiet
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    codes: dict[int, int] = {}
    before = 0
    for at, (body, headers) in enumerate(mutations(seeds, COUNT // 3)):
        if at == COUNT // 12:
            before = memory(server)  # what every server of some requests holds is there by now
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        text = answer.read()
        codes[answer.status] = codes.get(answer.status, 0) + 1
        assert answer.status < 500, (body, headers, text)
        if answer.status != 200:
            assert list(json.loads(text)) == ["error"]
    connection.close()
    grown = memory(server) - before
    print(f"{path}: {sum(codes.values())} requests, {codes}, {grown >> 10} KiB more")
    assert grown < LEAK
    assert codes.get(400, 0) > COUNT // 30
    assert server.get("/healthz").status == 200

"""`python -m benchmarks.serving`: our server beside its peers, in one run, as JSON.

Server and load generator (wrk) are pinned to separate cores. Every server answers the same real rows; ours with API
keys, rate limits, names, metrics and request ids on, and without its prediction cache. Each figure is the median of
the repeats; `--seconds` sets how long wrk runs for each.
"""

import argparse
import importlib.util
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from almanac.core.errors import ServingError
from benchmarks.serving_entity import measure_entity
from benchmarks.serving_load import Load, beside_large, measure
from benchmarks.serving_model import as_rows, today, write_model

SERVER_CORE, CLIENT_CORE = "0", "1"
_PORT = 18080


@dataclass(frozen=True)
class Peer:
    """A server to measure.

    Attributes:
        name: as the report calls it.
        command: starts it on `_PORT`.
        path: where it predicts.
        form: what it takes: rows by name, ordered lists, or one V2 tensor.
        headers: headers of each request.
    """

    name: str
    command: list[str]
    path: str
    form: Literal["named", "ordered", "v2"]
    headers: dict[str, str]


def peers(model: Path, keys: Path, key: str, mlserver: str | None) -> list[Peer]:
    """Return the servers that can run here; `mlserver` is the Python that has MLServer, None where there is none."""
    python = sys.executable
    ours = [python, "-m", "serving", "--model", str(model), "--http-port", str(_PORT), "--cache-size", "0"]
    # The limit is on, because its cost counts, and too high to refuse a request.
    ours += ["--auth", "required", "--keys", str(keys), "--rate-limit", "10000000/s", "--drift-seconds", "0"]
    base = [python, "-m", "benchmarks.serving_peers"]
    tail = ["--model", str(model), "--port", str(_PORT)]
    path = "/v1/models/model:predict"
    found = [
        Peer("almanac", ours, path, "named", {"X-API-Key": key}),
        Peer("stock", [*base, "stock", *tail], path, "ordered", {}),
        Peer("raw_asgi", [*base, "raw", *tail], path, "named", {}),
        Peer("empty_uvicorn", [*base, "empty", *tail], path, "named", {}),
    ]
    if mlserver is not None:
        command = [*base, "mlserver", *tail, "--python", mlserver]
        found.append(Peer("mlserver", command, "/v2/models/model/infer", "v2", {}))
    return found


@contextmanager
def running(peer: Peer, body: bytes) -> Iterator[tuple[int, float]]:
    """Start a server on its core; yield its process id and the seconds to its first answer."""
    start = time.perf_counter()
    process = subprocess.Popen(
        ["taskset", "-c", SERVER_CORE, *peer.command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield process.pid, _first_answer(peer, body, process, start)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _first_answer(peer: Peer, body: bytes, process: subprocess.Popen[bytes], start: float) -> float:
    headers = {**peer.headers, "content-type": "application/json"}
    while time.perf_counter() - start < 60:
        if process.poll() is not None:
            raise ServingError(f"{peer.name} ended with code {process.returncode} before it answered")
        request = urllib.request.Request(f"http://127.0.0.1:{_PORT}{peer.path}", data=body, headers=headers)
        try:
            urllib.request.urlopen(request, timeout=5).close()
            return time.perf_counter() - start
        except (urllib.error.URLError, OSError):
            time.sleep(0.005)
    raise ServingError(f"{peer.name} did not answer within 60 s")


def _bodies(rows: list[dict[str, float | None]], form: str, size: int, count: int) -> list[bytes]:
    parts = [[rows[(at * size + i) % len(rows)] for i in range(size)] for at in range(count)]
    return [_body(part, form) for part in parts]


def _body(rows: list[dict[str, float | None]], form: str) -> bytes:
    if form == "named":
        return json.dumps({"instances": rows}).encode()
    ordered = [list(row.values()) for row in rows]
    if form == "ordered":
        return json.dumps({"instances": ordered}).encode()
    values = [value for row in ordered for value in row]
    tensor = {"name": "rows", "shape": [len(rows), len(ordered[0])], "datatype": "FP64", "data": values}
    return json.dumps({"inputs": [tensor]}).encode()


def _columns_v2(rows: list[dict[str, float | None]]) -> bytes:
    """Return a V2 request of one JSON tensor a column."""
    tensors = [
        {"name": name, "shape": [len(rows)], "datatype": "FP64", "data": [row[name] for row in rows]}
        for name in rows[0]
    ]
    return json.dumps({"inputs": tensors}).encode()


def measure_peer(peer: Peer, rows: list[dict[str, float | None]], seconds: float, repeats: int) -> dict[str, Any]:
    """Return every case's figures for one server."""
    complete = rows if peer.form == "named" else [row for row in rows if None not in row.values()]
    single, hundred = _bodies(complete, peer.form, 1, 500), _bodies(complete, peer.form, 100, 20)
    result: dict[str, Any] = {}
    with running(peer, single[0]) as (pid, cold):
        cases = {"row_16": (single, 16), "row_1": (single, 1), "rows_100": (hundred, 4)}
        for name, (bodies, connections) in cases.items():
            load = Load(f"http://127.0.0.1:{_PORT}{peer.path}", peer.headers, bodies, connections, CLIENT_CORE)
            runs = [_with_cpu(load, seconds, pid) for _ in range(repeats)]
            result[name] = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        if peer.name in ("almanac", "stock"):
            large = _bodies(complete, peer.form, 10_000, 1)[0]
            load = Load(f"http://127.0.0.1:{_PORT}{peer.path}", peer.headers, single, 1, CLIENT_CORE)
            result["row_1_beside_10000"] = beside_large(load, large, peer.path, seconds)
        if peer.name == "almanac":
            tensors = _columns_v2([rows[at % len(rows)] for at in range(10_000)])
            result["row_1_beside_10000_v2"] = beside_large(load, tensors, "/v2/models/model/infer", seconds)
        result["memory_mb"] = _resident(pid)
        result["cold_start_s"] = round(cold, 3)
    return result


def _with_cpu(load: Load, seconds: float, pid: int) -> dict[str, float]:
    """Return wrk's figures and the server's processor time for each request, which other programs do not disturb."""
    before = _cpu_seconds(pid)
    figures = measure(load, seconds)
    requests = figures["requests"]
    return {**figures, "cpu_us": round((_cpu_seconds(pid) - before) / requests * 1e6, 1)}


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident(pid: int) -> float:
    """Return the resident memory of the process that serves, in MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return round(int(line.split()[1]) / 1024, 1)
    raise ServingError(f"process {pid} has no resident memory")


def ratios(results: dict[str, Any]) -> dict[str, float]:
    """Return our requests per second over each peer's, and the same by processor time, by case."""
    found = {}
    for name, figures in results.items():
        for case in ("row_16", "row_1", "rows_100") if name != "almanac" else ():
            ours, theirs = results["almanac"][case], figures[case]
            found[f"{case}_over_{name}"] = round(ours["per_second"] / theirs["per_second"], 3)
            found[f"{case}_over_{name}_by_cpu"] = round(theirs["cpu_us"] / ours["cpu_us"], 3)
    return found


def _own(package: str) -> str | None:
    """Return this Python where it has a package."""
    return sys.executable if importlib.util.find_spec(package) is not None else None


def main() -> int:
    """Measure and print the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--servers", help="which ones, with commas; all that are here by default")
    parser.add_argument("--mlserver", metavar="PYTHON", default=_own("mlserver"), help="a Python that has MLServer")
    parser.add_argument("--model", type=Path, help="where to keep the trained model for the next time")
    given = parser.parse_args()
    for program in ("wrk", "taskset"):
        if shutil.which(program) is None:
            print(f"error: {program} is not installed; on Debian: apt-get install wrk util-linux", file=sys.stderr)
            return 1
    with tempfile.TemporaryDirectory(prefix="almanac-bench-") as name:
        model, keys = given.model or Path(name) / "model", Path(name) / "keys.json"
        rows = as_rows(write_model(model))
        create = [sys.executable, "-m", "serving", "keys", "--keys", str(keys), "create", "--name", "bench"]
        key = subprocess.run(create, capture_output=True, text=True, check=True).stdout.split()[0]
        found = peers(model, keys, key, given.mlserver)
        chosen = [peer for peer in found if given.servers is None or peer.name in given.servers.split(",")]
        results = {p.name: measure_peer(p, rows, given.seconds, given.repeats) for p in chosen}
    report = {
        "date": today(),
        "cores": os.cpu_count(),
        "load_average_at_end": os.getloadavg()[0],
        "model": {"trees": 500, "leaves": 63, "features": 20},
        "seconds": given.seconds,
        "repeats": given.repeats,
        "servers": results,
        "entity": measure_entity(_PORT, (SERVER_CORE, CLIENT_CORE), given.seconds),
        "ratios": ratios(results) if "almanac" in results else {},
    }
    print(json.dumps(report, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""`python -m benchmarks.serving`: our server and its peers, in one run, as JSON.

Server and load generator (wrk) are pinned to separate cores. Every server answers the same real rows of two models: 500
trees of 63 leaves over 20 features, and as many over the 120 of the reference's newest run on this machine. Ours runs
as a deployment does: API keys, rate limits, names, metrics, request ids, live drift and the audit log are on, and only
its prediction cache is off. The stock server has its logging off. Each figure is the median of the repeats; `--seconds`
sets how long wrk runs for each. Requests by entity and time are asked of the reference's own model.
"""

import argparse
import importlib.util
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from almanac.core.errors import AlmanacError, ServingError
from benchmarks.serving_entity import measure_entity, reference_run
from benchmarks.serving_load import Load, beside_large, measure, measure_with_cpu
from benchmarks.serving_model import Rows, as_rows, today, write_model, write_reference_model
from benchmarks.serving_processes import Peer, running
from benchmarks.serving_stock import stock_python

SERVER_CORE, CLIENT_CORE = "0", "1"
CASES = ("row_16", "row_1", "rows_100")


def peers(model: Path, name: str, keys: Path, stock: str, mlserver: str | None) -> list[Peer]:
    """Return the servers that can run here.

    Args:
        model: directory of the model.
        name: its name.
        keys: file of our server's keys; its audit log is written next to it.
        stock: the Python that has KServe's server.
        mlserver: the Python that has MLServer, None where there is none.
    """
    create = [sys.executable, "-m", "serving", "keys", "--keys", str(keys), "create", "--name", "bench"]
    key = subprocess.run(create, capture_output=True, text=True, check=True).stdout.split()[0]
    ours = [sys.executable, "-m", "serving", "--model", str(model), "--cache-size", "0", "--auth", "required"]
    # The limit is on, because its cost counts, and too high to refuse a request.
    ours += ["--keys", str(keys), "--rate-limit", "10000000/s", "--audit-log", str(keys.with_name("audit.jsonl"))]
    base = ["-m", "benchmarks.serving_peers"]
    tail = ["--model", str(model), "--name", name, "--port", "{port}"]
    path = f"/v1/models/{name}:predict"
    found = [
        Peer("almanac", [*ours, "--http-port", "{port}"], path, "named", {"X-API-Key": key}),
        Peer("stock", [stock, *base, "stock", *tail], path, "ordered", {}),
        Peer("raw_asgi", [sys.executable, *base, "raw", *tail], path, "named", {}),
        Peer("empty_uvicorn", [sys.executable, *base, "empty", *tail], path, "named", {}),
    ]
    if mlserver is not None:
        command = [sys.executable, *base, "mlserver", *tail, "--python", mlserver]
        found.append(Peer("mlserver", command, f"/v2/models/{name}/infer", "v2", {}))
    return found


def _bodies(rows: Rows, form: str, size: int, count: int) -> list[bytes]:
    parts = [[rows[(at * size + i) % len(rows)] for i in range(size)] for at in range(count)]
    return [_body(part, form) for part in parts]


def _body(rows: Rows, form: str) -> bytes:
    if form == "named":
        return json.dumps({"instances": rows}).encode()
    ordered = [list(row.values()) for row in rows]
    if form == "ordered":
        return json.dumps({"instances": ordered}).encode()
    values = [value for row in ordered for value in row]
    tensor = {"name": "rows", "shape": [len(rows), len(ordered[0])], "datatype": "FP64", "data": values}
    return json.dumps({"inputs": [tensor]}).encode()


def _columns_v2(rows: Rows) -> bytes:
    """Return a V2 request of one JSON tensor a column."""
    tensors = [
        {"name": name, "shape": [len(rows)], "datatype": "FP64", "data": [row[name] for row in rows]}
        for name in rows[0]
    ]
    return json.dumps({"inputs": tensors}).encode()


def measure_peer(peer: Peer, rows: Rows, seconds: float, repeats: int) -> dict[str, Any]:
    """Return every case's figures for one server."""
    complete = rows if peer.form == "named" else [row for row in rows if None not in row.values()]
    single, hundred = _bodies(complete, peer.form, 1, 500), _bodies(complete, peer.form, 100, 20)
    result: dict[str, Any] = {}
    with running(peer, single[0], SERVER_CORE) as server:
        cases = dict(zip(CASES, ((single, 16), (single, 1), (hundred, 4)), strict=True))
        for name, (bodies, connections) in cases.items():
            load = Load(server.url + peer.path, peer.headers, bodies, connections, CLIENT_CORE)
            measure(load, 1)  # the first requests after a start pay for what every other one shares
            runs = [measure_with_cpu(load, seconds, server.pid) for _ in range(repeats)]
            result[name] = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        load = Load(server.url + peer.path, peer.headers, single, 1, CLIENT_CORE)
        if peer.name in ("almanac", "stock") and len(rows[0]) <= 20:
            large = _bodies(complete, peer.form, 10_000, 1)[0]
            result["row_1_beside_10000"] = beside_large(load, large, peer.path, seconds)
        if peer.name == "almanac" and len(rows[0]) <= 20:
            tensors = _columns_v2([rows[at % len(rows)] for at in range(10_000)])
            infer = peer.path.replace("/v1/", "/v2/").replace(":predict", "/infer")
            result["row_1_beside_10000_v2"] = beside_large(load, tensors, infer, seconds)
        result["memory_mb"] = _resident(server.pid)
        result["cold_start_s"] = round(server.cold_start, 3)
    return result


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
        for case in CASES if name != "almanac" else ():
            ours, theirs = results["almanac"][case], figures[case]
            found[f"{case}_over_{name}"] = round(ours["per_second"] / theirs["per_second"], 3)
            found[f"{case}_over_{name}_by_cpu"] = round(theirs["cpu_us"] / ours["cpu_us"], 3)
    return found


def _own(package: str) -> str | None:
    """Return this Python where it has a package."""
    return sys.executable if importlib.util.find_spec(package) is not None else None


def _models(folder: Path, given: Path | None) -> dict[str, tuple[Path, str, Rows]]:
    """Return the models to serve: directory, name and rows of each."""
    made = given or folder / "model"
    found = {"trees_500x63_features_20": (made, "model", as_rows(write_model(made)))}
    run, target = reference_run() or (None, "")
    if run is not None:
        place = folder / "reference"
        names, values = write_reference_model(place, run, target)
        found[f"trees_500x63_features_{len(names)}"] = place, "model", as_rows(values, names)
    return found


def main() -> int:
    """Measure and print the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--servers", help="which ones, with commas; all that are here by default")
    parser.add_argument("--mlserver", metavar="PYTHON", default=_own("mlserver"), help="a Python that has MLServer")
    parser.add_argument("--stock", metavar="PYTHON", help="a Python that has KServe; by default one made for this")
    parser.add_argument("--entity", action="store_true", help="requests by entity and time alone")
    parser.add_argument("--model", type=Path, help="where to keep the trained model for the next time")
    given = parser.parse_args()
    for program in ("wrk", "taskset"):
        if shutil.which(program) is None:
            print(f"error: {program} is not installed; on Debian: apt-get install wrk util-linux", file=sys.stderr)
            return 1
    try:
        print(json.dumps(_report(given), indent=2))
    except AlmanacError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _report(given: argparse.Namespace) -> dict[str, Any]:
    machine = {"date": today(), "cores": os.cpu_count(), "seconds": given.seconds, "repeats": given.repeats}
    if given.entity:
        entity = measure_entity((SERVER_CORE, CLIENT_CORE), given.seconds)
        return {**machine, "load_average_at_end": os.getloadavg()[0], "entity": entity}
    stock, environment = stock_python(given.stock)
    models: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="almanac-bench-") as name:
        for number, (label, (model, served, rows)) in enumerate(_models(Path(name), given.model).items()):
            found = peers(model, served, Path(name) / f"{number}" / "keys.json", stock, given.mlserver)
            chosen = [peer for peer in found if given.servers is None or peer.name in given.servers.split(",")]
            results = {peer.name: measure_peer(peer, rows, given.seconds, given.repeats) for peer in chosen}
            models[label] = {"servers": results, "ratios": ratios(results) if "almanac" in results else {}}
    return {
        **machine,
        "load_average_at_end": os.getloadavg()[0],
        "stock": environment,
        "models": models,
        "entity": measure_entity((SERVER_CORE, CLIENT_CORE), given.seconds),
    }


if __name__ == "__main__":
    sys.exit(main())

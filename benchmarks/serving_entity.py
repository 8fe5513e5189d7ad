"""Requests by entity and time on the reference's newest run: features computed from stored history."""

import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from almanac.core.errors import ServingError
from almanac.core.files import read_json
from benchmarks.serving_load import Load, measure, measure_with_cpu
from benchmarks.serving_processes import end, free_port, last_words

_PATIENCE = 5
_START_SECONDS = 120.0


def measure_entity(cores: tuple[str, str], seconds: float) -> dict[str, Any]:
    """Return figures for one connection with the history in memory and in Redis, on the reference's newest run.

    Empty where this machine has no run of it; without `redis-server` memory alone.
    """
    found = reference_run()
    if found is None:
        return {}
    run, target = found
    result = {"model": target, "kind": _kind(run, target), "memory": _measure(run, target, "memory://", cores, seconds)}
    if shutil.which("redis-server"):
        with _redis() as url:
            result["redis"] = _measure(run, target, url, cores, seconds)
    return result


def reference_run() -> tuple[Path, str] | None:
    """Return the newest run of the reference use case on this machine and its first target; None without a run."""
    run = Path("runs/air_quality/latest")
    manifest = run / "model" / "manifest.json"
    return (run, str(read_json(manifest)["targets"][0])) if manifest.exists() else None


def _kind(run: Path, target: str) -> str:
    return str(read_json(run / "model" / target / "manifest.json")["kind"])


def _measure(run: Path, target: str, store: str, cores: tuple[str, str], seconds: float) -> dict[str, float]:
    port = free_port()
    command = ["taskset", "-c", cores[0], sys.executable, "-m", "serving", "--model", str(run), "--cache-size", "0"]
    command += ["--http-port", str(port), "--feature-store", store, "--history", str(run / "data.parquet")]
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            body = _example(process)
            url = f"http://127.0.0.1:{port}/v1/models/{target}:predict"
            load = Load(url, {}, [body], 1, cores[1])
            _first(url, body)
            measure(load, 2)  # what a server reads after its start is read by then
            return measure_with_cpu(load, seconds, process.pid)
        except ServingError as error:
            raise ServingError(f"{error}; {last_words(log)}") from error
        finally:
            end(process)


def _example(process: subprocess.Popen[str]) -> bytes:
    """Return the body of the request that the server prints once its store has history."""
    # A server that cannot compute the features goes on without history, and nothing would end the wait.
    late = threading.Timer(_START_SECONDS, process.terminate)
    late.start()
    try:
        for line in process.stdout or ():
            if line.startswith("curl "):
                return json.dumps(json.loads(line.rpartition(" -d ")[2].strip().strip("'"))).encode()
    finally:
        late.cancel()
    raise ServingError(f"the server had no history after {_START_SECONDS:g} s, or ended before")


def _first(url: str, body: bytes) -> None:
    request = urllib.request.Request(url, data=body, headers={"content-type": "application/json"})
    try:
        urllib.request.urlopen(request, timeout=20).close()
    except urllib.error.HTTPError as error:
        raise ServingError(f"{url}: {error.read().decode()}") from error


@contextmanager
def _redis() -> Iterator[str]:
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="almanac-redis-") as folder:
        command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--save", ""]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            time.sleep(0.5)
            # A busy machine may hold Redis up for longer than the store waits, which then refuses requests for a
            # moment; here that is to show as latency.
            yield f"redis://127.0.0.1:{port}/0?socket_timeout={_PATIENCE}"
        finally:
            process.terminate()
            process.wait(10)

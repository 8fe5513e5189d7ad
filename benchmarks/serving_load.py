"""Load by wrk: many bodies in turn, figures as JSON."""

import http.client
import json
import os
import statistics
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from almanac.core.errors import ServingError

_LARGE_REQUESTS = 10
_SCRIPT = """
local bodies = {}
for line in io.lines("%(bodies)s") do bodies[#bodies + 1] = line end
local requests, at = {}, 0
init = function(args)
  local headers = {%(headers)s}
  headers["Content-Type"] = "application/json"
  for i, body in ipairs(bodies) do requests[i] = wrk.format("POST", nil, headers, body) end
end
request = function()
  at = at %% #requests + 1
  return requests[at]
end
done = function(summary, latency, _)
  local bad = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
  io.write(string.format('\\nJSON{"requests":%%d,"micros":%%d,"p50":%%d,"p99":%%d,"refused":%%d,"broken":%%d}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), summary.errors.status, bad))
end
"""


@dataclass(frozen=True)
class Load:
    """The requests that wrk sends.

    Attributes:
        url: where to.
        headers: headers of each request.
        bodies: sent in turn.
        connections: open at a time.
        core: core of the generator.
    """

    url: str
    headers: dict[str, str]
    bodies: list[bytes]
    connections: int
    core: str


def measure(load: Load, seconds: float) -> dict[str, float]:
    """Run wrk; return requests per second, latencies in milliseconds and errors.

    Raises:
        ServingError: a request that was refused or broken: its speed would mean nothing.
    """
    with tempfile.TemporaryDirectory(prefix="almanac-wrk-") as name:
        bodies, script = Path(name) / "bodies", Path(name) / "load.lua"
        bodies.write_bytes(b"\n".join(load.bodies) + b"\n")
        headers = ", ".join(f'["{key}"]="{value}"' for key, value in load.headers.items())
        script.write_text(_SCRIPT % {"bodies": bodies, "headers": headers})
        command = ["taskset", "-c", load.core, "wrk", "-t1", f"-c{load.connections}", f"-d{max(1, round(seconds))}s"]
        run = subprocess.run([*command, "-s", str(script), load.url], capture_output=True, text=True, check=True)
    found = json.loads(run.stdout.rpartition("JSON")[2])
    if found["refused"] or found["broken"]:
        raise ServingError(f"{load.url}: {found['refused']} requests refused, {found['broken']} broken")
    return {
        "requests": found["requests"],
        "per_second": round(found["requests"] / found["micros"] * 1e6, 1),
        "p50_ms": round(found["p50"] / 1000, 3),
        "p99_ms": round(found["p99"] / 1000, 3),
    }


def measure_with_cpu(load: Load, seconds: float, pid: int) -> dict[str, float]:
    """Return wrk's figures and the server's processor time for each request, which other programs disturb less."""
    before = cpu_seconds(pid)
    figures = measure(load, seconds)
    return {**figures, "cpu_us": round((cpu_seconds(pid) - before) / figures["requests"] * 1e6, 1)}


def cpu_seconds(pid: int) -> float:
    """Return the processor time of a process, which other work on the machine does not change as it does waits."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def beside_large(load: Load, large: bytes, path: str, seconds: float) -> dict[str, float]:
    """Ask for single rows on one connection while another posts a large body to `path`.

    wrk asks for `seconds` while a large body comes every half second: what that costs altogether. Most of its samples
    lie between two large requests, and one long wait is one sample among thousands. Waits are therefore also taken of
    single rows that were asked while a large request was under way, and of no others: `beside_p99_ms`, and
    `beside_worst_ms`, the median over the large requests of the longest wait beside each.
    """
    end, large_times = time.perf_counter() + seconds, []

    def ask_large() -> None:
        while time.perf_counter() < end:
            large_times.append(_post_large(load, large, path))
            time.sleep(0.5)

    beside = threading.Thread(target=ask_large)
    beside.start()
    figures = measure(load, seconds)
    beside.join()
    return {**figures, "large_s": round(statistics.median(large_times), 3), **_waits(load, large, path)}


def _post_large(load: Load, large: bytes, path: str) -> float:
    """Return the seconds until a large request is answered."""
    connection, start = http.client.HTTPConnection(urlsplit(load.url).netloc, timeout=60), time.perf_counter()
    _ask(connection, path, large, load)
    connection.close()
    return time.perf_counter() - start


def _ask(connection: http.client.HTTPConnection, path: str, body: bytes, load: Load) -> None:
    connection.request("POST", path, body, {**load.headers, "content-type": "application/json"})
    answer = connection.getresponse()
    answer.read()
    if answer.status != 200:
        raise ServingError(f"{path}: {answer.status}")


def _waits(load: Load, large: bytes, path: str) -> dict[str, float]:
    """Return how long single rows wait while a large request is under way, in milliseconds."""
    parts = urlsplit(load.url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=60)
    # The first request opens the connection, which is not a part of any wait.
    _ask(connection, parts.path, load.bodies[0], load)
    waits: list[float] = []
    worst: list[float] = []
    cores = os.sched_getaffinity(0)
    # On the generator's core, so that the client takes no time from the server's cores.
    os.sched_setaffinity(0, {int(load.core)})
    try:
        for at in range(_LARGE_REQUESTS):
            beside = threading.Thread(target=_post_large, args=(load, large, path))
            beside.start()
            longest = 0.0
            while beside.is_alive():
                start = time.perf_counter()
                _ask(connection, parts.path, load.bodies[at % len(load.bodies)], load)
                waits.append(time.perf_counter() - start)
                longest = max(longest, waits[-1])
            worst.append(longest)
    finally:
        os.sched_setaffinity(0, cores)
        connection.close()
    return {
        "beside_samples": len(waits),
        "beside_p99_ms": round(float(np.quantile(waits, 0.99)) * 1000, 3),
        "beside_worst_ms": round(statistics.median(worst) * 1000, 3),
    }

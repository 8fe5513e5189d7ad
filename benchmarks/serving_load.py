"""Load by wrk: many bodies in turn, figures as JSON."""

import http.client
import json
import statistics
import subprocess
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from components.common.errors import ServingError

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
    """What wrk sends.

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


def beside_large(load: Load, large: bytes, path: str, seconds: float) -> dict[str, float]:
    """Ask for single rows on one connection while another posts a large body to `path` every half second."""
    parts = urlsplit(load.url)
    headers = {**load.headers, "content-type": "application/json"}
    end, large_times = time.perf_counter() + seconds, []

    def ask_large() -> None:
        connection = http.client.HTTPConnection(parts.netloc, timeout=60)
        while time.perf_counter() < end:
            start = time.perf_counter()
            connection.request("POST", path, large, headers)
            connection.getresponse().read()
            large_times.append(time.perf_counter() - start)
            time.sleep(0.5)
        connection.close()

    beside = threading.Thread(target=ask_large)
    beside.start()
    figures = measure(load, seconds)
    beside.join()
    return {**figures, "large_s": round(statistics.median(large_times), 3)}

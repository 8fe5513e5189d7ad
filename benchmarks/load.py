"""Load tests with k6 at constant rates of arrivals; every answer is checked against the model computed offline.

python -m benchmarks.load [--rates 100,1000] [--seconds 30]

Each rate leaves a report of k6 as HTML in build/load/, and build/load.json has the figures. The server has the defaults
of a deployment: drift watching and the audit log are on.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from almanac.core.errors import ServingError
from almanac.core.files import write_json
from almanac.model.bundle import load_bundle
from almanac.model.predictor import Rows
from benchmarks.serving_model import FEATURES, write_model

ROOT = Path(__file__).resolve().parent.parent
_MODEL = ROOT / ".cache" / "benchmarks" / "serving"
_SCRIPT = Path(__file__).with_name("load.js")
_OUT = ROOT / "build" / "load"


def main(
    rates: Annotated[str, typer.Option(help="Requests a second, of one run each.")] = "100,1000",
    seconds: Annotated[int, typer.Option(help="Length of a run.")] = 30,
) -> None:
    """Run k6 at each rate and print its figures."""
    k6 = shutil.which("k6", path=f"{ROOT / '.tools'}{os.pathsep}{os.environ.get('PATH', '')}")
    if k6 is None:
        raise ServingError("k6 is not installed; `make bench-load` builds it where there is Go")
    _OUT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="almanac-load-") as folder:
        bodies, name = _bodies(Path(folder))
        audit = ["--audit-log", f"{folder}/audit.jsonl"]
        command = [sys.executable, "-m", "serving", "--model", str(_MODEL), "--http-port", "0", *audit]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            try:
                url = f"{_address(server)}/v1/models/{name}:predict"
                found = [_run(k6, url, bodies, int(rate), seconds) for rate in rates.split(",")]
            finally:
                server.terminate()
    write_json(ROOT / "build" / "load.json", found)
    print(json.dumps(found, indent=1))
    if any(one["failed"] for one in found):
        raise typer.Exit(1)


def _bodies(folder: Path) -> tuple[Path, str]:
    """Write rows with their predictions, and return the file and the model's name."""
    X = write_model(_MODEL)
    bundle = load_bundle(_MODEL)
    (name, model) = next(iter(bundle.targets.items()))
    predictions = model.predict(Rows(X)).prediction.tolist()
    rows = [
        {"body": {"instances": [dict(zip(FEATURES, values, strict=True))]}, "expected": expected}
        for values, expected in zip(X.tolist(), predictions, strict=True)
    ]
    path = folder / "bodies.json"
    # Python's NaN is no JSON; a missing value is null.
    path.write_text(json.dumps(rows).replace("NaN", "null"))
    return path, name


def _address(server: "subprocess.Popen[str]") -> str:
    for line in server.stdout or ():
        if " on http://" in line:
            return line.rpartition(" on ")[2].strip()
    raise ServingError("the server ended before it was ready; its message is above")


def _run(k6: str, url: str, bodies: Path, rate: int, seconds: int) -> dict[str, Any]:
    summary, report = _OUT / f"{rate}.json", _OUT / f"{rate}.html"
    environment = {
        **os.environ, "URL": url, "BODIES": str(bodies), "RATE": str(rate), "SECONDS": str(seconds),
        "K6_WEB_DASHBOARD": "true", "K6_WEB_DASHBOARD_PORT": "-1", "K6_WEB_DASHBOARD_EXPORT": str(report),
        "K6_NO_USAGE_REPORT": "true",
    }  # fmt: skip
    done = subprocess.run([k6, "run", "--quiet", "--summary-export", str(summary), str(_SCRIPT)], env=environment)
    metrics = json.loads(summary.read_text())["metrics"]
    times = metrics["http_req_duration"]
    return {
        "requests_per_second": rate,
        "requests": metrics["http_reqs"]["count"],
        "failed": done.returncode != 0,
        "milliseconds": {name: round(times[name], 3) for name in ("med", "p(95)", "p(99)", "max")},
        "report": str(report.relative_to(ROOT)),
    }


if __name__ == "__main__":
    typer.run(main)

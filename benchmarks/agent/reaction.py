"""How long the running agent takes from an alarm to the end of the safe action that follows it."""

import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from benchmarks.agent.service import room
from operations.journal import Journal
from tests.support.server import ROOT, free_port, wait_for, write_model

_POLICY = """
use_cases: {{air: {{server: {{url: "{url}", key_file: "{key}"}}}}}}
causes: {{store: [reload_model]}}
actions: {{reload_model: {{per_day: 100}}}}
verify_seconds: 1
"""


def react(table: pl.DataFrame, count: int) -> list[float]:
    """Return for some alarms the seconds from the webhook's answer to the entry that the action is finished.

    Args:
        table: the real series.
        count: alarms.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = write_model(folder / "model", table)
        with room(folder / "room", table, [model, model], canary=False) as one:
            (folder / "policy.yaml").write_text(_POLICY.format(url=one.server.url, key=one.folder / "key"))
            port, registry = free_port(), str(folder / "registry")
            command = [sys.executable, "pipeline.py", "agent", "--policy", str(folder / "policy.yaml"), "--act"]
            command += ["--registry", registry, "--runs", str(folder / "runs"), "--state", str(folder / "state")]
            process = subprocess.Popen(
                [*command, "--port", str(port)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
            # The alarm is no false one: the agent looks at the server before it acts.
            one.redis.kill()
            try:
                assert process.stdout is not None
                process.stdout.readline()
                return [_reaction(f"http://127.0.0.1:{port}", registry, at) for at in range(count)]
            finally:
                process.terminate()
                process.communicate()


def _reaction(address: str, registry: str, number: int) -> float:
    journal = Journal(registry, "air")

    def finished() -> int:
        return sum(entry.kind == "finished" for entry in journal.entries())

    before = finished()
    alert = {
        "status": "firing",
        "labels": {"alertname": "AlmanacRedisAway", "severity": "page", "area": "serving", "use_case": "air"},
        "annotations": {"summary": "Redis does not answer"},
        "startsAt": f"{datetime.now(UTC).isoformat()}-{number}",
    }
    body = json.dumps({"version": "4", "alerts": [alert]}).encode()
    request = urllib.request.Request(f"{address}/alerts", body, {"content-type": "application/json"})
    began = time.monotonic()
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 200
    wait_for(lambda: finished() > before)
    return time.monotonic() - began

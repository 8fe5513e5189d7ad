"""The agent as a process of its own: a real server, a webhook, a kill, and a safe action in time."""

import json
import os
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from operations.agent import approvals
from operations.journal import Journal
from tests.support.background import in_background
from tests.support.server import ROOT, ServerProcess, Start, free_port, wait_for

ALERT = {
    "status": "firing",
    "labels": {"alertname": "AlmanacCanaryFailed", "severity": "page", "area": "serving", "use_case": "air"},
    "annotations": {"summary": "redis://ann:hunter22@store does not answer"},
    "startsAt": "2026-01-05T12:00:00Z",
}
POLICY = """
use_cases: {{air: {{server: {{url: "{url}"{key}}}}}}}
causes: {{bad_release: [raise_log_level, clear_caches, reload_model]}}
verify_seconds: 0.5
watch_seconds: 0.5
log_seconds: 600
"""


class AgentProcess:
    """An agent over a registry of its own."""

    def __init__(self, folder: Path, policy: str, *options: str) -> None:
        (folder / "policy.yaml").write_text(policy)
        self.folder, self.port = folder, free_port()
        command = [sys.executable, "pipeline.py", "agent", "--policy", str(folder / "policy.yaml"), *options]
        command += ["--registry", str(folder / "registry"), "--runs", str(folder / "runs"), "--port", str(self.port)]
        self.process = subprocess.Popen(
            [*command, "--state", str(folder / "state")],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline().startswith("agent on http://127.0.0.1:")

    @property
    def journal(self) -> Journal:
        """The journal, as another program reads it."""
        return Journal(str(self.folder / "registry"), "air")

    def kinds(self) -> list[str]:
        """Return the kinds of the journal's entries."""
        return [entry.kind for entry in self.journal.entries()]

    def send(self, body: Any, **headers: str) -> int:
        """Send a body to the webhook, a text as it is, and return the status."""
        sent = {"content-type": "application/json"} | {name.replace("_", "-"): text for name, text in headers.items()}
        address = f"http://127.0.0.1:{self.port}/alerts"
        data = body if isinstance(body, str) else json.dumps(body)
        request = urllib.request.Request(address, data.encode(), sent)
        try:
            with urllib.request.urlopen(request) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    def stop(self, number: int = signal.SIGTERM) -> str:
        """End the process, and return what it said."""
        self.process.send_signal(number)
        return self.process.communicate()[1]


class Slow:
    """A proxy before the server that holds orders of maintenance back after they are carried out."""

    def __init__(self, server: ServerProcess) -> None:
        self.orders: list[str] = []
        self.held, self.free = threading.Event(), threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._pass(server.get(self.path))

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                answer = server.post(self.path, body)
                if body.get("clear_caches"):
                    outer.orders.append(body["order"])
                    outer.held.set()
                    outer.free.wait()
                self._pass(answer)

            def _pass(self, answer: Any) -> None:
                try:
                    self.send_response(answer.status)
                    self.end_headers()
                    self.wfile.write(answer.body)
                except OSError:
                    pass

            def log_message(self, format: str, *args: object) -> None:
                return

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.http.server_address[1]}"


@pytest.fixture
def slow(start: Start) -> Iterator[Slow]:
    proxy = Slow(start())
    with in_background(proxy.http):
        yield proxy
        proxy.free.set()


def test_killed_between_an_effect_and_its_entry_it_goes_on(slow: Slow, tmp_path: Path) -> None:
    first = AgentProcess(tmp_path, POLICY.format(url=slow.url, key=""), "--act")
    assert first.send({"alerts": [ALERT]}) == 200
    slow.held.wait()
    # The server has carried the order out, and the agent does not know it.
    first.stop(signal.SIGKILL)
    slow.free.set()
    started = [entry for entry in first.journal.entries() if entry.kind == "started"]
    assert [entry.kind for entry in first.journal.entries() if entry.plan == started[-1].plan] == [
        "proposed",
        "started",
    ]
    second = AgentProcess(tmp_path, POLICY.format(url=slow.url, key=""), "--act")
    wait_for(lambda: "gave_up" in second.kinds())
    said = second.stop()
    assert slow.orders == [started[-1].plan]
    entries = second.journal.entries()
    finished = {entry.plan: entry.detail for entry in entries if entry.kind == "finished"}
    assert finished[started[-1].plan] == {"resumed": True}
    assert sum(entry.kind == "started" for entry in entries) == 3
    # Nothing of the alarm's password is in the journal or in what the agent says.
    assert "hunter22" not in said + json.dumps([entry.to_dict() for entry in entries])


def test_a_dry_run_orders_nothing_and_the_stop_switch_holds(slow: Slow, tmp_path: Path) -> None:
    dry = AgentProcess(tmp_path, POLICY.format(url=slow.url, key=""))
    assert dry.send({"alerts": [ALERT]}) == 200
    wait_for(lambda: dry.kinds() == ["alarm", "diagnosed"])
    approvals.switch(dry.journal, stop=True, who="olga", why="an incident")
    assert "would take the action raise_log_level, which is safe" in dry.stop()
    acting = AgentProcess(tmp_path, POLICY.format(url=slow.url, key=""), "--act")
    wait_for(lambda: "proposed" in acting.kinds())
    assert acting.send({"alerts": [{**ALERT, "status": "resolved"}]}) == 200
    wait_for(lambda: acting.kinds()[-1] == "rejected")
    acting.stop()
    assert "started" not in acting.kinds()
    assert slow.orders == []


def test_who_may_send_alarms(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("a-key-of-the-sender\n")
    agent = AgentProcess(tmp_path, "use_cases: {air: {}}\ncauses: {}\n", "--key-file", str(key))
    assert agent.send({"alerts": []}) == 401
    assert agent.send({"alerts": []}, authorization="Bearer another-key-of-some-length") == 401
    good = "Bearer a-key-of-the-sender"
    assert agent.send({"alerts": []}, authorization=good) == 200
    assert agent.send({"alerts": [{}]}, authorization=good) == 400
    assert agent.send({"alerts": [{"x": "x" * (1 << 20)}]}, authorization=good) == 400
    assert agent.send("[" * 100_000, authorization=good) == 400
    assert agent.send({"alerts": []}, authorization=good, origin="http://evil.example") == 403
    assert agent.send({"alerts": []}, authorization=good, content_type="text/plain") == 415
    with urllib.request.urlopen(f"http://127.0.0.1:{agent.port}/healthz") as answer:
        assert answer.status == 200
    agent.stop()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "--policy is missing"),
        (["--policy", "nowhere.yaml"], "nowhere.yaml: cannot be read (No such file or directory)"),
        (
            ["--policy", "examples/agent-policy.yaml", "--host", "0.0.0.0"],
            "others can reach it, so that it needs --key-file",
        ),
    ],
)
def test_an_agent_that_cannot_start_says_why(tmp_path: Path, options: list[str], message: str) -> None:
    command = [
        sys.executable,
        "pipeline.py",
        "agent",
        *options,
        "--state",
        str(tmp_path),
        "--registry",
        str(tmp_path / "r"),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=dict(os.environ), check=False)
    assert (done.returncode, message in done.stderr) == (1, True), done.stderr

"""The committed configuration in a real Alertmanager, with receivers on loopback."""

import base64
import json
import re
import socketserver
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.background import in_background
from tests.support.live import ROOT, alerts, get_json, needs, read_yaml, running, wait_for
from tests.support.server import free_port

CONFIG = ROOT / "monitoring" / "alertmanager.yaml"
PASSWORD = "from-a-file"
AGENT_KEY = "of-the-agent"


@dataclass
class Received:
    """What came in: Slack messages by path, mails with who logged in, and the agent's alerts by its key."""

    slack: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    mails: list[str] = field(default_factory=list)
    logins: list[tuple[str, str]] = field(default_factory=list)
    heard: list[tuple[str | None, str]] = field(default_factory=list)

    def mail_of(self, name: str) -> str | None:
        """The mail that names an alert."""
        return next((mail for mail in self.mails if name in mail), None)

    def slack_of(self, name: str) -> dict[str, Any] | None:
        """The Slack attachment that names an alert, with its channel."""
        for _, message in self.slack:
            attachment = message["attachments"][0]
            if name in attachment["title"]:
                return {"channel": message["channel"], **attachment}
        return None


def webhook_handler(received: Received) -> type[BaseHTTPRequestHandler]:
    """Takes what is posted to Slack's webhook, and to the agent."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            if self.path == "/alerts":
                key, names = self.headers["authorization"], [each["labels"]["alertname"] for each in body["alerts"]]
                received.heard += [(key, name) for name in names]
            else:
                received.slack.append((self.path, body))
            self.send_response(200)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


def smtp_handler(received: Received) -> type[socketserver.StreamRequestHandler]:
    """Takes mails, as RFC 5321 has it, after AUTH PLAIN."""

    class Handler(socketserver.StreamRequestHandler):
        def say(self, text: str) -> None:
            self.wfile.write(f"{text}\r\n".encode())

        def handle(self) -> None:
            self.say("220 loopback")
            while line := self.rfile.readline().decode().strip():
                verb = line.split()[0].upper()
                if verb == "EHLO":
                    self.say("250-loopback\r\n250 AUTH PLAIN")
                elif verb == "AUTH":
                    _, user, password = base64.b64decode(line.split()[2]).decode().split("\0")
                    received.logins.append((user, password))
                    self.say("235 ok")
                elif verb == "DATA":
                    self.say("354 go on")
                    lines = []
                    while (text := self.rfile.readline().decode().rstrip("\r\n")) != ".":
                        lines.append(text)
                    received.mails.append("\n".join(lines))
                    self.say("250 ok")
                elif verb == "QUIT":
                    self.say("221 bye")
                    return
                else:
                    self.say("250 ok")

    return Handler


def configuration(folder: Path, web: int, smtp: int) -> Path:
    """The committed configuration with loopback addresses, secret files of its own, and no waiting."""
    (folder / "slack_url").write_text(f"http://127.0.0.1:{web}/services/hook\n")
    (folder / "smtp_password").write_text(PASSWORD)
    (folder / "agent_key").write_text(AGENT_KEY)
    config = read_yaml(CONFIG)
    config["global"] |= {
        "slack_api_url_file": str(folder / "slack_url"), "smtp_smarthost": f"localhost:{smtp}",
        "smtp_auth_password_file": str(folder / "smtp_password"), "smtp_require_tls": False,
    }  # fmt: skip
    config["templates"] = [str(CONFIG.parent / pattern) for pattern in config["templates"]]
    (hook,) = next(each for each in config["receivers"] if each["name"] == "agent")["webhook_configs"]
    hook["url"] = hook["url"].replace("agent:8091", f"127.0.0.1:{web}")
    hook["http_config"]["authorization"]["credentials_file"] = str(folder / "agent_key")
    for route in (config["route"], *config["route"]["routes"]):
        route |= {"group_wait": "200ms", "group_interval": "1s"}
    path = folder / "alertmanager.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


class SmtpServer(socketserver.ThreadingTCPServer):
    """Threads of it end with the test."""

    daemon_threads = True


@pytest.fixture(scope="module")
def manager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Received]]:
    """A running Alertmanager, and what it sends."""
    folder, received, port = tmp_path_factory.mktemp("alertmanager"), Received(), free_port()
    http = ThreadingHTTPServer(("127.0.0.1", 0), webhook_handler(received))
    mail = SmtpServer(("127.0.0.1", 0), smtp_handler(received))
    with in_background(http), in_background(mail):
        config = configuration(folder, http.server_port, mail.server_address[1])
        command = [
            "prometheus-alertmanager", f"--config.file={config}",
            f"--storage.path={folder / 'data'}", f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=", "--log.level=debug",
        ]  # fmt: skip
        with running(command, folder / "log"):
            wait_for(lambda: get_json(f"http://127.0.0.1:{port}/api/v2/status"), 30)
            yield port, received


def fire(port: int, name: str, **labels: str) -> None:
    """Send an alert as Prometheus does, from its rule."""
    rule = alerts()[name]
    base = read_yaml(CONFIG.parent / "prometheus.yaml")["global"]["external_labels"]["runbooks"]
    annotations = {key: re.sub(r"\{\{ or .* \}\}", base, text) for key, text in rule["annotations"].items()}
    alert = {"labels": {"alertname": name, **rule["labels"], **labels}, "annotations": annotations}
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/v2/alerts", json.dumps([alert]).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200


def keys_of(value: Any) -> Iterator[str]:
    """All keys of a configuration, at any depth."""
    if isinstance(value, dict):
        yield from value
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from keys_of(part)


@needs("amtool")
def test_the_committed_configuration_is_valid() -> None:
    done = subprocess.run(["amtool", "check-config", str(CONFIG)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@needs("amtool")
@pytest.mark.parametrize("name", sorted(alerts()))
def test_every_alert_has_a_receiver(name: str) -> None:
    labels = [f"{key}={value}" for key, value in {"alertname": name, **alerts()[name]["labels"]}.items()]
    command = ["amtool", "config", "routes", "test", f"--config.file={CONFIG}", *labels]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    people = {"page": "pages", "ticket": "tickets"}[alerts()[name]["labels"]["severity"]]
    assert done.stdout.strip() == f"agent,{people}"


def test_no_secret_is_in_the_configuration() -> None:
    config = read_yaml(CONFIG)
    secret = {"slack_api_url", "smtp_auth_password", "smtp_auth_secret", "api_url", "auth_password"}
    secret |= {"auth_secret", "credentials", "password", "bearer_token", "client_secret"}
    assert not secret & set(keys_of(config))
    kinds = {kind for receiver in config["receivers"] for kind in receiver}
    assert kinds == {"name", "slack_configs", "email_configs", "webhook_configs"}
    authorized = [each for receiver in config["receivers"] for each in receiver.get("webhook_configs", [])]
    assert [set(each["http_config"]["authorization"]) for each in authorized] == [{"credentials_file"}]
    assert "hooks.slack.com" not in CONFIG.read_text()


def test_inhibitions_name_alerts_that_exist() -> None:
    for rule in read_yaml(CONFIG)["inhibit_rules"]:
        for matcher in (*rule["source_matchers"], *rule["target_matchers"]):
            for name in matcher.partition('"')[2].rstrip('"').split("|"):
                assert name in alerts(), name


@needs("prometheus-alertmanager")
def test_a_page_goes_to_slack_and_by_mail(manager: tuple[int, Received]) -> None:
    port, received = manager
    fire(port, "AlmanacFeatureStoreErrors", job="almanac-server", store="redis")
    message = wait_for(lambda: received.slack_of("AlmanacFeatureStoreErrors"))
    assert (message["channel"], message["color"]) == ("#almanac-pages", "danger")
    assert message["title"] == "[FIRING: 1] AlmanacFeatureStoreErrors"
    # As Prometheus expands the annotation; see test_notifications.py for the address itself.
    assert "What to do: http://127.0.0.1:9108/runbooks#almanacfeaturestoreerrors" in message["text"]
    mail = wait_for(lambda: received.mail_of("AlmanacFeatureStoreErrors"))
    assert "To: oncall@example.org" in mail
    assert ("almanac@example.org", PASSWORD) in received.logins
    assert {path for path, _ in received.slack} == {"/services/hook"}
    wait_for(lambda: (f"Bearer {AGENT_KEY}", "AlmanacFeatureStoreErrors") in received.heard)


@needs("prometheus-alertmanager")
def test_a_ticket_goes_elsewhere_and_an_inhibited_one_nowhere(manager: tuple[int, Received]) -> None:
    port, received = manager
    fire(port, "AlmanacErrorBudgetBurn14x", job="almanac-server")
    wait_for(lambda: received.slack_of("AlmanacErrorBudgetBurn14x"))
    fire(port, "AlmanacErrorBudgetBurn1x", job="almanac-server")
    fire(port, "AlmanacDriftLive", model="demand")
    message = wait_for(lambda: received.slack_of("AlmanacDriftLive demand"))
    assert (message["channel"], message["color"]) == ("#almanac", "warning")
    mail = wait_for(lambda: received.mail_of("AlmanacDriftLive"))
    assert "To: almanac@example.org" in mail
    wait_for(lambda: (f"Bearer {AGENT_KEY}", "AlmanacDriftLive") in received.heard)
    held = [a for a in get_json(f"http://127.0.0.1:{port}/api/v2/alerts") if a["status"]["inhibitedBy"]]
    assert [alert["labels"]["alertname"] for alert in held] == ["AlmanacErrorBudgetBurn1x"]
    assert received.slack_of("AlmanacErrorBudgetBurn1x") is None
    assert "AlmanacErrorBudgetBurn1x" not in {name for _, name in received.heard}

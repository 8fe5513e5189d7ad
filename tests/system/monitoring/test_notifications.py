"""Notifications: a runbook's address opens, and a missing secret is said at the start."""

import re
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitoring.__main__ import main
from monitoring.operations import runbooks
from monitoring.operations.notifications import problems
from tests.support.live import (
    ROOT,
    RULES,
    alerts,
    get_json,
    needs,
    prometheus_command,
    query,
    read_yaml,
    running,
    wait_for,
)
from tests.support.server import free_port

CONFIG = ROOT / "monitoring" / "alertmanager.yaml"


def test_the_page_has_an_entry_of_every_alert() -> None:
    page = runbooks.page()
    assert set(runbooks.entries()) == set(alerts())
    assert set(re.findall(r'<section id="([^"]+)"', page)) >= {runbooks.anchor(name) for name in alerts()}
    assert not re.findall(r'(?:src|href)="(?!#)[^"]*"', page)


@needs("prometheus")
def test_the_address_of_a_runbook_opens(tmp_path: Path) -> None:
    """Prometheus with the committed setting, its port aside, and the exporter that serves the page."""
    own, exported = free_port(), free_port()
    config = read_yaml(ROOT / "monitoring" / "prometheus.yaml")
    config["global"] |= {"evaluation_interval": "500ms", "scrape_interval": "500ms"}
    labels = config["global"]["external_labels"]
    labels["runbooks"] = labels["runbooks"].replace(":9108", f":{exported}")
    config |= {"rule_files": [str(RULES / "*.yaml")], "scrape_configs": []}
    del config["alerting"]
    (tmp_path / "prometheus.yaml").write_text(yaml.safe_dump(config))
    (tmp_path / "figures").mkdir()
    exporter = [sys.executable, "-m", "monitoring", "exporter", str(tmp_path / "figures"), f"--port={exported}"]
    start = prometheus_command(tmp_path / "prometheus.yaml", tmp_path / "data", own)

    def raised() -> list[dict[str, Any]]:
        found = get_json(f"http://127.0.0.1:{own}/api/v1/alerts")
        return found["data"]["alerts"] if found else []

    with running(exporter, tmp_path / "exporter.log", ROOT), running(start, tmp_path / "prometheus.log"):
        alert = wait_for(raised, 30)[0]
        address, _, fragment = alert["annotations"]["runbook_url"].partition("#")
        assert fragment == alert["labels"]["alertname"].lower()
        page = wait_for(lambda: _page(address), 30)
    assert f'<section id="{fragment}">' in page


def _page(address: str) -> str:
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            assert answer.headers["content-type"].startswith("text/html")
            return str(answer.read().decode())
    except OSError:
        return ""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The committed configuration with addresses of one's own, and all secrets."""
    text = CONFIG.read_text().replace("example.org", "almanac.city").replace("/etc/alertmanager/", "")
    (tmp_path / "alertmanager.yaml").write_text(text)
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "slack_url").write_text("https://hooks.almanac.city/services/T0/B0/hush\n")
    (tmp_path / "secrets" / "smtp_password").write_text("hush")
    (tmp_path / "secrets" / "agent_key").write_text("hush")
    return tmp_path / "alertmanager.yaml"


def test_a_configuration_that_is_complete(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert problems(config) == []
    assert main(["notifications", str(config)]) == 0
    assert "is there" in capsys.readouterr().out


def test_what_is_missing_is_said_before_an_alert_fires(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    secrets = config.parent / "secrets"
    (secrets / "slack_url").unlink()
    (secrets / "smtp_password").write_text(" \n")
    (secrets / "agent_key").unlink()
    assert main(["notifications", str(config)]) == 1
    said = capsys.readouterr().err
    assert f"global.slack_api_url_file: {secrets}/slack_url is missing" in said
    assert f"global.smtp_auth_password_file: {secrets}/smtp_password is empty" in said
    assert f"http_config.authorization.credentials_file: {secrets}/agent_key is missing" in said
    (secrets / "slack_url").write_text("hush, no address")
    (found, _, _) = problems(config)
    assert found == f"global.slack_api_url_file: {secrets}/slack_url does not hold a URL"


def test_an_address_of_the_example_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["notifications", str(CONFIG)]) == 1
    said = capsys.readouterr().err
    assert "global.smtp_smarthost is 'smtp.example.org:587', an example" in said
    assert "receivers.1.email_configs.0.to is 'oncall@example.org', an example" in said


@pytest.mark.parametrize("text", ["receivers: [", "- a list", "route: {receiver: a}", None])
def test_what_is_no_configuration_is_named(
    tmp_path: Path, text: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "alertmanager.yaml"
    if text is not None:
        path.write_text(text)
    assert main(["notifications", str(path)]) == 1
    assert str(path) in capsys.readouterr().err


@needs("prometheus")
@needs("prometheus-alertmanager")
def test_a_delivery_that_fails_is_an_alert(config: Path, tmp_path: Path) -> None:
    """A real Alertmanager without its secret, scraped by a real Prometheus with the committed rules."""
    own, manager = free_port(), free_port()
    (tmp_path / "secrets" / "slack_url").unlink()
    document = yaml.safe_load(config.read_text())
    for route in (document["route"], *document["route"]["routes"]):
        route |= {"group_wait": "100ms", "group_interval": "1s"}
    document["receivers"] = [
        {key: each[key] for key in ("name", "slack_configs") if key in each} for each in document["receivers"]
    ]
    document["templates"] = [str(ROOT / "monitoring" / "templates" / "*.tmpl")]
    config.write_text(yaml.safe_dump(document))
    rules = tmp_path / "rules"
    rules.mkdir()
    for path in RULES.glob("*.yaml"):
        (rules / path.name).write_text(re.sub(r"^( +for:) .*$", r"\1 1s", path.read_text(), flags=re.MULTILINE))
    scraped = {"job_name": "alertmanager", "static_configs": [{"targets": [f"127.0.0.1:{manager}"]}]}
    settings = {
        "global": {"scrape_interval": "500ms", "evaluation_interval": "500ms"},
        "rule_files": [str(rules / "*.yaml")],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{manager}"]}]}]},
        "scrape_configs": [scraped],
    }
    (tmp_path / "prometheus.yaml").write_text(yaml.safe_dump(settings))
    command = [
        "prometheus-alertmanager", f"--config.file={config}", f"--storage.path={tmp_path / 'data'}",
        f"--web.listen-address=127.0.0.1:{manager}", "--cluster.listen-address=",
    ]  # fmt: skip
    # Prometheus looks for its Alertmanagers every five seconds only, and would send an earlier alert again in a minute.
    start = [*prometheus_command(tmp_path / "prometheus.yaml", tmp_path / "tsdb", own), "--rules.alert.resend-delay=1s"]
    with running(command, tmp_path / "alertmanager.log"), running(start, tmp_path / "prometheus.log"):
        wait_for(lambda: get_json(f"http://127.0.0.1:{own}/api/v1/targets"), 30)
        failing = 'ALERTS{alertname="AlmanacNotificationsFailing",integration="slack"}'
        assert wait_for(lambda: query(own, failing), 60)

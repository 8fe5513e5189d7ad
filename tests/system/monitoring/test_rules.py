"""Rules, their cases, their runbooks, and the metrics that they ask for."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest

from monitoring import metrics
from monitoring.operations import runbooks
from monitoring.operations.dashboards import boards
from tests.support.live import ROOT, RULES, alerts, needs, read_yaml, recordings, series_names

CASES = sorted((RULES / "tests").glob("*.yaml"))
RUNBOOKS = ROOT / "monitoring" / "runbooks.md"
# What Prometheus itself makes.
OWN = {"up"}


def asked(expression: str) -> set[str]:
    """Names of the series that an expression asks for."""
    bare = re.sub(r'"[^"]*"', '""', expression)
    names = set(re.findall(r"\b(?:almanac[a-z0-9_]*(?::[a-z0-9_]+)*)\b", bare))
    return names | ({"up"} if re.search(r"\bup\b", bare) else set())


def expressions() -> dict[str, str]:
    """Every expression of a rule or a panel, by where it stands."""
    found = {f"alert {name}": str(rule["expr"]) for name, rule in alerts().items()}
    found |= {f"record {name}": expression for name, expression in recordings().items()}
    for path in sorted((ROOT / "monitoring" / "dashboards").glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel.get("targets", []):
                found[f"{path.name} {panel['title']} {target['refId']}"] = target["expr"]
    return found


def test_every_series_asked_for_is_exported_or_recorded() -> None:
    known = series_names() | set(recordings()) | OWN
    missing = {place: names for place, text in expressions().items() if (names := asked(text) - known)}
    assert missing == {}
    assert len(expressions()) > 100


def test_a_name_that_nothing_exports_is_seen() -> None:
    assert asked('rate(almanac_nonsense_total{a="up"}[5m]) / almanac:x:rate5m') == {
        "almanac_nonsense_total",
        "almanac:x:rate5m",
    }


def test_labels_asked_for_are_declared() -> None:
    """A matcher on a label that a metric does not have matches nothing, silently."""
    labels = {name: {*m.labels, "job", "instance", "le"} for m in metrics.ALL for name in m.series}
    for place, text in expressions().items():
        for name, matchers in re.findall(r"\b(almanac_[a-z0-9_]+)\{([^}]*)\}", text):
            used = set(re.findall(r"([a-z_]+)\s*(?:=~|!~|!=|=)", re.sub(r'"[^"]*"', '""', matchers)))
            assert used <= labels[name], f"{place}: {name} has no {used - labels[name]}"


def test_every_exported_metric_is_shown_or_watched() -> None:
    used = set().union(*(asked(text) for text in expressions().values()))
    assert [metric.name for metric in metrics.ALL if not used & set(metric.series)] == []


def test_the_server_registers_what_is_declared_as_its_own() -> None:
    registry = CollectorRegistry()
    metrics.Metrics(registry)
    shown = set(re.findall(r"^# TYPE (\S+)", generate_latest(registry).decode(), re.MULTILINE))
    shown = {name for name in shown if not name.endswith("_created")}
    assert shown == {metric.name for metric in metrics.ALL if metric.origin == "server"}


def test_names_follow_the_conventions() -> None:
    names = [metric.name for metric in metrics.ALL]
    assert len(names) == len(set(names))
    for metric in metrics.ALL:
        assert re.fullmatch(r"almanac_[a-z0-9]+(_[a-z0-9]+)*", metric.name), metric.name
        assert metric.name.endswith("_total") == (metric.kind == "counter"), metric.name
        assert metric.help.endswith("."), metric.name


def test_every_alert_says_what_it_must() -> None:
    anchors = {runbooks.anchor(name) for name in runbooks.entries()}
    for name, rule in alerts().items():
        assert name.startswith("Almanac"), name
        assert rule["labels"]["severity"] in {"page", "ticket"}, name
        assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}, name
        base = '{{ or $externalLabels.runbooks "monitoring/runbooks.md" }}'
        assert rule["annotations"]["runbook_url"] == f"{base}#{name.lower()}", name
        assert name.lower() in anchors, f"{name} has no runbook"
    assert anchors == {name.lower() for name in alerts()}, "a runbook of no alert"


@pytest.mark.parametrize("name", sorted(alerts()))
def test_a_runbook_says_meaning_checks_and_what_to_do(name: str) -> None:
    section = re.search(rf"^## {name}\n(.*?)(?=^## |\Z)", RUNBOOKS.read_text(), re.MULTILINE | re.DOTALL)
    assert section is not None
    for part in ("**Means:**", "**Look at:**", "**Do:**"):
        assert part in section[1], f"{name}: no {part}"


def test_runbooks_name_paths_and_panels_that_exist() -> None:
    text = " ".join(RUNBOOKS.read_text().replace("**", "").split())
    for path in re.findall(r"`((?:monitoring|serving|usecases|components|governance)/[\w./-]+)`", text):
        assert (ROOT / path).exists(), path
    titles = {board.title: {panel.title for panel in board.panels} for board in boards()}
    named = re.findall(r"\*([^*/`]+) / ([^*`]+)\*", text)
    assert len(named) > 30
    for board, panel in named:
        assert panel in titles[board], f"{board} / {panel}"


def test_every_alert_has_a_case_that_fires_and_one_that_must_not() -> None:
    fires: set[str] = set()
    quiet: set[str] = set()
    for path in CASES:
        for case in read_yaml(path)["tests"]:
            for asked_for in case["alert_rule_test"]:
                (fires if asked_for["exp_alerts"] else quiet).add(asked_for["alertname"])
                assert ("must not fire" in case["name"]) == (not asked_for["exp_alerts"]), case["name"]
    assert fires == quiet == set(alerts())


@needs("promtool")
def test_promtool_finds_the_rules_and_the_configuration_valid() -> None:
    rules = sorted(str(path) for path in RULES.glob("*.yaml"))
    done = subprocess.run(["promtool", "check", "rules", "--lint-fatal", *rules], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    config = str(ROOT / "monitoring" / "prometheus.yaml")
    done = subprocess.run(["promtool", "check", "config", config], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@needs("promtool")
@pytest.mark.parametrize("cases", CASES, ids=lambda path: path.stem)
def test_promtool_runs_the_cases(cases: Path) -> None:
    done = subprocess.run(["promtool", "test", "rules", str(cases)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@needs("promtool")
def test_a_case_can_fail(tmp_path: Path) -> None:
    """promtool notices when an alert does not fire that should."""
    cases = read_yaml(RULES / "tests" / "model.yaml")
    cases["rule_files"] = [str(RULES / name.removeprefix("../")) for name in cases["rule_files"]]
    cases["tests"] = [case for case in cases["tests"] if case["name"].startswith("AlmanacDataStale fires")]
    broken = tmp_path / "broken.yaml"
    broken.write_text(yaml.safe_dump(cases).replace("14400x30", "1x30"))
    done = subprocess.run(["promtool", "test", "rules", str(broken)], capture_output=True, text=True)
    assert done.returncode != 0
    assert "AlmanacDataStale" in done.stdout + done.stderr


def test_the_servers_job_is_the_same_everywhere() -> None:
    """Rules, local configuration and the cluster's ServiceMonitor agree on what a server is called."""
    jobs = {name for text in expressions().values() for name in re.findall(r'\bjob="([^"]+)"', text)}
    config = read_yaml(ROOT / "monitoring" / "prometheus.yaml")
    assert jobs == {"almanac-server"}
    assert jobs < {job["job_name"] for job in config["scrape_configs"]}
    objects = (ROOT / "serving" / "deploy" / "objects.yaml").read_text()
    assert re.search(r"targetLabel: job\s+replacement: almanac-server\b", objects)

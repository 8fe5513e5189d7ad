"""compose.yaml against the files and programs that it names, and the same system started natively."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml

from tests.support.live import ROOT, RULES, get_json, needs, prometheus_command, query, read_yaml, running, wait_for
from tests.support.server import ServerProcess, as_row, free_port, simple_features, write_model

SERVICE_KEYS = {
    "build", "cap_drop", "command", "depends_on", "entrypoint", "environment", "healthcheck", "image", "ports",
    "networks", "read_only", "restart", "security_opt", "tmpfs", "user", "volumes", "working_dir",
}  # fmt: skip
# Made by `make run` and `make compose`; all outside version control.
MADE_LATER = {"./registry", "./runs", "./.almanac/figures", "./.almanac/secrets", "./.almanac/console"}
# What people decide in the console and what the agent notes are written there, as the user who owns it.
WRITTEN_TO = {("console", "./registry"), ("console", "./.almanac/console"), ("agent", "./registry")}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """The document."""
    document: dict[str, Any] = read_yaml(ROOT / "compose.yaml")
    return document


def command_of(service: dict[str, Any]) -> list[str]:
    """Its command, with the variables' defaults."""
    return [re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", str(word)) for word in service["command"]]


def option(command: list[str], name: str) -> str:
    """The value of --name=value."""
    return next(word.partition("=")[2] for word in command if word.startswith(f"--{name}="))


def test_services_and_what_they_need_are_there(compose: dict[str, Any]) -> None:
    assert set(compose["services"]) == {
        "server", "seed", "redis", "postgres", "console", "agent",
        "figures", "prometheus", "notifications", "alertmanager", "grafana",
    }  # fmt: skip
    for name, service in compose["services"].items():
        assert set(service) <= SERVICE_KEYS, name
        assert set(service.get("depends_on", ())) <= set(compose["services"]), name
        for port in service.get("ports", ()):
            assert re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port), f"{name}: {port} is open to other machines"
        if "build" in service:
            assert (ROOT / service["build"]["dockerfile"]).is_file()
        else:
            # The version for people, the digest for the engine: a tag can be moved.
            fixed = r"[a-z/]+:v?\d+\.\d+(\.\d+)?[\w-]*@sha256:[0-9a-f]{64}"
            assert re.fullmatch(fixed, service["image"]), f"{name}: no fixed version and digest"
            assert len(set(service["image"][-64:])) > 8, f"{name}: no digest"


def test_dependabot_watches_every_image(compose: dict[str, Any]) -> None:
    updates = read_yaml(ROOT / ".github" / "dependabot.yml")["updates"]
    watched = {
        (update["package-ecosystem"], folder)
        for update in updates
        for folder in update.get("directories", [update.get("directory")])
    }
    assert ("docker-compose", "/") in watched
    dockerfiles = {f"/{path.parent.relative_to(ROOT)}" for path in ROOT.glob("[a-z]*/Dockerfile")}
    assert dockerfiles and {("docker", folder) for folder in dockerfiles} <= watched
    built = {service["build"]["dockerfile"] for service in compose["services"].values() if "build" in service}
    assert {f"/{Path(file).parent}" for file in built} <= dockerfiles


def test_the_runbooks_are_where_prometheus_says(compose: dict[str, Any]) -> None:
    address = read_yaml(ROOT / "monitoring" / "prometheus.yaml")["global"]["external_labels"]["runbooks"]
    figures = compose["services"]["figures"]
    host, path = re.fullmatch(r"http://([\d.:]+)(/\w+)", address).groups()  # type: ignore[union-attr]
    assert (f"{host}:{option(command_of(figures), 'port')}", path) == (figures["ports"][0], "/runbooks")


def test_mounted_files_are_there(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            if source.startswith("./"):
                written = not volume.endswith(":ro")
                assert written == ((name, source) in WRITTEN_TO), f"{name}: {volume}"
                assert not written or service["user"].startswith("${ALMANAC_USER"), name
                assert source in MADE_LATER or (ROOT / source).exists(), f"{name}: {source}"
            else:
                assert source in compose["volumes"], f"{name}: {source}"


def test_addresses_are_those_of_services(compose: dict[str, Any]) -> None:
    services = compose["services"]
    listening = {
        "server": option(command_of(services["server"]), "http-port"),
        "figures": option(command_of(services["figures"]), "port"),
        "alertmanager": "9093", "prometheus": "9090", "redis": "6379",
    }  # fmt: skip
    config = read_yaml(ROOT / "monitoring" / "prometheus.yaml")
    places = [manager["static_configs"] for manager in config["alerting"]["alertmanagers"]]
    places += [job["static_configs"] for job in config["scrape_configs"]]
    targets = [target for place in places for static in place for target in static["targets"]]
    grafana = read_yaml(ROOT / "monitoring" / "grafana" / "datasources" / "almanac.yaml")
    targets += [source["url"].removeprefix("http://") for source in grafana["datasources"]]
    targets.append(option(command_of(services["server"]), "feature-store").removeprefix("redis://").partition("/")[0])
    assert len(targets) == 7
    for target in targets:
        name, _, port = target.partition(":")
        assert target == "localhost:9090" or listening[name] == port, target


def test_paths_inside_containers_fit_together(compose: dict[str, Any]) -> None:
    def inside(name: str) -> dict[str, str]:
        pairs = [volume.split(":")[:2] for volume in compose["services"][name].get("volumes", ())]
        return {target: source for source, target in pairs}

    prometheus, manager, grafana = inside("prometheus"), inside("alertmanager"), inside("grafana")
    assert prometheus[option(command_of(compose["services"]["prometheus"]), "config.file")].endswith("prometheus.yaml")
    assert prometheus["/etc/prometheus/rules"] == "./monitoring/rules"
    config = read_yaml(ROOT / "monitoring" / "alertmanager.yaml")
    for key in ("slack_api_url_file", "smtp_auth_password_file"):
        assert str(Path(config["global"][key]).parent) in manager
    assert manager["/etc/alertmanager/templates"] == "./monitoring/templates"
    provider = read_yaml(ROOT / "monitoring" / "grafana" / "dashboards" / "almanac.yaml")["providers"][0]
    assert grafana[provider["options"]["path"]] == "./monitoring/dashboards"
    home = compose["services"]["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (ROOT / home.replace(provider["options"]["path"], "monitoring/dashboards")).is_file()
    sources = read_yaml(ROOT / "monitoring" / "grafana" / "datasources" / "almanac.yaml")["datasources"]
    assert [source["type"] for source in sources] == ["prometheus"]


def test_no_secret_is_written_down(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        for key in service.get("environment", {}):
            assert not re.search("PASSWORD|SECRET|TOKEN|KEY", key), key
    ignored = (ROOT / ".gitignore").read_text().split()
    assert "/.almanac/" in ignored


def _compose_command() -> list[str]:
    """Return how compose is called here: as the client's plugin, or as Debian's program."""
    plugin = ["docker", "compose"]
    if shutil.which("docker") and subprocess.run([*plugin, "version"], capture_output=True).returncode == 0:
        return plugin
    return ["docker-compose"]


@pytest.mark.skipif(
    shutil.which(_compose_command()[0]) is None and os.environ.get("CI") != "true",
    reason="neither docker compose nor docker-compose is installed",
)
def test_compose_itself_finds_it_valid() -> None:
    command = [*_compose_command(), "-f", str(ROOT / "compose.yaml"), "config", "-q"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_server_takes_the_options(compose: dict[str, Any]) -> None:
    done = subprocess.run([sys.executable, "-m", "serving", "--help"], capture_output=True, text=True, cwd=ROOT)
    for word in command_of(compose["services"]["server"]):
        assert word.partition("=")[0] in done.stdout, word


@pytest.mark.parametrize("name", ["console", "agent", "seed"])
def test_the_rooms_commands_take_the_options(compose: dict[str, Any], name: str) -> None:
    command, *words = command_of(compose["services"][name])
    done = subprocess.run(
        [sys.executable, "pipeline.py", command, "--help"],
        capture_output=True, text=True, cwd=ROOT, env={**os.environ, "COLUMNS": "200"},
    )  # fmt: skip
    for word in words:
        if word.startswith("--"):
            assert word.partition("=")[0] in done.stdout, word


def test_alarms_reach_the_agent_with_its_key(compose: dict[str, Any]) -> None:
    config = read_yaml(ROOT / "monitoring" / "alertmanager.yaml")
    (first, *_) = config["route"]["routes"]
    assert (first["receiver"], first["continue"], first.get("matchers")) == ("agent", True, None)
    (hook,) = next(each for each in config["receivers"] if each["name"] == "agent")["webhook_configs"]
    agent = command_of(compose["services"]["agent"])
    assert hook["url"] == f"http://agent:{option(agent, 'port')}/alerts"
    key = Path(hook["http_config"]["authorization"]["credentials_file"])
    assert key.name == Path(option(agent, "key-file")).name
    assert "./.almanac/secrets:/etc/alertmanager/secrets:ro" in compose["services"]["alertmanager"]["volumes"]
    assert key.parent == Path("/etc/alertmanager/secrets")


def test_the_history_is_reached_by_the_console_alone(compose: dict[str, Any]) -> None:
    assert compose["networks"]["history"] == {"internal": True}
    on = {name for name, service in compose["services"].items() if "history" in service.get("networks", ())}
    assert on == {"postgres", "console"}
    assert "ports" not in compose["services"]["postgres"]
    assert compose["services"]["postgres"]["networks"] == ["history"]


def test_the_figures_need_no_training_stack() -> None:
    """The image has neither the table library nor the pipelines' packages."""
    code = (
        "import sys\n"
        "for name in ('polars', 'pandas', 'kfp', 'sklearn', 'grafana_foundation_sdk'): sys.modules[name] = None\n"
        "from monitoring.__main__ import main\nraise SystemExit(main(['exporter', 'nowhere']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, "nowhere: no such directory" in done.stderr) == (1, True), done.stderr


def local_configuration(folder: Path, ports: dict[str, int]) -> Path:
    """The committed configuration of Prometheus on loopback, with short intervals and alerts that do not wait."""
    rules = folder / "rules"
    rules.mkdir()
    for path in RULES.glob("*.yaml"):
        (rules / path.name).write_text(re.sub(r"^( +for:) .*$", r"\1 1s", path.read_text(), flags=re.MULTILINE))
    text = (ROOT / "monitoring" / "prometheus.yaml").read_text().replace("localhost:9090", f"127.0.0.1:{ports['own']}")
    text = re.sub(r"\b(server|figures|alertmanager):\d+", lambda match: f"127.0.0.1:{ports[match[1]]}", text)
    config = yaml.safe_load(re.sub(r"(scrape|evaluation)_interval: \w+", r"\1_interval: 1s", text))
    path = folder / "prometheus.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


@needs("prometheus")
@needs("prometheus-alertmanager")
@needs("redis-server")
def test_the_same_system_natively(compose: dict[str, Any], tmp_path: Path, beijing: pl.DataFrame) -> None:
    """Server with Redis, figures, Prometheus and Alertmanager: a server that dies reaches Alertmanager."""
    ports = {name: free_port() for name in ("own", "figures", "alertmanager", "redis")}
    table = beijing.tail(17_520)
    model, history = write_model(tmp_path / "model", table, trees=5), tmp_path / "data.parquet"
    table.tail(400).write_parquet(history)
    figures = tmp_path / "figures"
    figures.mkdir()
    redis = [str(word) for word in compose["services"]["redis"]["command"]]
    redis += ["--port", str(ports["redis"]), "--bind", "127.0.0.1", "--dir", str(tmp_path)]
    manager = [
        "prometheus-alertmanager", f"--config.file={ROOT / 'monitoring' / 'alertmanager.yaml'}",
        f"--storage.path={tmp_path / 'am'}", f"--web.listen-address=127.0.0.1:{ports['alertmanager']}",
        "--cluster.listen-address=",
    ]  # fmt: skip
    exporter = [sys.executable, "-m", "monitoring", "exporter", str(figures), f"--port={ports['figures']}"]
    with running(redis, tmp_path / "redis.log"), running(exporter, tmp_path / "exporter.log", ROOT):
        store = f"redis://127.0.0.1:{ports['redis']}/0"
        server = ServerProcess(["--model", str(model), "--feature-store", store, "--history", str(history)])
        try:
            config = local_configuration(tmp_path, {**ports, "server": server.wait().port})
            start = prometheus_command(config, tmp_path / "tsdb", ports["own"])
            with running(manager, tmp_path / "manager.log"), running(start, tmp_path / "prometheus.log"):
                _ask(server, table)
                _watch(server, ports)
        finally:
            server.stop()


def _ask(server: ServerProcess, table: pl.DataFrame) -> None:
    row = as_row(next(row for row in simple_features(table)[::-1] if np.isfinite(row[0])))
    assert server.post("/v1/models/pm25_1h:predict", {"instances": [row]}).status == 200
    newest = {"entity": "default", "time": table["timestamp"][-1].isoformat()}
    wait_for(lambda: server.post("/v1/models/pm25_1h:predict", {"instances": [newest]}).status == 200)


def _watch(server: ServerProcess, ports: dict[str, int]) -> None:
    own = ports["own"]
    wait_for(lambda: get_json(f"http://127.0.0.1:{own}/api/v1/targets"), 30)
    wait_for(lambda: len(query(own, "up == 1")) == 4, 30)
    wait_for(lambda: query(own, 'almanac_feature_store_duration_seconds_count{store="redis"} > 0'), 30)
    assert query(own, "ALERTS{alertname='AlmanacInstanceDown'}") == []
    server.stop()

    def told() -> list[dict[str, Any]]:
        found = get_json(f"http://127.0.0.1:{ports['alertmanager']}/api/v2/alerts") or []
        return [alert for alert in found if alert["labels"]["alertname"] == "AlmanacInstanceDown"]

    alert = wait_for(told, 30)[0]
    assert alert["labels"]["severity"] == "page"
    assert alert["receivers"] == [{"name": "agent"}, {"name": "pages"}]
    assert "127.0.0.1" in json.dumps(alert["annotations"])

"""The doctor finds what is wrong with an installation, and says what would mend it."""

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from operations.commands.doctor import app
from operations.doctor import CHECKS
from tests.support.live import get_json, needs, prometheus_command, running, wait_for
from tests.support.operations_world import World, write_world
from tests.support.server import Start, free_port, model_dir, start

__all__ = ["model_dir", "start"]
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> World:
    return write_world(tmp_path_factory.mktemp("doctor"))


@pytest.fixture
def world(template: World, tmp_path: Path) -> World:
    shutil.copytree(template.registry, tmp_path / "registry")
    return World(str(tmp_path / "registry"), template.runs, template.log)


def examined(world: World, folder: Path, *options: str) -> tuple[int, dict[str, dict[str, str]]]:
    """Return the exit code, and of each check its status and findings as one text."""
    common = ["--registry", world.registry, "--runs", str(world.runs), "--history", f"sqlite:///{folder}/h.db"]
    done = CliRunner().invoke(app, [*options, *common, "--json"])
    assert done.exit_code in (0, 1), done.output
    checks = json.loads(done.stdout)["checks"]
    texts = {
        name: {"status": check["status"], "text": "; ".join(f"{f['fact']} | {f['remedy']}" for f in check["findings"])}
        for name, check in checks.items()
    }
    return done.exit_code, texts


def test_every_check_says_something_about_a_sound_installation(world: World, tmp_path: Path) -> None:
    code, checks = examined(world, tmp_path)
    assert code == 0, checks
    assert set(checks) == set(CHECKS)
    assert checks["registry"]["status"] == "ok"
    assert checks["policy"]["status"] == "warning"
    assert "no signing key is pinned" in checks["policy"]["text"]
    assert checks["history"]["status"] == "warning"
    assert "almanac history rebuild" in checks["history"]["text"]


def test_a_changed_registry_fails(world: World, tmp_path: Path) -> None:
    event = sorted(Path(world.registry).rglob("events/*.json"))[1]
    event.chmod(0o644)
    event.write_bytes(event.read_bytes().replace(b"ann", b"eve"))
    code, checks = examined(world, tmp_path)
    assert code == 1
    assert checks["registry"]["status"] == "failed"
    assert event.name in checks["registry"]["text"] or "edited" in checks["registry"]["text"]


def test_a_registry_that_is_not_there_is_named(world: World, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    elsewhere = World(str(tmp_path / "file" / "registry"), world.runs, world.log)
    done = CliRunner().invoke(app, ["--registry", elsewhere.registry, "--history", f"sqlite:///{tmp_path}/h.db"])
    assert done.exit_code == 1


def test_no_history_is_made_where_nothing_is_registered(world: World, tmp_path: Path) -> None:
    shutil.rmtree(world.registry)
    code, checks = examined(world, tmp_path)
    assert code == 1
    assert checks["history"]["status"] == "failed"
    assert not (tmp_path / "h.db").exists()


def test_a_name_that_nothing_is_known_of_fails(world: World, tmp_path: Path) -> None:
    code, checks = examined(world, tmp_path, "nosuch")
    assert code == 1
    assert "nosuch: is not registered, and no use case file; registered are " in checks["registry"]["text"]


def test_keys_that_others_can_read_are_named(world: World, tmp_path: Path) -> None:
    shown, hidden = tmp_path / "shown.json", tmp_path / "hidden.json"
    for path, mode in ((shown, 0o644), (hidden, 0o600)):
        path.write_text("{}")
        path.chmod(mode)
    code, checks = examined(world, tmp_path, "--key", str(shown), "--key", str(hidden))
    assert code == 0
    assert f"{shown}: others can read it (mode 644) | `chmod 600 {shown}`" in checks["secrets"]["text"]
    assert f"{hidden}: its owner's alone" in checks["secrets"]["text"]
    assert examined(world, tmp_path, "--key", str(tmp_path / "missing"))[0] == 1


def test_servers_are_asked_what_they_serve(world: World, tmp_path: Path, start: Start) -> None:
    right, other = (start("--model-name", "demo", "--model-version", version) for version in ("1", "7"))
    code, checks = examined(world, tmp_path, "--server", right.url, "--server", f"{other.url}/")
    assert code == 0
    assert f"{right.url}: serves demo version 1 |" in checks["servers"]["text"]
    assert f"{other.url}: serves 7 of demo, and version 1 is in production" in checks["servers"]["text"]
    assert f"{right.url}: its clock agrees" in checks["clocks"]["text"]
    right.stop()
    code, checks = examined(world, tmp_path, "--server", right.url)
    assert code == 1
    assert f"{right.url}: is not ready" in checks["servers"]["text"]


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[str]:
    port, config = free_port(), tmp_path / "prometheus.yaml"
    rules = ROOT / "monitoring" / "rules"
    config.write_text(
        "global: {scrape_interval: 1s}\n"
        f"rule_files: [{rules}/*.yaml]\n"
        f"scrape_configs: [{{job_name: self, static_configs: [{{targets: ['127.0.0.1:{port}', '127.0.0.1:9']}}]}}]\n"
    )
    with running(prometheus_command(config, tmp_path / "data", port), tmp_path / "prometheus.log"):
        url = f"http://127.0.0.1:{port}"

        def scraped() -> bool | None:
            answer = get_json(f"{url}/api/v1/targets")
            targets = answer["data"]["activeTargets"] if answer else []
            return {target["health"] for target in targets} == {"up", "down"} or None

        wait_for(scraped)
        yield url


@needs("prometheus")
def test_prometheus_is_asked_what_it_scrapes_and_evaluates(world: World, tmp_path: Path, prometheus: str) -> None:
    code, checks = examined(world, tmp_path, "--prometheus", prometheus)
    assert code == 1
    text = checks["alerts"]["text"]
    assert "not scraped: http://127.0.0.1:9/metrics" in text
    assert "alerts of Almanac are evaluated" in text
    assert "no Alertmanager is known" in text


def test_the_checklist_is_filled_in(world: World, tmp_path: Path) -> None:
    out = tmp_path / "checklist.md"
    examined(world, tmp_path, "--checklist", str(out), "--server", "http://127.0.0.1:9")
    text = out.read_text()
    for check in CHECKS.values():
        assert f"**{check.name}**: {check.question}" in text
    assert "- [x] **registry**" in text
    assert "- [ ] **servers**" in text
    assert "- [-] **alerts**" in text
    when = datetime.strptime(text.split("for ")[1].split(", ")[1].split(" UTC")[0], "%Y-%m-%d %H:%M")
    assert datetime.now(UTC).replace(tzinfo=None) - when < timedelta(minutes=10)

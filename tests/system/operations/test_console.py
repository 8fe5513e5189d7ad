"""A person's whole way through the console in a real browser: from the alarm to the approval to the rollback."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from governance.registry import Registry
from monitoring.metrics import ROLLING_RMSE_LIMIT
from operations.agent.followed import FollowedJournal
from operations.agent.policy import Policy
from operations.agent.site import Site
from operations.agent.work import Work
from operations.console.room import PAGES
from tests.support.agent_at_work import alarm
from tests.support.console import ConsoleProcess
from tests.support.live import needs
from tests.support.operations_world import World, write_world
from tests.support.server import ROOT

CHROMIUM = shutil.which("chromium")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return write_world(tmp_path_factory.mktemp("console"), trainings=10, monitorings=12)


@pytest.fixture
def console(world: World, tmp_path: Path) -> Iterator[ConsoleProcess]:
    process = ConsoleProcess(world, tmp_path)
    yield process
    process.stop()


@needs("chromium")
def test_from_the_alarm_to_the_rollback(console: ConsoleProcess, world: World) -> None:
    from playwright.sync_api import expect, sync_playwright

    assert console.healthy()
    problems: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        page.goto(console.link)
        page.get_by_role("link", name="demo: AlmanacDrift").click()
        expect(page.get_by_role("table", name="Alarms")).to_contain_text("wind has drifted")
        page.get_by_role("link", name="Drift", exact=True).click()
        page.get_by_role("link", name="wind").click()
        chart = page.get_by_role("img", name="Drift of wind as a share of its threshold")
        chart.hover()
        expect(page.locator(".tip")).to_contain_text("threshold: 1")
        page.get_by_role("link", name="Versions", exact=True).click()
        page.get_by_role("row", name=re.compile("awaits approval")).get_by_role("link").click()
        page.locator("#why-approve").fill("the cards are read")
        page.get_by_role("button", name="Approve").click()
        expect(page.get_by_role("status")).to_have_text("demo version 2 is approved")
        page.locator("#why-promote").fill("better by a unit")
        page.get_by_role("button", name="Promote to production").click()
        expect(page.get_by_role("status")).to_have_text("demo version 2 is in production")
        page.get_by_role("link", name="Versions", exact=True).click()
        page.locator("#why-rollback").fill("errors doubled")
        page.get_by_role("button", name="Roll back").click()
        expect(page.get_by_role("status")).to_have_text("demo version 1 is in production again")
        page.get_by_role("link", name="History", exact=True).click()
        page.get_by_role("button", name="Seconds").click()
        page.get_by_role("searchbox").fill("training")
        expect(page.locator("#runs tbody tr:visible")).to_have_count(10)
        assert "runs.filter=training" in page.url
        browser.close()
    assert not problems
    assert Registry(world.registry).stages("demo") == {"production": 1}


@needs("chromium")
def test_no_page_is_wider_than_a_phone(tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    world = write_world(tmp_path / "world")
    limit = f'{ROLLING_RMSE_LIMIT.name}{{target="the_name_of_a_target_that_somebody_made_long",use_case="demo"}} 20.0'
    (tmp_path / "demo-model.prom").write_text(f"{limit}\n")
    rules = {"use_cases": {"demo": {"figures": str(tmp_path)}}, "causes": {"bad_release": ["change_thresholds"]}}
    policy = Policy.model_validate(rules)
    site = Site("demo", policy, policy.use_cases["demo"], world.registry, world.runs)
    work = Work(site, FollowedJournal(world.registry, "demo"), act=True)
    work.note(alarm("demo"))
    work.advance()
    console = ConsoleProcess(world, tmp_path)
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 390, "height": 800})
            page.goto(console.link)
            for path, _ in PAGES:
                page.goto(f"{console.address}{path}")
                root = "document.documentElement"
                assert page.evaluate(f"{root}.scrollWidth - {root}.clientWidth") <= 0, path
            page.goto(f"{console.address}/performance")
            # A chart is drawn at the width at which it is shown, so that its words are as large as elsewhere.
            drawn, shown = page.evaluate(
                "(svg => [svg.viewBox.baseVal.width, svg.clientWidth])(document.querySelector('figure.chart svg'))"
            )
            assert 0.8 < shown / drawn < 1.2
            page.goto(f"{console.address}/agent")
            assert page.get_by_text("the_name_of_a_target_that_somebody_made_long").count() > 0
            browser.close()
    finally:
        console.stop()


def test_a_console_that_others_reach_needs_keys(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "pipeline.py"), "console", "--host", "0.0.0.0", "--port", "0"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=dict(os.environ), check=False)
    assert done.returncode == 1
    assert "needs --keys" in done.stderr


def test_a_missing_library_is_named(tmp_path: Path) -> None:
    """As after `make run`, which installs what pipelines need and no web server."""
    code = (
        "import sys; sys.modules['uvicorn'] = None; sys.argv = ['almanac', 'console']; import pipeline; pipeline.main()"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 1
    assert "uvicorn is not installed; `make .venv/.dev`" in done.stderr
    assert "Traceback" not in done.stderr

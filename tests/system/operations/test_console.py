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

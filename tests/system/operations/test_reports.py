"""Reports by the command line: from registry and runs to HTML and PDF."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from operations.reports import to_pdf
from tests.support.operations_world import World, write_world
from tests.support.pdf import needs_pango, pages
from tests.support.server import ROOT


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return write_world(tmp_path_factory.mktemp("world"), trainings=3, monitorings=31)


def report(world: World, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "pipeline.py"), "report", arguments[0]]
    command += ["--history", f"sqlite:///{folder}/history.db", "--registry", world.registry]
    command += ["--runs", str(world.runs), "--log", world.log, *arguments[1:]]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@needs_pango
def test_the_report_on_a_month_is_written_as_html_and_pdf(world: World, tmp_path: Path) -> None:
    options = ("--period", "2026-01", "--html", "demo.html", "--pdf", "demo.pdf")
    done = report(world, tmp_path, "monthly", "demo", *options)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "demo: January 2026\n10 of 32 windows breached, the last one because wind has drifted.\n"
    html, data = (tmp_path / "demo.html").read_text(), (tmp_path / "demo.pdf").read_bytes()
    assert to_pdf(html) == data
    found = pages(data)
    assert 2 <= len(found) <= 4
    for at, text in enumerate(found):
        assert f"{at + 1} of {len(found)}" in text
    whole = "\n".join(found)
    for heading in re.findall(r"<h2[^>]*>([^<]+)", html):
        assert heading in whole
    # Of the tables, and of the plots' axes.
    assert re.search(r"load_24h\s+32\s+12\.000", whole)
    assert "Share of truths within the interval" in whole


def test_a_history_is_not_emptied_because_a_directory_is_missing(world: World, tmp_path: Path) -> None:
    assert report(world, tmp_path, "monthly", "demo").returncode == 0
    done = report(world, tmp_path, "weekly", "demo", "--runs", "nowhere")
    assert done.returncode == 1
    assert done.stderr.startswith("error: --runs nowhere: no such directory, though the history has 34 runs")
    assert report(world, tmp_path, "weekly", "demo", "--runs", "nowhere", "--no-rebuild").returncode == 0

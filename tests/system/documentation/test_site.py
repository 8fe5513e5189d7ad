"""The documentation site: built strictly, and searchable from a disk."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "-d", str(directory)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return directory


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    loaded = re.compile(r"""<(?:script|img|iframe)[^>]+src="https?://|<link[^>]+rel="stylesheet"[^>]+href="https?://""")
    pages = list(site.rglob("*.html"))
    assert len(pages) > 20
    assert [str(page) for page in pages if loaded.search(page.read_text())] == []


@pytest.mark.skipif(
    shutil.which("chromium") is None and os.environ.get("CI") != "true", reason="chromium is not installed"
)
def test_the_search_works_from_a_disk(site: Path) -> None:
    browser = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    page = f"file://{site}/index.html?q=registry"
    command = [*browser, "--virtual-time-budget=10000", "--dump-dom", page]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert re.search(r"\d+ matching documents", done.stdout)


def test_every_alert_has_its_anchor_in_the_runbooks(site: Path) -> None:
    rules = "".join(path.read_text() for path in (ROOT / "monitoring" / "rules").glob("*.yaml"))
    anchors = set(re.findall(r"runbook_url: '.*#(\w+)'", rules))
    assert len(anchors) == len(re.findall(r"- alert: ", rules)) > 20
    ids = set(re.findall(r'<h2 id="([^"]+)"', (site / "reference" / "runbooks.html").read_text()))
    assert anchors <= ids

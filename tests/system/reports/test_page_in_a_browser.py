"""Reports as a browser draws them."""

import os
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from almanac.reports import write_page
from tests.support.report_page import example_page


@pytest.mark.skipif(
    shutil.which("chromium") is None and os.environ.get("CI") != "true", reason="chromium is not installed"
)
def test_a_browser_draws_the_page(tmp_path: Path) -> None:
    write_page(example_page(), tmp_path / "report.html")
    shot = tmp_path / "shot.png"
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    command += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", "--window-size=900,700", f"--screenshot={shot}"]
    subprocess.run([*command, (tmp_path / "report.html").as_uri()], check=True, capture_output=True, timeout=60)
    data = shot.read_bytes()
    assert struct.unpack(">II", data[16:24]) == (900, 700)
    assert len(data) > 20_000

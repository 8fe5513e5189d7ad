"""Reports: escaped, self-contained, the same bytes, and drawn by a browser."""

import os
import re
import shutil
import struct
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from almanac.reports.page import Card, Report, figure_svg, new_figure, number


def _figure(points: int = 50) -> object:
    figure, axes = new_figure(6, 2, 1, 2)
    x = np.linspace(0, 6, points)
    axes[0, 0].plot(x, np.sin(x), "o-", label="sine")
    axes[0, 1].fill_between(x, np.sin(x), np.cos(x))
    axes[0, 0].set_title("A < B & C, 0.12345")
    axes[0, 0].legend()
    return figure


def _report() -> Report:
    report = Report("Title <b>", "A lead & more.")
    report.cards([Card("Card", "21.8", "µg", [("skill", "4%")]), Card("Bad", "1", "", [], bad=True)])
    report.contents([("here", "Here")])
    report.heading("Here", anchor="here")
    report.figures([("rows", "8,660")])
    report.table(["Name", "Figure"], [["<script>alert(1)</script>", 1234.567], ["none", None], ["yes", True]])
    report.plot(_figure(), 'A "caption"')  # type: ignore[arg-type]
    with report.folded("More"):
        report.plot(_figure(), "again")  # type: ignore[arg-type]
    report.text("bad news", "bad")
    return report


class _Checker(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag not in ("meta", "br"):
            self.stack.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag


def test_every_text_is_escaped_and_every_element_closed() -> None:
    checker = _Checker()
    checker.feed(_report().html())
    assert checker.stack == []
    assert "script" not in checker.tags
    assert {"svg", "table", "details", "nav", "main"} <= checker.tags


def test_the_same_report_has_the_same_bytes() -> None:
    assert _report().html() == _report().html()


def test_plots_in_one_page_share_no_names() -> None:
    page = _report().html()
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    links = set(re.findall(r'href="#([^"]+)"', page)) | set(re.findall(r"url\(#([^)]+)\)", page))
    assert links
    assert links <= set(ids)


def test_coordinates_are_short_and_words_are_whole() -> None:
    svg = figure_svg(_figure())  # type: ignore[arg-type]
    assert re.search(r"A &lt; B &amp; C, 0\.12345", svg)
    paths = " ".join(re.findall(r' d="([^"]+)"', svg))
    assert paths
    assert not re.search(r"\.\d{3}", paths)


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (True, "yes"), (1234567, "1,234,567"), (1234.567, "1,234.57"), ("word", "word"), (-0.5, "-0.50")],
)
def test_numbers_read_well(value: object, text: str) -> None:
    assert number(value) == text


def test_a_report_is_written_whole(tmp_path: Path) -> None:
    _report().write(tmp_path / "deep" / "report.html")
    assert (tmp_path / "deep" / "report.html").read_text() == _report().html()
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["report.html"]


@pytest.mark.skipif(
    shutil.which("chromium") is None and os.environ.get("CI") != "true", reason="chromium is not installed"
)
def test_a_browser_draws_the_page(tmp_path: Path) -> None:
    _report().write(tmp_path / "report.html")
    shot = tmp_path / "shot.png"
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    command += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", "--window-size=900,700", f"--screenshot={shot}"]
    subprocess.run([*command, (tmp_path / "report.html").as_uri()], check=True, capture_output=True, timeout=60)
    data = shot.read_bytes()
    assert struct.unpack(">II", data[16:24]) == (900, 700)
    assert len(data) > 20_000

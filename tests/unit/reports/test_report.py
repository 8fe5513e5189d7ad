"""Reports: escaped, self-contained, the same bytes, and drawn by a browser."""

import os
import re
import shutil
import struct
import subprocess
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from almanac.reports import (
    Block,
    Callout,
    Contents,
    Details,
    Headline,
    Headlines,
    Markup,
    Note,
    Page,
    Plot,
    Section,
    Table,
    Text,
    Tiles,
    figure_svg,
    format_number,
    new_figure,
    render,
    write_page,
)


def _figure(points: int = 50) -> object:
    figure, axes = new_figure(6, 2, 1, 2)
    x = np.linspace(0, 6, points)
    axes[0, 0].plot(x, np.sin(x), "o-", label="sine")
    axes[0, 1].fill_between(x, np.sin(x), np.cos(x))
    axes[0, 0].set_title("A < B & C, 0.12345")
    axes[0, 0].legend()
    return figure


def _page() -> Page:
    return Page("Title <b>", "A lead & more.", _blocks())


def _blocks() -> Iterator[Block]:
    yield Headlines([Headline("Card", "21.8", "µg", [("skill", "4%")]), Headline("Bad", "1", "", [], bad=True)])
    yield Contents()
    rows: list[list[object]] = [["<script>alert(1)</script>", 1234.567], ["none", None], ["yes", True]]
    table = Table(["Name", "Figure"], rows)
    plot = Plot(_figure(), 'A "caption"')  # type: ignore[arg-type]
    more = Details("More", [Plot(_figure(), "again")])  # type: ignore[arg-type]
    yield Section("Here & there", [Tiles([("rows", "8,660")]), table, Section("Deeper", [plot]), more])
    yield Section("Nothing", [])
    yield Section("There", [Callout("bad news", "bad"), Note("small"), Text("plain")], anchor="last")
    yield Markup("<em>finished</em>")


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
    checker.feed(render(_page()))
    assert checker.stack == []
    assert "script" not in checker.tags
    assert {"svg", "table", "details", "nav", "main"} <= checker.tags


def test_sections_nest_are_linked_and_are_left_out_where_empty() -> None:
    html = render(_page())
    assert '<h2 id="here-there">Here &amp; there</h2>' in html
    assert '<h3 id="deeper">Deeper</h3>' in html
    links = re.findall(r'<a href="#([^"]+)">([^<]+)</a>', html)
    assert links == [
        ("here-there", "Here &amp; there"),
        ("last", "There"),
    ]
    assert "Nothing" not in html


def test_cells_are_aligned_by_their_kind() -> None:
    html = render(Page("t", "", [Table(["name", "n"], [["a" * 45, 1234], ["12 %", "–"]])]))
    assert '<th class="text">name</th><th>n</th>' in html
    assert f'<td class="text long">{"a" * 45}</td><td>1,234</td>' in html
    # A cell is aligned as its column is.
    assert '<td class="text">12 %</td><td>–</td>' in html


def test_the_same_report_has_the_same_bytes() -> None:
    assert render(_page()) == render(_page())


def test_plots_in_one_page_share_no_names() -> None:
    page = render(_page())
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
    assert format_number(value) == text


def test_a_report_is_written_whole(tmp_path: Path) -> None:
    write_page(_page(), tmp_path / "deep" / "report.html")
    assert (tmp_path / "deep" / "report.html").read_text() == render(_page())
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["report.html"]


@pytest.mark.skipif(
    shutil.which("chromium") is None and os.environ.get("CI") != "true", reason="chromium is not installed"
)
def test_a_browser_draws_the_page(tmp_path: Path) -> None:
    write_page(_page(), tmp_path / "report.html")
    shot = tmp_path / "shot.png"
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    command += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", "--window-size=900,700", f"--screenshot={shot}"]
    subprocess.run([*command, (tmp_path / "report.html").as_uri()], check=True, capture_output=True, timeout=60)
    data = shot.read_bytes()
    assert struct.unpack(">II", data[16:24]) == (900, 700)
    assert len(data) > 20_000

"""Reports: escaped, self-contained, the same bytes."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from almanac.reports import (
    Page,
    Table,
    figure_svg,
    format_number,
    render,
    write_page,
)
from tests.support.report_page import example_figure, example_page


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
    checker.feed(render(example_page()))
    assert checker.stack == []
    assert "script" not in checker.tags
    assert {"svg", "table", "details", "nav", "main"} <= checker.tags


def test_sections_nest_are_linked_and_are_left_out_where_empty() -> None:
    html = render(example_page())
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
    assert render(example_page()) == render(example_page())


def test_plots_in_one_page_share_no_names() -> None:
    page = render(example_page())
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    links = set(re.findall(r'href="#([^"]+)"', page)) | set(re.findall(r"url\(#([^)]+)\)", page))
    assert links
    assert links <= set(ids)


def test_coordinates_are_short_and_words_are_whole() -> None:
    svg = figure_svg(example_figure())
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
    write_page(example_page(), tmp_path / "deep" / "report.html")
    assert (tmp_path / "deep" / "report.html").read_text() == render(example_page())
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["report.html"]

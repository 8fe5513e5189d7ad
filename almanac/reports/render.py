"""Rendering of a page by the templates of this package."""

from functools import cache
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from almanac.core.files import write_text
from almanac.reports.blocks import Page
from almanac.reports.numbers import format_number, is_text
from almanac.reports.plotting import figure_svg

if TYPE_CHECKING:
    from jinja2 import Environment


def render(page: Page) -> str:
    """Return the page as one HTML document, the same bytes for the same page."""
    serial = count()
    template = _environment().get_template("page.html.j2")
    # Each plot gets its own prefix: two of them in one document must not share a clip path or a marker.
    return template.render(page=page, svg=lambda figure: figure_svg(figure, prefix=f"p{next(serial)}-"))


def write_page(page: Page, path: Path) -> None:
    """Write the page to `path`, whole or not at all."""
    write_text(path, render(page))


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("almanac.reports"),
        autoescape=True,
        # A misspelt attribute is an error rather than an empty cell.
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["number"] = format_number
    environment.tests["text"] = is_text
    return environment

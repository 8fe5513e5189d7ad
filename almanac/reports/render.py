"""Rendering of a page by the templates of this package."""

from collections.abc import Callable
from functools import cache
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from almanac.core.files import write_text
from almanac.reports.blocks import Page
from almanac.reports.numbers import format_number, is_text
from almanac.reports.plotting import figure_svg

if TYPE_CHECKING:
    from jinja2 import BaseLoader, Environment
    from matplotlib.figure import Figure


def render(page: Page) -> str:
    """Return the page as one HTML document, the same bytes for the same page."""
    return _environment().get_template("page.html.j2").render(page=page, svg=plot_renderer())


def write_page(page: Page, path: Path) -> None:
    """Write the page to `path`, whole or not at all."""
    write_text(path, render(page))


def plot_renderer() -> "Callable[[Figure], str]":
    """Return the function `svg` that the templates of one document draw their plots by."""
    serial = count()
    # Each plot gets its own prefix: two of them in one document must not share a clip path or a marker.
    return lambda figure: figure_svg(figure, prefix=f"p{next(serial)}-")


def template_environment(*loaders: "BaseLoader") -> "Environment":
    """Return an environment whose templates are found by the loaders, and in this package after them.

    Templates of others can read the values that they are given, and reach nothing else of the process.
    """
    from jinja2 import ChoiceLoader, PackageLoader, StrictUndefined
    from jinja2.sandbox import SandboxedEnvironment

    environment = SandboxedEnvironment(
        loader=ChoiceLoader([*loaders, PackageLoader("almanac.reports")]),
        # Mails and messages of chats are no HTML.
        autoescape=lambda name: name is None or not name.endswith(".txt.j2"),
        # A misspelt attribute is an error rather than an empty cell.
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["number"] = format_number
    environment.tests["text"] = is_text
    return environment


@cache
def _environment() -> "Environment":
    return template_environment()

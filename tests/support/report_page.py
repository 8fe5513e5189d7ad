"""A page with every kind of block."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

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
    new_figure,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def example_figure(points: int = 50) -> "Figure":
    """A figure with two axes."""
    drawn: Figure
    drawn, axes = new_figure(6, 2, 1, 2)
    x = np.linspace(0, 6, points)
    axes[0, 0].plot(x, np.sin(x), "o-", label="sine")
    axes[0, 1].fill_between(x, np.sin(x), np.cos(x))
    axes[0, 0].set_title("A < B & C, 0.12345")
    axes[0, 0].legend()
    return drawn


def example_page() -> Page:
    """A page of these blocks."""
    return Page("Title <b>", "A lead & more.", _blocks())


def _blocks() -> Iterator[Block]:
    """Blocks of every kind."""
    yield Headlines([Headline("Card", "21.8", "µg", [("skill", "4%")]), Headline("Bad", "1", "", [], bad=True)])
    yield Contents()
    rows: list[list[object]] = [["<script>alert(1)</script>", 1234.567], ["none", None], ["yes", True]]
    table = Table(["Name", "Figure"], rows)
    plot = Plot(example_figure(), 'A "caption"')
    more = Details("More", [Plot(example_figure(), "again")])
    yield Section("Here & there", [Tiles([("rows", "8,660")]), table, Section("Deeper", [plot]), more])
    yield Section("Nothing", [])
    yield Section("There", [Callout("bad news", "bad"), Note("small"), Text("plain")], anchor="last")
    yield Markup("<em>finished</em>")

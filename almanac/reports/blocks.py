"""The blocks of a report; each is drawn by the template of its own name."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from almanac.reports.numbers import is_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Block:
    """A part of a page."""

    @property
    def template(self) -> str:
        """The file in `templates/` that draws the block."""
        return f"{type(self).__name__.lower()}.html.j2"


@dataclass(frozen=True)
class Text(Block):
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Note(Block):
    """A paragraph in small print: a method, a caption, a source."""

    text: str


@dataclass(frozen=True)
class Callout(Block):
    """A sentence that nobody should miss: a verdict, a warning."""

    text: str
    tone: Literal["good", "bad", "info"] = "info"


@dataclass(frozen=True)
class Bullets(Block):
    """A list of sentences."""

    items: Sequence[str]


@dataclass(frozen=True)
class Tiles(Block):
    """A row of key numbers, as (label, value)."""

    items: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Headline:
    """A card: a title, its leading value with a unit, and further (name, value) facts; red where `bad`."""

    title: str
    value: str
    unit: str
    facts: Sequence[tuple[str, str]]
    bad: bool = False


@dataclass(frozen=True)
class Headlines(Block):
    """A row of cards."""

    items: Sequence[Headline]


@dataclass(frozen=True)
class Table(Block):
    """A table; numbers get `digits` decimals and are set flush right."""

    header: Sequence[str]
    rows: Sequence[Sequence[Any]]
    digits: int = 2

    @property
    def text_columns(self) -> list[bool]:
        """Whether each column holds a text, so that its header is set flush left."""
        return [any(i < len(row) and is_text(row[i]) for row in self.rows) for i in range(len(self.header))]


@dataclass(frozen=True)
class Plot(Block):
    """A matplotlib figure as inline SVG; the caption is also its text for those who cannot see it."""

    figure: "Figure"
    caption: str = ""


@dataclass(frozen=True)
class Markup(Block):
    """Finished HTML; the caller answers for its escaping."""

    html: str


@dataclass(frozen=True)
class _Container(Block):
    title: str
    blocks: Iterable[Block]

    def __post_init__(self) -> None:
        # Builders are often generators, and a page may be rendered more than once.
        object.__setattr__(self, "blocks", tuple(self.blocks))


@dataclass(frozen=True)
class Section(_Container):
    """Blocks under a heading, one level deeper than the section around it; left out where it has no blocks."""

    anchor: str = ""

    @property
    def id(self) -> str:
        """The name to which `Contents` links."""
        return self.anchor or re.sub(r"\W+", "-", self.title.lower()).strip("-")


@dataclass(frozen=True)
class Details(_Container):
    """Blocks behind a line that opens them."""


@dataclass(frozen=True)
class Contents(Block):
    """A line of links that stays in sight, as (anchor, text); to every section of the page where none are named."""

    links: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Page:
    """A report.

    Args:
        title: heading of the page.
        lead: one or two sentences under it.
        blocks: the page from top to bottom; may be a generator.
        style: CSS in addition to the common one.
    """

    title: str
    lead: str
    blocks: Iterable[Block]
    style: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "blocks", tuple(self.blocks))

    @property
    def links(self) -> list[tuple[str, str]]:
        """The anchor and title of each section at the top level."""
        return [(block.id, block.title) for block in self.blocks if isinstance(block, Section) and block.blocks]

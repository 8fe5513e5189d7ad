"""The index page: all documents and plots in one self-contained file; each printed value shows its source."""

import json
import re
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from markdown_it import MarkdownIt

from almanac.reports import Block, Contents, Markup, Page, Plot, Section, render
from governance.documents.plots import plot_data, plots
from governance.documents.references import MARK, References

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Metadata before a document's text, for hubs that read it.
_FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.S)

_STYLE = """
.ref { border-bottom: 1px dotted var(--rule); cursor: help }
blockquote { border-left: 3px solid var(--head-line); margin: .6rem 0; padding: .1rem 1rem; color: var(--soft) }
code { font-size: .85em; overflow-wrap: anywhere }
section { margin-top: 3rem }
section table { display: block; overflow-x: auto }
section td, section th { text-align: left }
section td { white-space: normal; min-width: 5rem; max-width: 27rem }
pre { background: var(--ground); border-radius: 6px; padding: .6rem .9rem; overflow-x: auto }
blockquote .ref, p > .ref:only-child { border: 0 }
"""


def page(references: References, documents: Sequence[tuple[str, str, str]], title: str) -> str:
    """Return index.html.

    Args:
        references: of all documents.
        documents: name, title and marked Markdown of each.
        title: the use case's title.
    """

    def source(number: str, text: str) -> str:
        reference = references[int(number)]
        uri = escape(f"{reference.uri}#{reference.pointer}")
        return f'<span class="ref" data-ref="{number}" title="{uri}">{text}</span>'

    # Raw HTML stays text: statements of people come from a file that anybody may have edited.
    reader = MarkdownIt("commonmark", {"html": False}).enable("table")
    anchors = {name: name.replace("_", "-") for name, _, _ in documents}
    sections = []
    for name, _, marked in documents:
        body = MARK.sub(lambda match: source(match[1], match[2]), reader.render(_FRONT_MATTER.sub("", marked)))
        sections.append(Markup(f'<section id="{anchors[name]}">{body}</section>'))
    drawn: list[Block] = []
    for figure, caption in plots(references.artifacts):
        drawn += [Plot(figure, caption), Markup(_data(figure))]
    return render(
        Page(
            f"{title}: governance",
            "Hover over a figure to see the artifact and the place that it is read from.",
            [Contents([(anchors[name], text) for name, text, _ in documents]), Section("Plots", drawn), *sections],
            _STYLE,
        )
    )


def _data(figure: "Figure") -> str:
    """Return a plot's data as an element that browsers do not show."""
    text = escape(json.dumps(plot_data(figure), ensure_ascii=False), quote=False)
    return f'<template class="plot-data">{text}</template>'

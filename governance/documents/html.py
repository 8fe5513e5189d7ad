"""The bundle as one self-contained page: all documents, the plots, and under each figure where it comes from."""

from html import escape
from typing import Any

from markdown_it import MarkdownIt

from almanac.reports.page import Report
from governance.documents.plots import figures
from governance.documents.references import MARK, Book
from governance.documents.render import DOCUMENTS

_STYLE = (
    "<style>.ref{border-bottom:1px dotted #8d99ae;cursor:help}blockquote{border-left:3px solid #9ad1d4;"
    "margin:.6rem 0;padding:.1rem 1rem;color:#3c4350}nav a{margin-right:1rem}code{font-size:.85em;"
    "overflow-wrap:anywhere}section{margin-top:3rem}section table{display:block;overflow-x:auto}"
    "section td,section th{text-align:left}blockquote .ref,p>.ref:only-child{border:0}</style>"
)


def page(book: Book, marked: dict[str, str], title: str) -> str:
    """Return index.html.

    Args:
        book: the references.
        marked: document name -> marked Markdown.
        title: of the use case.
    """
    report = Report(
        f"{title}: governance", "Hover over a figure to see the artifact and the place that it is read from."
    )
    links = " ".join(f'<a href="#{_anchor(name)}">{escape(text)}</a>' for name, text in DOCUMENTS.items())
    report.markup(f"{_STYLE}<nav>{links}</nav>")
    report.heading("Plots")
    for figure, caption in figures(book.evidence):
        report.plot(figure, caption)
    reader = MarkdownIt("commonmark", {"html": False}).enable("table")
    for name, text in marked.items():
        body = MARK.sub(lambda match: _span(book, match), reader.render(text))
        report.markup(f'<section id="{_anchor(name)}">{body}</section>')
    return report.html()


def _span(book: Book, match: Any) -> str:
    reference = book.references[int(match[1])]
    place = escape(f"{reference.uri}#{reference.pointer}")
    return f'<span class="ref" data-ref="{reference.number}" title="{place}">{match[2]}</span>'


def _anchor(name: str) -> str:
    return name.removesuffix(".md").replace("_", "-")

"""Self-contained HTML reports: one look for every report, no script or style from elsewhere."""

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.common.files import write_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: One palette for every plot: truth, forecast, interval, warning, neutral.
COLOURS = {"truth": "#2b2d42", "forecast": "#0a7e8c", "band": "#9ad1d4", "warning": "#d1495b", "neutral": "#8d99ae"}

_STYLE = """
:root{color-scheme:light}*{box-sizing:border-box}
body{font:15px/1.5 system-ui,sans-serif;color:#22252b;background:#fff;max-width:1080px;margin:2rem auto;padding:0 1.25rem}
h1{font-size:1.7rem;margin:0}h2{font-size:1.2rem;margin:2.2rem 0 .5rem;border-bottom:1px solid #e3e6ea;padding-bottom:.25rem}
h3{font-size:1rem;margin:1.4rem 0 .3rem}.lead{color:#5a6270;margin:.3rem 0 1.2rem}
table{border-collapse:collapse;margin:.6rem 0;font-variant-numeric:tabular-nums}
th,td{padding:.28rem .8rem;text-align:right;border-bottom:1px solid #eceff2}th{font-weight:600;color:#5a6270}
th:first-child,td:first-child{text-align:left}td.text,th.text{text-align:left}
.good{color:#18794e}.bad{color:#c62a2f}.note{color:#5a6270;font-size:.92em}
.figures{display:flex;flex-wrap:wrap;gap:.8rem;margin:1rem 0}
.figure{border:1px solid #e3e6ea;border-radius:8px;padding:.6rem 1rem;min-width:9rem}
.figure b{display:block;font-size:1.35rem}.figure span{color:#5a6270;font-size:.85rem}
svg{max-width:100%;height:auto}.scroll{overflow-x:auto}
"""


def figure_svg(figure: "Figure") -> str:
    """Return a matplotlib figure as an SVG element, the same bytes for the same figure."""
    import matplotlib

    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "almanac", "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    return re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.S)


def number(value: Any, digits: int = 2) -> str:
    """Return a number as people read it: thousands apart, `digits` decimals, a dash for nothing."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.{digits}f}" if isinstance(value, float) else str(value)


@dataclass
class Report:
    """A report in the making: add headings, figures, tables and plots, then `write` it."""

    title: str
    lead: str = ""
    _body: list[str] = field(default_factory=list)

    def heading(self, text: str, level: int = 2) -> None:
        """Add a heading."""
        self._body.append(f"<h{level}>{escape(text)}</h{level}>")

    def text(self, text: str, css: str = "") -> None:
        """Add a paragraph; `css` is one of the classes good, bad, note or lead."""
        self._body.append(f'<p class="{css}">{escape(text)}</p>')

    def figures(self, items: Sequence[tuple[str, str]]) -> None:
        """Add a row of key figures as (label, value)."""
        cells = "".join(f'<div class="figure"><b>{escape(v)}</b><span>{escape(k)}</span></div>' for k, v in items)
        self._body.append(f'<div class="figures">{cells}</div>')

    def table(self, header: Sequence[str], rows: Sequence[Sequence[Any]], digits: int = 2) -> None:
        """Add a table; numbers are formatted with `digits` decimals and set flush right."""
        texts = [any(_is_text(row[index]) for row in rows if index < len(row)) for index in range(len(header))]
        head = "".join(
            f"<th{_TEXT if text else ''}>{escape(name)}</th>" for name, text in zip(header, texts, strict=True)
        )
        body = "".join(f"<tr>{''.join(_cell(value, digits) for value in row)}</tr>" for row in rows)
        self._body.append(
            f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
        )

    def plot(self, figure: "Figure", caption: str = "") -> None:
        """Add a matplotlib figure as inline SVG, with a caption for those who cannot see it."""
        note = f'<p class="note">{escape(caption)}</p>' if caption else ""
        self._body.append(
            f'<div class="scroll" role="img" aria-label="{escape(caption)}">{figure_svg(figure)}</div>{note}'
        )

    def html(self) -> str:
        """Return the whole page."""
        return (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width,initial-scale=1">'
            f"<title>{escape(self.title)}</title><style>{_STYLE}</style></head><body>"
            f'<h1>{escape(self.title)}</h1><p class="lead">{escape(self.lead)}</p>{"".join(self._body)}</body></html>\n'
        )

    def write(self, path: Path) -> None:
        """Write the page to `path`, whole or not at all."""
        write_text(path, self.html())


_TEXT = ' class="text"'


def _is_text(value: Any) -> bool:
    """Tell texts, set flush left, from numbers and from strings that are a number, set flush right."""
    return isinstance(value, str) and re.fullmatch(r"[-+–]?[\d,.]*\s?%?", value) is None


def _cell(value: Any, digits: int) -> str:
    return f"<td{_TEXT if _is_text(value) else ''}>{escape(number(value, digits))}</td>"

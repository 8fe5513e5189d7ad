"""Self-contained HTML reports: one look for every report, no script or style from elsewhere."""

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from almanac.core.files import write_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: One palette for every plot: truth, forecast, interval, warning, neutral.
COLOURS = {"truth": "#2b2d42", "forecast": "#0a7e8c", "band": "#9ad1d4", "warning": "#d1495b", "neutral": "#8d99ae"}

_RC: Any = {
    "svg.hashsalt": "almanac",
    "svg.fonttype": "none",
    "font.family": ["DejaVu Sans"],
    "font.size": 8.5,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelcolor": "#5a6270",
    "axes.edgecolor": "#c5cbd3",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#eceff2",
    "xtick.color": "#5a6270",
    "ytick.color": "#5a6270",
    "legend.frameon": False,
    "lines.linewidth": 1.3,
    "path.simplify_threshold": 0.3,
}

_TEXT = ' class="text"'
#: Letters above which a text in a table is wrapped.
_LONG = 44

_STYLE = """
:root{color-scheme:light}*{box-sizing:border-box}html{scroll-behavior:smooth}
body{font:15px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif;color:#22252b;background:#f6f7f9;margin:0}
main{max-width:1120px;margin:0 auto;padding:2rem 1.5rem 4rem;background:#fff;min-height:100vh}
h1{font-size:1.75rem;line-height:1.2;margin:0}
h2{font-size:1.3rem;margin:2.8rem 0 .6rem;border-bottom:2px solid #0a7e8c;padding-bottom:.25rem}
h3{font-size:1.02rem;margin:1.7rem 0 .3rem}.lead{color:#5a6270;margin:.4rem 0 1.2rem;max-width:52rem}
p{max-width:52rem}table{border-collapse:collapse;margin:.6rem 0;font-variant-numeric:tabular-nums;font-size:.92rem}
th,td{padding:.28rem .8rem;text-align:right;border-bottom:1px solid #eceff2;white-space:nowrap}
th{font-weight:600;color:#5a6270;border-bottom-color:#c5cbd3}tbody tr:hover{background:#f6f7f9}
th:first-child,td:first-child{text-align:left;padding-left:0}td.text,th.text{text-align:left}
td.long{white-space:normal;min-width:17rem}
.good{color:#18794e}.bad{color:#c62a2f}.note{color:#5a6270;font-size:.88rem;margin:.2rem 0 .9rem}
.figures{display:flex;flex-wrap:wrap;gap:.8rem;margin:1rem 0}
.figure{border:1px solid #e3e6ea;border-radius:8px;padding:.6rem 1rem;min-width:9rem}
.figure b{display:block;font-size:1.35rem}.figure span{color:#5a6270;font-size:.85rem}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(17rem,1fr));gap:1rem;margin:1.2rem 0}
.card{border:1px solid #e3e6ea;border-top:4px solid #0a7e8c;border-radius:8px;padding:.9rem 1.1rem}
.card.bad{border-top-color:#d1495b;color:inherit}.card h3{margin:0;color:#5a6270;font-size:.92rem;font-weight:600}
.card .big{font-size:2rem;font-weight:650;line-height:1.2}
.card .big small{font-size:.95rem;font-weight:400;color:#5a6270}
.card dl{display:grid;grid-template-columns:1fr auto;gap:.15rem .8rem;margin:.6rem 0 0;font-size:.9rem}
.card dt{color:#5a6270}.card dd{margin:0;text-align:right;font-variant-numeric:tabular-nums}
nav{display:flex;flex-wrap:wrap;gap:.3rem 1.1rem;position:sticky;top:0;background:#fff;padding:.55rem 0;z-index:1;
border-bottom:1px solid #e3e6ea;font-size:.92rem}a{color:#0a6c78;text-decoration:none}a:hover{text-decoration:underline}
h2[id]{scroll-margin-top:3rem}details{margin:.6rem 0}summary{cursor:pointer;color:#0a6c78;font-size:.92rem}
svg{width:100%;min-width:44rem;height:auto;display:block}.scroll{overflow-x:auto}
@media print{body{background:#fff}nav{display:none}}
"""


def new_figure(
    width: float = 10.6, height: float = 2.8, rows: int = 1, columns: int = 1, **grid: Any
) -> tuple["Figure", Any]:
    """Return an empty figure in the reports' look, and its axes, an array of shape (rows, columns).

    Args:
        width: in inches; 10.6 fills the page.
        height: in inches.
        rows: rows of axes.
        columns: columns of axes.
        grid: more for `Figure.subplots`, such as `sharex` or `gridspec_kw`.
    """
    import matplotlib
    from matplotlib.figure import Figure

    # For the whole process, since titles and legends take their look when they are made.
    matplotlib.rcParams.update(_RC)
    figure = Figure(figsize=(width, height))
    axes = figure.subplots(rows, columns, squeeze=False, **grid)
    figure.subplots_adjust(left=0.05, right=0.995)
    return figure, axes


def figure_svg(figure: "Figure") -> str:
    """Return a matplotlib figure as an SVG element, the same bytes for the same figure."""
    import matplotlib

    buffer = io.StringIO()
    with matplotlib.rc_context(_RC):
        # Not bbox_inches="tight", which draws everything twice to find the same box.
        box = figure.get_tightbbox().padded(0.16)
        figure.savefig(buffer, format="svg", bbox_inches=box, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.S)
    text = re.sub(r' (?:d|x|y|points|transform)="[^"]*"', _rounded, text)
    return re.sub(r">\s+<", "><", text)


def _rounded(attribute: re.Match[str]) -> str:
    """Return an attribute with its coordinates cut to a hundredth of a point, which no eye tells apart."""
    return re.sub(r"(\.\d\d)\d+", r"\1", attribute[0])


def number(value: Any, digits: int = 2) -> str:
    """Return a number as people read it: thousands apart, `digits` decimals, a dash for nothing."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.{digits}f}" if isinstance(value, float) else str(value)


@dataclass(frozen=True)
class Card:
    """A headline: what it is about, its leading figure with a unit, and further figures; `bad` paints it red."""

    title: str
    figure: str
    unit: str
    facts: Sequence[tuple[str, str]]
    bad: bool = False


@dataclass
class Report:
    """A report in the making: add headings, figures, tables and plots, then `write` it."""

    title: str
    lead: str = ""
    _body: list[str] = field(default_factory=list)

    def heading(self, text: str, level: int = 2, anchor: str = "") -> None:
        """Add a heading; `anchor` is what `contents` links to."""
        place = f' id="{escape(anchor)}"' if anchor else ""
        self._body.append(f"<h{level}{place}>{escape(text)}</h{level}>")

    def contents(self, links: Sequence[tuple[str, str]]) -> None:
        """Add a line of links to headings, as (anchor, text), that stays in sight."""
        self._body.append(
            "<nav>" + "".join(f'<a href="#{escape(anchor)}">{escape(text)}</a>' for anchor, text in links) + "</nav>"
        )

    def text(self, text: str, css: str = "") -> None:
        """Add a paragraph; `css` is one of the classes good, bad, note or lead."""
        self._body.append(f'<p class="{css}">{escape(text)}</p>')

    def figures(self, items: Sequence[tuple[str, str]]) -> None:
        """Add a row of key figures as (label, value)."""
        cells = "".join(f'<div class="figure"><b>{escape(v)}</b><span>{escape(k)}</span></div>' for k, v in items)
        self._body.append(f'<div class="figures">{cells}</div>')

    def cards(self, items: Sequence[Card]) -> None:
        """Add a row of headlines."""
        self._body.append(f'<div class="cards">{"".join(map(_card, items))}</div>')

    def table(self, header: Sequence[str], rows: Sequence[Sequence[Any]], digits: int = 2) -> None:
        """Add a table; numbers are formatted with `digits` decimals and set flush right."""
        texts = [any(index < len(row) and _is_text(row[index]) for row in rows) for index in range(len(header))]
        head = "".join(
            f"<th{_TEXT if text else ''}>{escape(name)}</th>" for name, text in zip(header, texts, strict=True)
        )
        body = "".join(f"<tr>{''.join(_cell(value, digits) for value in row)}</tr>" for row in rows)
        self._body.append(
            f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
        )

    @contextmanager
    def folded(self, summary: str) -> Iterator[None]:
        """Put what the block adds behind a line that opens it."""
        self._body.append(f"<details><summary>{escape(summary)}</summary>")
        yield
        self._body.append("</details>")

    def plot(self, figure: "Figure", caption: str = "") -> None:
        """Add a matplotlib figure as inline SVG, with a caption for those who cannot see it."""
        note = f'<p class="note">{escape(caption)}</p>' if caption else ""
        svg = _own_names(figure_svg(figure), f"p{len(self._body)}-")
        self._body.append(f'<div class="scroll" role="img" aria-label="{escape(caption)}">{svg}</div>{note}')

    def markup(self, html: str) -> None:
        """Add finished HTML; the caller answers for its escaping."""
        self._body.append(html)

    def html(self) -> str:
        """Return the whole page."""
        return (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width,initial-scale=1">'
            f"<title>{escape(self.title)}</title><style>{_STYLE}</style></head><body><main>"
            f'<h1>{escape(self.title)}</h1><p class="lead">{escape(self.lead)}</p>{"".join(self._body)}'
            "</main></body></html>\n"
        )

    def write(self, path: Path) -> None:
        """Write the page to `path`, whole or not at all."""
        write_text(path, self.html())


def _own_names(svg: str, prefix: str) -> str:
    """Return the SVG with its names made its own: two plots in one page must not share a clip path or a marker."""
    names = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', svg))
    svg = re.sub(r' id="([^"]+)"', lambda m: f' id="{prefix}{m[1]}"' if m[1] in names else "", svg)
    return re.sub(r'(url\(#|href="#)', rf"\g<1>{prefix}", svg)


def _card(card: Card) -> str:
    facts = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in card.facts)
    return (
        f'<div class="card{" bad" if card.bad else ""}"><h3>{escape(card.title)}</h3>'
        f'<div class="big">{escape(card.figure)} <small>{escape(card.unit)}</small></div><dl>{facts}</dl></div>'
    )


def _is_text(value: Any) -> bool:
    """Tell texts, set flush left, from numbers and from strings that are one, set flush right."""
    return isinstance(value, str) and re.fullmatch(r"[-+–]?[\d,.]*\s?%?", value) is None


def _cell(value: Any, digits: int) -> str:
    css = _TEXT if _is_text(value) else ""
    if css and len(value) > _LONG:
        css = ' class="text long"'
    return f"<td{css}>{escape(number(value, digits))}</td>"

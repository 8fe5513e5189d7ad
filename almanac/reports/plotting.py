"""One palette and one style for the plots of all reports."""

import io
import re
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: One palette for every plot: truth, forecast, interval, warning, neutral.
COLOURS = {"truth": "#2b2d42", "forecast": "#0a7e8c", "band": "#9ad1d4", "warning": "#d1495b", "neutral": "#8d99ae"}

#: Drawings of figures that are still in use.
_DRAWN: WeakKeyDictionary["Figure", str] = WeakKeyDictionary()
_NO_METADATA: Any = {"Date": None, "Creator": None}
_STYLE: Any = {
    # The ids of clip paths and markers are hashes, salted at random unless a salt is given.
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

    # For the whole process, since titles and legends take their style when they are created.
    matplotlib.rcParams.update(_STYLE)
    # Without pyplot, which would keep each figure until it is closed.
    figure = Figure(figsize=(width, height))
    axes = figure.subplots(rows, columns, squeeze=False, **grid)
    figure.subplots_adjust(left=0.05, right=0.995)
    return figure, axes


def figure_svg(figure: "Figure", prefix: str = "") -> str:
    """Return a matplotlib figure as an SVG element, the same bytes for the same figure.

    Args:
        figure: the figure.
        prefix: of the names in the element; elements in one document need different prefixes.
    """
    if figure not in _DRAWN:
        _DRAWN[figure] = _draw(figure)
    return _with_prefix(_DRAWN[figure], prefix)


def _draw(figure: "Figure") -> str:
    import matplotlib

    buffer = io.StringIO()
    with matplotlib.rc_context(_STYLE):
        # Not bbox_inches="tight", which draws everything twice to find the same box.
        box = figure.get_tightbbox().padded(0.16)
        figure.savefig(buffer, format="svg", bbox_inches=box, transparent=True, metadata=_NO_METADATA)
    text = buffer.getvalue()
    # matplotlib writes its version there, which would change the bytes.
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.S)
    # Most of a report's size is digits of coordinates.
    text = re.sub(r' (?:d|x|y|points|transform)="[^"]*"', _rounded, text)
    return re.sub(r">\s+<", "><", text)


def _rounded(attribute: re.Match[str]) -> str:
    """Return an attribute with its coordinates cut to a hundredth of a point, which no eye can see."""
    return re.sub(r"(\.\d\d)\d+", r"\1", attribute[0])


def _with_prefix(svg: str, prefix: str) -> str:
    """Return the SVG with a prefix to each name that it refers to, and without the names that it does not."""
    names = set(re.findall(r'(?:url\(#|href="#)([^")]+)', svg))
    svg = re.sub(r' id="([^"]+)"', lambda m: f' id="{prefix}{m[1]}"' if m[1] in names else "", svg)
    return re.sub(r'(url\(#|href="#)', rf"\g<1>{prefix}", svg)

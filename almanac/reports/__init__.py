"""Self-contained HTML reports: a page is a tree of blocks, drawn by one set of templates in one look.

    page = Page("Drift: quiet", "Window of August", [
        Tiles([("rows", "744")]),
        Section("Columns", [Table(["column", "p"], rows), Plot(figure, "Share of each bin over time.")]),
    ])
    write_page(page, path)

The templates escape every text; only `Markup` passes finished HTML.
"""

from almanac.reports.axes import name_ticks, number_ticks, share_ticks, shortened
from almanac.reports.blocks import (
    Block,
    Bullets,
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
)
from almanac.reports.numbers import format_number, with_error
from almanac.reports.plotting import COLOURS, figure_svg, new_figure
from almanac.reports.render import plot_renderer, render, template_environment, write_page
from almanac.reports.times import Times

__all__ = [
    "COLOURS",
    "Block",
    "Bullets",
    "Callout",
    "Contents",
    "Details",
    "Headline",
    "Headlines",
    "Markup",
    "Note",
    "Page",
    "Plot",
    "Section",
    "Table",
    "Text",
    "Tiles",
    "Times",
    "figure_svg",
    "format_number",
    "name_ticks",
    "new_figure",
    "number_ticks",
    "plot_renderer",
    "render",
    "share_ticks",
    "shortened",
    "template_environment",
    "with_error",
    "write_page",
]

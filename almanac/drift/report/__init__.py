"""The HTML report of a comparison."""

from almanac.drift.report.outputs import output_plots
from almanac.drift.report.page import drift_page

__all__ = ["drift_page", "output_plots"]

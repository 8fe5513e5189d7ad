"""Weekly and monthly reports of a use case, made from the history."""

from operations.reports.period import KINDS, Period, last_period, period_named
from operations.reports.rendering import fill, to_pdf
from operations.reports.report import Report, make_report

__all__ = ["KINDS", "Period", "Report", "fill", "last_period", "make_report", "period_named", "to_pdf"]

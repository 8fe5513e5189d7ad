"""Axes of time in the plots of reports."""

from typing import Any


def few_dates(*axes: Any) -> None:
    """Label an axis of time by a few dates that do not touch."""
    from matplotlib import dates

    # Without types of its own.
    kit: Any = dates
    for each in axes:
        locator = kit.AutoDateLocator(minticks=3, maxticks=6)
        each.xaxis.set_major_locator(locator)
        each.xaxis.set_major_formatter(kit.ConciseDateFormatter(locator))

"""Sections of a report, one module a section.

Each has a function `section` that returns the blocks for the facts of a period; templates name a section by its module.
"""

from collections.abc import Callable
from types import MappingProxyType

from almanac.reports import Section
from operations.reports.facts import Facts
from operations.reports.sections import actions, alarms, approvals, costs, drift, performance, sent, summary

#: Name -> builder, in the order in which our template shows them.
SECTIONS: MappingProxyType[str, Callable[[Facts], Section]] = MappingProxyType(
    {
        "summary": summary.section,
        "performance": performance.section,
        "drift": drift.section,
        "alarms": alarms.section,
        "actions": actions.section,
        "approvals": approvals.section,
        "costs": costs.section,
        "sent": sent.section,
    }
)

__all__ = ["SECTIONS"]

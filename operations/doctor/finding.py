"""Findings of a check."""

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warning", "failed", "skipped"]
#: From the best to the worst.
ORDER: tuple[Status, ...] = ("skipped", "ok", "warning", "failed")


@dataclass(frozen=True)
class Finding:
    """A fact about the installation.

    Attributes:
        status: whether it is as it should be; `skipped` where nothing was given to look at.
        fact: the fact.
        remedy: what would mend it; "" where nothing has to be done.
    """

    status: Status
    fact: str
    remedy: str = ""


def ok(fact: str) -> Finding:
    """Return the finding of something that is as it should be."""
    return Finding("ok", fact)


def warning(fact: str, remedy: str) -> Finding:
    """Return the finding of something that works today, and may not tomorrow."""
    return Finding("warning", fact, remedy)


def failed(fact: str, remedy: str) -> Finding:
    """Return the finding of something that does not work."""
    return Finding("failed", fact, remedy)


def skipped(fact: str) -> Finding:
    """Return the finding of something that nobody gave an address of."""
    return Finding("skipped", fact)

"""Causes that the agent can name, one module a cause.

A cause looks at the evidence and returns the signs that speak for and against it. How much each sign weighs was fitted
on injected faults, see `operations.agent.calibration`. A cause from another package is registered by an entry point of
the group `almanac.causes`.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from math import log2

from almanac.core.kinds import Kinds
from operations.agent.evidence import Evidence

__all__ = ["CAUSES", "Cause", "Sign", "against", "against_column", "alarm", "column", "fact", "figure"]

#: Factor over the border of the usual beyond which a figure says no more: 2 to this power.
_OCTAVES = 3.0


@dataclass(frozen=True)
class Sign:
    """A figure that speaks for or against a cause.

    Attributes:
        name: name of the sign within its cause; its weight has this name.
        value: the figure, 1 at the border of the usual.
        strength: from -1, against the cause, to 1, for it.
        text: the figure in words.
    """

    name: str
    value: float
    strength: float
    text: str


@dataclass(frozen=True)
class Cause:
    """A cause of an alarm.

    Attributes:
        name: by which policies and entries name it.
        title: for people.
        signs: returns the signs that the evidence has.
        names: names of all signs, in order.
    """

    name: str
    title: str
    names: tuple[str, ...]
    signs: Callable[[Evidence], Iterable[Sign]]


def figure(name: str, evidence: Evidence, figures: dict[str, str]) -> Iterator[Sign]:
    """Yield the largest of some figures as a sign for a cause, and against it where all are below their border.

    Args:
        name: name of the sign.
        evidence: the evidence.
        figures: name of each figure and its words.
    """
    known = {each: evidence.figures[each] for each in figures if each in evidence.figures}
    if known:
        largest = max(known, key=lambda each: (known[each], each))
        yield Sign(name, known[largest], _strength(known[largest]), _words(figures[largest], known[largest]))


def fact(name: str, evidence: Evidence, figures: dict[str, str]) -> Iterator[Sign]:
    """Yield the largest of some figures as a sign for a cause, and none where all are below their border."""
    yield from (sign for sign in figure(name, evidence, figures) if sign.strength > 0)


def against(name: str, evidence: Evidence, figures: dict[str, str]) -> Iterator[Sign]:
    """Yield the largest of some figures as a sign against a cause, and none where all are below their border."""
    for sign in fact(name, evidence, figures):
        yield Sign(sign.name, sign.value, -sign.strength, sign.text)


def column(name: str, evidence: Evidence, key: str, text: str, of: str = "all") -> Iterator[Sign]:
    """Yield the largest value of a figure among the columns as a sign for a cause, against it below the border."""
    if (found := evidence.worst(key, of)) is not None:
        yield Sign(name, found[1], _strength(found[1]), f"{found[0]}: {_words(text, found[1])}")


def against_column(name: str, evidence: Evidence, key: str, text: str, of: str = "all") -> Iterator[Sign]:
    """Yield the largest value of a figure among the columns as a sign against a cause, none below the border."""
    for sign in column(name, evidence, key, text, of):
        if sign.strength > 0:
            yield Sign(sign.name, sign.value, -sign.strength, sign.text)


def alarm(evidence: Evidence, *names: str) -> Iterator[Sign]:
    """Yield the sign of an alarm that is about this cause, none for other alarms."""
    if evidence.alarm in names:
        yield Sign("alarm", 8.0, 1.0, f"the alarm is {evidence.alarm}")


def _strength(value: float) -> float:
    if value <= 2**-_OCTAVES:
        return -1.0
    return min(1.0, log2(value) / _OCTAVES)


def _words(text: str, value: float) -> str:
    return f"{text}, {value:.3g} times the border of the usual"


#: Every cause by name.
CAUSES: Kinds[Cause] = Kinds("cause", "operations.agent.causes", "almanac.causes")

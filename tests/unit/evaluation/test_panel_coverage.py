"""How often the coverage rule refuses a panel's right intervals, and wrong ones, on made-up panels."""

import numpy as np
import numpy.typing as npt
import pytest

from almanac.evaluation.gate.evidence import JudgedRows
from almanac.evaluation.gate.rules import coverage
from almanac.evaluation.groups import Slices
from almanac.evaluation.paired import Clock
from almanac.evaluation.student import student_quantile

HOUR, STEPS, NOMINAL, RATE = 3_600_000_000, 168, 0.9, 0.05
#: Panels drawn for each share. The binomial error of a share of 5% is 1.5 points.
PANELS = 200


def drawn(
    generator: np.random.Generator, entities: int, lead: int, spread: tuple[float, float], width: float
) -> JudgedRows:
    """Return a week of errors whose scale differs by entity, for the whole week, and by half-days, for all entities."""
    own = np.exp(spread[0] * generator.normal(size=(entities, 1)))
    shared = np.exp(spread[1] * generator.normal(size=STEPS // 12)).repeat(12)
    y = (own * shared * generator.normal(size=(entities, STEPS))).ravel()
    zero, time = np.zeros(y.size), np.tile(np.arange(STEPS) * HOUR, entities)
    everywhere = Slices.of(["all"], np.zeros(y.size, np.int64))
    code = np.arange(entities).repeat(STEPS)
    return JudgedRows(Clock(time, HOUR, lead), y, zero, zero - width, zero + width, everywhere, {}, None, code)


def refused(entities: int, lead: int, spread: tuple[float, float], narrow: float = 1.0) -> tuple[float, float]:
    """Return the share of panels that the rule refuses, and the share where periods alone count.

    The width has the nominal coverage over many entities and half-days, times `narrow`.
    """
    generator = np.random.default_rng(0)
    scale = np.exp(np.hypot(*spread) * generator.normal(size=400_000))
    width = float(np.quantile(np.abs(scale * generator.normal(size=400_000)), NOMINAL))
    counts = np.zeros(2)
    for _ in range(PANELS):
        rows = drawn(generator, entities, lead, spread, narrow * width)
        inside: npt.NDArray[np.bool_] = (rows.y >= rows.lower) & (rows.y <= rows.upper)
        place, distance = np.ones(inside.size, dtype=np.bool_), abs(float(inside.mean()) - NOMINAL)
        _, chance = coverage._by_chance_of(rows, place, NOMINAL, RATE)
        variance, degrees = coverage._variance(rows.clock.periods, place, ~inside)
        counts += distance > chance, distance > student_quantile(degrees, 1 - RATE / 2) * np.sqrt(variance)
    return float(counts[0]) / PANELS, float(counts[1]) / PANELS


@pytest.mark.parametrize("lead", [6, 24])
@pytest.mark.parametrize("spread", [(0.4, 0.0), (0.0, 0.3), (0.4, 0.3)])
def test_right_intervals_are_refused_about_as_seldom_as_stated(lead: int, spread: tuple[float, float]) -> None:
    by_rule, _ = refused(30, lead, spread)
    assert by_rule <= RATE + 3 * np.sqrt(RATE * (1 - RATE) / PANELS)


def test_periods_alone_would_refuse_most_panels_whose_entities_have_changed() -> None:
    """The reason for the rule: what an entity misses it misses in every period, which are then no observations."""
    by_rule, by_periods = refused(30, 6, (0.4, 0.0))
    assert by_periods > 0.5 > 10 * by_rule


@pytest.mark.parametrize(("spread", "least"), [((0.4, 0.0), 0.9), ((0.4, 0.2), 0.6), ((0.0, 0.0), 0.95)])
def test_intervals_a_fifth_too_narrow_are_found(spread: tuple[float, float], least: float) -> None:
    assert refused(100, 24, spread, narrow=0.8)[0] > least

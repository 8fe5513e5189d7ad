"""Ticks of plots: labels that differ, and names that fit."""

from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from almanac.reports import Times, name_ticks, new_figure, number_ticks, share_ticks


def _labels(axis: object) -> list[str]:
    return [label.get_text() for label in axis.get_xticklabels()]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("days", "first"), [(0.5, "04:00"), (6, "Fri 3"), (60, "1 Feb"), (700, "Jan 2021"), (9000, "2024")]
)
def test_dates_on_an_axis_differ(days: float, first: str) -> None:
    _, ((axis,),) = new_figure()
    start = datetime(2020, 1, 2, 3)
    axis.plot([start, start + timedelta(days=days)], [0, 1])
    axis.margins(x=0)
    Times().ticks(axis)
    labels = _labels(axis)
    assert len(labels) >= 2
    assert len(set(labels)) == len(labels)
    assert first in labels


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.0, 0.11), (0.88, 0.92), (0.899, 0.902)])
def test_shares_on_an_axis_differ(low: float, high: float) -> None:
    _, ((axis,),) = new_figure()
    axis.set_ylim(low, high)
    share_ticks(axis)
    labels = [label.get_text() for label in axis.get_yticklabels()]
    assert len(set(labels)) == len(labels) >= 3
    # A label says where its tick is, and not what it would be rounded to.
    for tick, text in zip(axis.get_yticks(), labels, strict=True):
        assert float(text.rstrip("%")) / 100 == pytest.approx(tick, abs=1e-9)


def test_names_that_do_not_fit_are_thinned_out_and_cut() -> None:
    _, ((axis,),) = new_figure()
    name_ticks(axis, ["north", "south"], 4.0)
    assert _labels(axis) == ["north", "south"]
    names = [f"a shop of a very long name, number {number:04d}" for number in range(6000)]
    name_ticks(axis, names, 4.0)
    labels = _labels(axis)
    assert 5 <= len(labels) <= 20
    assert len(set(labels)) == len(labels)
    assert labels[0] == "a shop of …number 0000"


def test_names_that_differ_in_their_middle_alone_stay_whole() -> None:
    _, ((axis,),) = new_figure()
    names = [f"the beginning is equal {middle} and so is the end" for middle in "ab"]
    name_ticks(axis, names, 9.0)
    assert _labels(axis) == names


@pytest.mark.parametrize(
    ("low", "high"), [(0.0, 1.5e-4), (-3.1e-4, 2.4e-4), (1440.0, 1560.0), (-0.5, 1.1), (-6e-5, 8e-5)]
)
@pytest.mark.parametrize("vertical", [False, True])
def test_numbers_on_an_axis_fit_and_say_where_they_are(low: float, high: float, vertical: bool) -> None:
    figure, ((axis,),) = new_figure(2.4, 1.6)
    axis.set_ylim(low, high) if vertical else axis.set_xlim(low, high)
    number_ticks(axis, 1.2 if vertical else 2.2, vertical)
    figure.canvas.draw()
    labels = axis.get_yticklabels() if vertical else axis.get_xticklabels()
    ticks = axis.get_yticks() if vertical else axis.get_xticks()
    assert len(labels) >= 2
    for tick, label in zip(ticks, labels, strict=True):
        assert float(label.get_text()) == pytest.approx(tick, rel=1e-5, abs=1e-12)
    boxes = [label.get_window_extent() for label in labels]
    for one, other in pairwise(boxes):
        assert one.y1 < other.y0 if vertical else one.x1 < other.x0
    assert (axis.get_ylim() if vertical else axis.get_xlim()) == (low, high)

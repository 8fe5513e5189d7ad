"""Ticks of plots: labels that differ, and names that fit."""

from datetime import datetime, timedelta

import pytest

from almanac.reports import date_ticks, name_ticks, new_figure, share_ticks


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
    date_ticks(axis)
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

"""The split: resolved against the data, and refused where a window has no room for its folds."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from almanac.core.errors import UseCaseError
from almanac.core.files import pretty_json
from almanac.usecase import UseCase, load_text
from almanac.usecase.fold_lengths import FEWEST_LEARNED, fewest_calibrated, fold_length, shortest_window
from almanac.usecase.split_section import Split
from almanac.usecase.types import to_timedelta
from tests.support import small

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NEWEST = datetime(2014, 12, 31, 23)


def usecase(split: dict[str, Any], frequency: str = "1h", horizon: str = "1h", **folds: Any) -> UseCase:
    data = small.data()
    data |= {"split": split, "time": {"column": "time", "frequency": frequency}}
    data["targets"][0]["horizon"] = horizon
    data["evaluation"] |= {"season": "1d", "block": "1d"}
    data["training"]["folds"] = folds
    return load_text(pretty_json(data), "demand.yaml")


@pytest.mark.parametrize(
    ("split", "newest", "expected"),
    [
        ({"test": "last 365d"}, NEWEST, ("2014-01-01", "2015-01-01", None)),
        ({"test": "last 1y"}, NEWEST, ("2014-01-01", "2015-01-01", None)),
        # The hours of a day that has not ended belong to no span.
        ({"test": "last 30d"}, datetime(2014, 12, 31, 22), ("2014-12-01", "2014-12-31", None)),
        ({"test": "last 30d"}, datetime(2015, 1, 1, 0), ("2014-12-02", "2015-01-01", None)),
        ({"test": "last 30d", "train": "last 10d"}, NEWEST, ("2014-12-02", "2015-01-01", "10d")),
        ({"test": "last 30d", "train": "last 90min"}, NEWEST, ("2014-12-02", "2015-01-01", "90min")),
        # 2012 has a 29 February.
        ({"test": "last 1y", "train": "last 3y"}, NEWEST, ("2014-01-01", "2015-01-01", "1096d")),
        ({"test": "last 1y"}, datetime(2016, 2, 28, 23), ("2015-02-28", "2016-02-29", None)),
    ],
)
def test_a_rolling_split_counts_back_from_the_newest_complete_day(
    split: dict[str, Any], newest: datetime, expected: tuple[str, str, str | None]
) -> None:
    found = Split.model_validate(split).at(newest, "1h", HOUR)
    assert (str(found.test_from), str(found.test_to), found.train_window) == expected


def test_a_split_by_dates_stays_as_it_is() -> None:
    split = Split.model_validate_json('{"test_from": "2014-01-01"}')
    assert split.at(NEWEST, "1h", HOUR) is split


@given(days=st.integers(1, 400), hours=st.integers(0, 24 * 800))
def test_a_later_row_never_moves_a_span_back(days: int, hours: int) -> None:
    split = Split(test=f"last {days}d")
    first, later = (split.at(NEWEST + extra * HOUR, "1h", HOUR) for extra in (0, hours))
    assert first.test_from and later.test_from and later.test_to
    # Whole days of new rows move both ends by just as much.
    assert later.test_from - first.test_from == (hours // 24) * DAY
    assert later.test_to - later.test_from == days * DAY


@pytest.mark.parametrize(
    ("frequency", "horizon", "window"),
    [
        ("1h", "1h", "3d"),
        ("1h", "6h", "3d"),
        ("1h", "24h", "4d"),
        ("1h", "24h", "10d"),
        ("5min", "1h", "3d"),
        ("1h", "1h", "5d"),
    ],
)
def test_windows_of_days_get_folds_that_fit(frequency: str, horizon: str, window: str) -> None:
    case = usecase({"test": "last 2d", "train": f"last {window}"}, frequency, horizon)
    step, length, count = to_timedelta(frequency), fold_length(case, to_timedelta(window)), case.training.folds.count
    assert not length % step
    assert (to_timedelta(window) - count * length - to_timedelta(horizon)) / step >= FEWEST_LEARNED
    assert count * length <= to_timedelta(window) / 2
    assert count * (length // step) >= fewest_calibrated(case.training.intervals.level)


@given(steps=st.integers(1, 2000), horizon=st.integers(1, 48), count=st.integers(2, 6))
def test_every_window_that_is_admitted_has_rows_for_each_fold(steps: int, horizon: int, count: int) -> None:
    case = usecase({"test": "last 2d"}, horizon=f"{horizon}h", count=count)
    if steps * HOUR < shortest_window(case):
        return
    length = fold_length(case, steps * HOUR)
    assert length >= 12 * HOUR
    assert steps * HOUR - count * length - horizon * HOUR >= FEWEST_LEARNED * HOUR


def test_a_long_window_keeps_folds_of_120_days() -> None:
    assert fold_length(usecase({"test": "last 2d"}), timedelta(days=1000)) == 120 * DAY


@pytest.mark.parametrize(
    ("split", "folds", "message"),
    [
        (
            {"test": "last 2d", "train": "last 71h"},
            {},
            "split.train: last 71h is too short; it must hold at least 3d",
        ),
        ({"test": "last 2d", "train": "last 10d"}, {"length": "5d"}, "at least 385h: rows to learn from, the longest "),
        (
            {"test": "last 2d", "retrain": {"test": "last 2d", "train": "last 2d"}},
            {},
            "split.retrain.train: last 2d",
        ),
        ({"test_from": "2014-12-02", "train_window": "1d"}, {}, "split.train_window: 1d is too short"),
        ({"test": "last 1d"}, {}, "split.test: last 1d is shorter than two blocks of 1d, by which figures get their"),
    ],
)
def test_a_window_that_cannot_work_is_refused_with_numbers(
    split: dict[str, Any], folds: dict[str, Any], message: str
) -> None:
    with pytest.raises(UseCaseError) as caught:
        usecase(split, **folds)
    assert message in str(caught.value)


def test_the_shortest_window_itself_is_admitted() -> None:
    assert usecase({"test": "last 2d", "train": "last 72h"}).split.train == "last 72h"

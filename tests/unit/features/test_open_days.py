"""On the open days of a calendar everything is what it is on days that follow each other; only the dates differ."""

from datetime import date, datetime, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from almanac.core.errors import FeatureError
from almanac.features.baselines import baseline_forecasts
from almanac.features.batch import compute
from almanac.features.fit import fit
from almanac.features.online import OnlineEngine
from almanac.features.spec import FeatureSpec
from almanac.features.split import folds, train_test
from almanac.features.table import numbers, times
from almanac.features.target import history_of, targets
from almanac.training.dataset import make_problem
from almanac.training.folds import make_folds
from almanac.usecase import UseCase
from almanac.usecase.types import to_microseconds
from tests.support.open_days import rows, usecase

Array = npt.NDArray[np.float64]
CALENDAR_ITEMS = [
    {"kind": "calendar", "group": "calendar", "fields": ["weekday", "day_of_month"], "ahead": "1d"},
    {"kind": "cyclic", "group": "calendar", "periods": ["week", "year"], "ahead": "3d"},
    {"kind": "holiday", "group": "calendar", "exchange": "XNYS", "fields": ["days_since"], "ahead": "1d"},
]


def fitted(case: UseCase, table: pl.DataFrame) -> FeatureSpec:
    return fit(case, table, train_test(case, table["timestamp"])[0])


@pytest.fixture(scope="module")
def both() -> list[tuple[UseCase, pl.DataFrame, pl.DataFrame]]:
    """Use case, table, and features with targets: on open days, and on days that follow each other."""
    made = []
    for case in (usecase(), usecase(calendar=None)):
        table = rows(case)
        spec = fitted(case, table)
        made.append((case, table, compute(spec, table).hstack(targets(case, spec, table))))
    return made


def test_features_and_targets_are_those_of_days_that_follow_each_other(
    both: list[tuple[UseCase, pl.DataFrame, pl.DataFrame]],
) -> None:
    (_, table, opened), (_, even_table, even) = both
    assert table["timestamp"].dt.weekday().max() == 5
    assert table["timestamp"].to_list() != even_table["timestamp"].to_list()
    assert opened.drop("timestamp").equals(even.drop("timestamp"), null_equal=True)
    assert np.isfinite(opened["y_load_3d"].to_numpy()).mean() > 0.9


def test_baselines_are_those_of_days_that_follow_each_other(
    both: list[tuple[UseCase, pl.DataFrame, pl.DataFrame]],
) -> None:
    found = []
    for case, table, features in both:
        train = train_test(case, table["timestamp"])[0].rows(table["timestamp"].to_physical().to_numpy())
        found.append([baseline_forecasts(case, features, target, train) for target in case.targets])
    for opened, even in zip(*found, strict=True):
        assert opened.keys() == even.keys()
        for name in opened:
            # The phase of the season begins with another day, and so do the sums of its means.
            assert np.allclose(opened[name], even[name], rtol=1e-12, equal_nan=True), name
    assert {"persistence", "seasonal", "climatology", "recent_mean", "drift"} <= found[0][0].keys()


def test_histories_of_a_target_are_those_of_days_that_follow_each_other(
    both: list[tuple[UseCase, pl.DataFrame, pl.DataFrame]],
) -> None:
    windows = []
    for case, table, _ in both:
        history = history_of(fitted(case, table), table, "load")
        windows.append(history.windows(np.arange(table.height), 12))
    assert np.array_equal(windows[0], windows[1], equal_nan=True)


def test_no_truth_of_a_span_to_judge_by_is_a_training_label(
    both: list[tuple[UseCase, pl.DataFrame, pl.DataFrame]],
) -> None:
    case, table, features = both[0]
    time, grid = times(table, "timestamp"), case.time.grid
    for target in case.targets:
        problem = make_problem(case, features, [name for name in features.columns if name.startswith("load")], target)
        for fold in make_folds(case, problem):
            due = grid.later(time[fold.train], to_microseconds(target.horizon))
            assert due.max() < time[fold.valid].min()
            # No more than the horizon is left out.
            assert due.max() >= grid.later(time[fold.valid].min(keepdims=True), -2 * grid.step)[0]


@pytest.mark.parametrize(("test_from", "stop"), [("2020-01-01", "2019-12-27"), ("2019-11-30", "2019-11-26")])
def test_the_gap_before_a_span_counts_open_days(test_from: str, stop: str) -> None:
    """1 January is a holiday, 30 November 2019 a Saturday after Thanksgiving: three open days before the next one."""
    case = usecase(split={"test_from": test_from})
    train, test = train_test(case, rows(case)["timestamp"])
    assert str(np.datetime64(int(train.stop or 0), "us"))[:10] == stop
    assert str(np.datetime64(int(test.start or 0), "us"))[:10] == test_from
    spans = folds(train, 1, 20 * 86_400_000_000, 0, case.time.grid)
    assert spans[0][1].stop == train.stop


def test_both_engines_agree_on_open_days_and_the_days_travel_in_the_model() -> None:
    case = usecase()
    case = usecase(features={"items": [*case.model_dump(mode="json")["features"]["items"], *CALENDAR_ITEMS]})
    table = rows(case).filter(pl.col("kind") == "a")
    spec = FeatureSpec.model_validate(fitted(case, table).model_dump(mode="json"))
    assert spec.grid == case.time.grid
    full = pl.Series("timestamp", spec.grid.from_even(_axis(spec, table)).astype("datetime64[us]"))
    table = full.to_frame().join(table, on="timestamp", how="left").with_columns(kind=pl.lit("a"))
    features = compute(spec, table)
    engine, block = OnlineEngine(spec), np.stack([numbers(spec, table, name) for name in spec.columns])
    padded = np.concatenate([np.full((len(block), spec.history - 1), np.nan), block], axis=1)
    values = features.select(spec.names).to_numpy()
    for at, time in enumerate(times(table, "timestamp").tolist()):
        assert np.array_equal(engine.row(padded[:, at : at + spec.history], time), values[at], equal_nan=True)


def _axis(spec: FeatureSpec, table: pl.DataFrame) -> npt.NDArray[np.int64]:
    even = spec.grid.to_even(times(table, "timestamp"))
    return np.arange(even[0], even[-1] + 1, spec.step)


def test_the_calendar_of_a_friday_a_step_ahead_is_that_of_the_monday() -> None:
    case = usecase(features={"items": CALENDAR_ITEMS})
    table = rows(case).filter(pl.col("kind") == "a")
    features = compute(fitted(case, table), table)
    day = {time.date(): row for time, row in zip(table["timestamp"], features.iter_rows(named=True), strict=True)}
    assert (day[date(2018, 3, 2)]["weekday"], day[date(2018, 3, 2)]["day_of_month"]) == (0.0, 5.0)
    # Friday 30 March 2018 is Good Friday; the holiday is four days before the Monday.
    assert (day[date(2018, 3, 29)]["weekday"], day[date(2018, 3, 29)]["xnys_days_since"]) == (0.0, 3.0)


def test_what_comes_later_changes_no_feature() -> None:
    case = usecase()
    table = rows(case)
    spec = fitted(case, table)
    moment = datetime(2019, 5, 24)
    later = pl.col("timestamp") > moment
    changed = table.with_columns(pl.when(later).then(999.0).otherwise(pl.col("load")).alias("load"))
    before, after = (compute(spec, one).filter(~later) for one in (table, changed))
    assert before.equals(after, null_equal=True)
    ahead = compute(spec, changed).filter(pl.col("timestamp") == moment + timedelta(days=4))
    assert (ahead["load"] == 999.0).all()


def test_a_row_on_a_closed_day_is_refused_by_its_number() -> None:
    case = usecase()
    table = rows(case)
    spec = fitted(case, table)
    moved = table.with_columns(
        pl.when(pl.int_range(pl.len()) == 3)
        .then(datetime(2018, 1, 6))
        .otherwise(pl.col("timestamp"))
        .alias("timestamp")
    )
    with pytest.raises(FeatureError, match=r"row 4 \(kind a, timestamp 2018-01-06 .*time.calendar has closed"):
        compute(spec, moved)

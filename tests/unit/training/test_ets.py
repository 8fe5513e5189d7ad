"""Exponential smoothing: the recursion, what it sees, and how it is kept."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from almanac.core.errors import ModelError, TrainingError, UseCaseError
from almanac.model.bodies import read_body
from almanac.model.bodies.ets import Filter, Smoothing, State, StateSpacePredictor
from almanac.model.offset import Offset
from almanac.model.predictor import Rows
from almanac.model.target_history import TargetHistory
from almanac.training.candidates import ets
from almanac.training.past_candidate import require_statsforecast
from almanac.training.train import train
from tests.support import panel

Array = npt.NDArray[np.float64]

ADDITIVE = Smoothing(alpha=0.3, beta=0.05, gamma=0.1, phi=0.9, seasonal="additive", level=10.0)
MULTIPLIED = Smoothing(alpha=0.2, beta=0.0, gamma=0.2, phi=0.0, seasonal="multiplicative", level=20.0)
PLAIN = Smoothing(alpha=0.5, beta=0.0, gamma=0.0, phi=0.0, seasonal="none", level=7.0)


def quiet(done: int, total: int, text: str) -> None:
    """Report nothing."""


def predictor(**changes: Any) -> StateSpacePredictor:
    entities = {"a": ADDITIVE, "b": MULTIPLIED, "c": PLAIN}
    return replace(StateSpacePredictor(12, 4, 3, entities, PLAIN, Offset(), ["x"]), **changes)


def rows(count: int = 5_000) -> Rows:
    """Return positive pasts with missing values, of known entities and others."""
    generator = np.random.default_rng(3)
    past = 50 + 10 * np.sin(np.arange(12) * np.pi / 2) + generator.normal(0, 2, (count, 12))
    past[generator.random((count, 12)) < 0.1] = np.nan
    past[::100] = np.nan
    names = [("a", "b", "c", "unseen")[k] for k in generator.integers(0, 4, count)]
    return Rows(generator.normal(0, 1, (count, 1)), past, names)


@pytest.mark.parametrize(
    ("model", "damped"), [("AAA", False), ("AAA", True), ("ANA", None), ("MAM", False), ("MNM", None), ("AAN", False)]
)
def test_the_recursion_is_that_of_statsforecast(model: str, damped: bool | None) -> None:
    from statsforecast.ets import forecast_ets
    from statsforecast.models import AutoETS

    generator, t = np.random.default_rng(0), np.arange(400)
    noise = generator.normal(0, 0.02, t.size)
    y = (50 + 8 * np.sin(2 * np.pi * t / 12) + 0.02 * t) * np.exp(noise)
    fitted = AutoETS(season_length=12, model=model, damped=damped).fit(y).model_
    _, trend, seasonal, damping = fitted["components"]
    first = fitted["states"][0]
    growth, season = (first[1], first[2:]) if trend == "A" else (0.0, first[1:])
    alpha, beta, gamma, phi = fitted["par"][:4]
    one = Smoothing(
        alpha=alpha,
        beta=beta if trend == "A" else 0.0,
        gamma=gamma if seasonal != "N" else 0.0,
        phi=0.0 if trend == "N" else phi if damping == "D" else 1.0,
        seasonal={"N": "none", "A": "additive", "M": "multiplicative"}[seasonal],
        level=1.0,
    )
    recursion = Filter([one])
    state = State(first[:1], np.array([growth]), season[::-1][None, :] if seasonal != "N" else np.zeros((1, 1)))
    last = recursion.run(state, y[None, :])
    theirs = forecast_ets(fitted, 30)["mean"]  # type: ignore[no-untyped-call]
    # From the second step on, statsforecast 2.1 sums φ + φ + φ² … where the book has φ + φ² + φ³ …
    steps = (1,) if damping == "D" else (1, 2, 12, 13, 30)
    assert [recursion.forecast(last, h)[0] for h in steps] == pytest.approx([theirs[h - 1] for h in steps], rel=1e-10)


def test_a_damped_growth_adds_up_as_in_the_book() -> None:
    state = State(np.array([10.0]), np.array([2.0]), np.zeros((1, 1)))
    assert Filter([ADDITIVE]).forecast(state, 3) == pytest.approx([10 + 2 * (0.9 + 0.9**2 + 0.9**3)])


def test_a_row_is_the_same_in_a_batch_and_on_its_own() -> None:
    batch = rows()
    assert batch.past is not None
    assert batch.entity is not None
    together = predictor().predict(batch)
    assert np.isfinite(together).all()
    for k in range(0, 5_000, 61):
        alone = predictor().predict(Rows(batch.X[k : k + 1], batch.past[k : k + 1].copy(), [batch.entity[k]]))
        assert alone[0] == together[k]


def test_an_empty_past_gives_the_stored_level() -> None:
    past = np.full((2, 12), np.nan)
    assert predictor().predict(Rows(np.zeros((2, 1)), past, ["a", "unseen"])).tolist() == [10.0, 7.0]


def test_a_missing_value_is_passed_over() -> None:
    values = 20 + np.sin(np.arange(40.0))[None, :]
    gap = values.copy()
    gap[0, 20:24] = np.nan
    recursion = Filter([PLAIN])
    state = State(np.array([20.0]), np.zeros(1), np.zeros((1, 1)))
    before = recursion.run(state, values[:, :20])
    assert recursion.run(before, gap[:, 20:24]).level == before.level


def test_files_restore_the_predictor(tmp_path: Path) -> None:
    original = predictor(offset=Offset(clip=(0.0, 55.0), link="identity"))
    restored = read_body("ets", original.to_files(), ["x"], tmp_path)
    batch = rows(200)
    assert restored.history == 12
    np.testing.assert_array_equal(restored.predict(batch), original.predict(batch))
    assert restored.predict(batch).max() <= 55.0
    assert restored.explain(batch) is None
    with pytest.raises(ModelError, match=r"the last 12 values .* got None"):
        restored.predict(Rows(batch.X))
    with pytest.raises(ModelError, match="expected an entity request"):
        restored.row_call(np.zeros(1), np.zeros(1))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"format": 1', '"format": 2', "format 2; this version reads 1"),
        ('"history": 12', '"history": 13', "period 4, history 13, steps 3 do not fit"),
        ('"steps": 3', '"stops": 3', "a field is missing or wrong .'steps'"),
        ('"additive"', '"odd"', "seasonal is 'odd'; expected none, additive or multiplicative"),
        ('"alpha": 0.3', '"alpha": 0.0', "alpha above 0"),
        ('"format": 1', '"format: 1', ""),
    ],
)
def test_a_wrong_document_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    files = predictor().to_files()
    assert old in files["ets.json"].decode()
    files["ets.json"] = files["ets.json"].decode().replace(old, new).encode()
    with pytest.raises(ModelError, match=rf"ets\.json: .*{message}"):
        read_body("ets", files, ["x"], tmp_path)


def test_windows_follow_the_time_and_the_entity() -> None:
    """A row that is missing leaves a gap, and no window reaches into another entity."""
    time = np.array([0, 1, 3, 0, 1, 2, 3]) * 60
    history = TargetHistory(time, np.arange(7.0), 60, np.array(["a"] * 3 + ["b"] * 4, dtype=object))
    rows = history.rows(np.zeros((3, 1)), np.array([2, 3, 6]), 3)
    np.testing.assert_array_equal(np.asarray(rows.past), [[1, np.nan, 2], [np.nan, np.nan, 3], [4, 5, 6]])
    assert rows.entity == ["a", "b", "b"]
    np.testing.assert_array_equal(history.windows(np.array([6]), 2), [[5, 6]])


def test_nothing_after_the_prediction_time_is_seen(tmp_path: Path) -> None:
    """Other values from the first validation day on change neither the parameters nor the forecasts before it."""
    case, data = panel.usecase(), panel.table()
    cut = pl.datetime(2020, 4, 15)
    changed = 0.5 * pl.col("load") + 150.0
    other = data.with_columns(pl.when(pl.col("timestamp") >= cut).then(changed).otherwise("load").alias("load"))
    frames = []
    for name, table in (("as_is", data), ("other", other)):
        files = panel.inputs(case, table, tmp_path / name / "in")
        train(case, files, tmp_path / name / "model", tmp_path / name / "tuning.json", progress=quiet)
        frames.append(pl.read_parquet(tmp_path / name / "model" / "oof.parquet"))
    before = [frame.filter((pl.col("fold") == 0) & (pl.col("timestamp") < cut))["prediction"] for frame in frames]
    assert before[0].len() > 500
    assert before[0].equals(before[1])
    after = [frame.filter(pl.col("timestamp") >= cut)["prediction"] for frame in frames]
    assert not after[0].equals(after[1])


def test_smoothing_wins_where_the_series_is_all_there_is(tmp_path: Path) -> None:
    case = panel.usecase(panel.ETS, {"name": "ridge", "kind": "linear"})
    files = panel.inputs(case, panel.table(), tmp_path / "in")
    out = []
    for run in ("one", "two"):
        result = train(case, files, tmp_path / run / "model", tmp_path / run / "tuning.json", progress=quiet)
        out.append(result["model_digest"])
    assert out[0] == out[1]
    found = result["targets"]["load_6h"]
    assert found["chosen"] == "smoothing"
    assert found["loss"] < min(each["loss"] for each in found["baselines"].values())
    assert not list((tmp_path / "one" / "model").rglob("*.pkl"))


@pytest.mark.parametrize(
    ("candidate", "changes", "message"),
    [
        ({"season": "168h"}, {}, r"a season of 168 steps; expected a whole number up to 24; set 'season'"),
        ({"season": "90min"}, {}, r"a season of 1\.5 steps"),
        ({"fixed": {"model": "XYZ"}}, {}, r"candidate smoothing, target load_6h"),
        (
            {},
            {"targets": [{"name": "high", "column": "load", "horizon": "6h", "task": "classification", "above": 40.0}]},
            r"candidate smoothing: of kind ets, which forecasts a value and no probability",
        ),
        ({"learn_from": 100, "season": "24h"}, {}, None),
    ],
)
def test_a_candidate_that_cannot_be_fitted_says_why(
    tmp_path: Path, candidate: dict[str, Any], changes: dict[str, Any], message: str | None
) -> None:
    case = panel.usecase({**panel.ETS, **candidate}, **changes)
    files = panel.inputs(case, panel.table(), tmp_path / "in")
    if message is None:
        train(case, files, tmp_path / "model", tmp_path / "tuning.json", progress=quiet)
        return
    with pytest.raises(TrainingError, match=message):
        train(case, files, tmp_path / "model", tmp_path / "tuning.json", progress=quiet)


def test_a_misspelt_argument_is_refused() -> None:
    with pytest.raises(UseCaseError, match=r"smoothing\.fixed\.damp: is no parameter of ets; did you mean damped\?"):
        panel.usecase({**panel.ETS, "fixed": {"damp": True}})


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "statsforecast", None)
    with pytest.raises(TrainingError, match=r"candidate x: kind ets needs the package statsforecast.*pip install"):
        require_statsforecast(ets.ETS(name="x", kind="ets"))

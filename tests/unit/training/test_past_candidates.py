"""ARIMA, the Theta method and the additive regression: their forecasts, what they see, and how they are kept."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from almanac.core.errors import ModelError, TrainingError, UseCaseError
from almanac.model.bodies import read_body
from almanac.model.bodies.additive_regression import AdditivePredictor, TrendAndSeason
from almanac.model.bodies.arima import ARIMAPredictor, SeasonalARIMA
from almanac.model.bodies.theta import Theta, ThetaPredictor
from almanac.model.offset import Offset
from almanac.model.past_predictor import PastPredictor, fill_gaps
from almanac.model.predictor import Rows
from almanac.training.candidates import additive_regression, arima, theta
from almanac.training.past_candidate import require_statsforecast, typical
from almanac.training.train import train
from tests.support import panel

Array = npt.NDArray[np.float64]

PERIOD, HISTORY = 12, 48
SERIES = SeasonalARIMA([0.4, 0.2], [0.3], [0.1], [-0.5], 0, 1, 0.0, 0.02, 40.0)
LEVEL = SeasonalARIMA([0.7], [], [], [], 0, 0, 33.0, 0.0, 33.0)
STATIC, DYNAMIC = Theta(0.3, 2.0, False, "additive", 40.0), Theta(0.5, 1.7, True, "multiplicative", 20.0)
PLAIN = Theta(0.4, 2.0, True, "none", 7.0)
STIFF, LOOSE = TrendAndSeason(6, 3, 100.0, 0.1, 40.0), TrendAndSeason(6, 3, 0.1, 100.0, 20.0)
PREDICTORS: list[PastPredictor[Any]] = [
    ARIMAPredictor(HISTORY, PERIOD, 5, {"a": SERIES, "b": LEVEL}, LEVEL, Offset(), ["x"]),
    ThetaPredictor(HISTORY, PERIOD, 5, {"a": STATIC, "b": DYNAMIC}, PLAIN, Offset(), ["x"]),
    AdditivePredictor(HISTORY, PERIOD, 5, {"a": STIFF, "b": LOOSE}, LOOSE, Offset(), ["x"]),
]
by_kind = pytest.mark.parametrize("predictor", PREDICTORS, ids=lambda predictor: predictor.kind)


def quiet(done: int, total: int, text: str) -> None:
    """Report nothing."""


def series(steps: int = 336, period: int = PERIOD, seed: int = 0) -> Array:
    """Return a level that wanders, a season and noise, all positive."""
    generator, t = np.random.default_rng(seed), np.arange(steps)
    wander = 0.3 * generator.normal(0, 1, steps).cumsum()
    season = 8 * np.sin(2 * np.pi * t / period)
    return np.asarray(60 + season + 0.01 * t + wander + generator.normal(0, 1, steps))


def forecast(predictor: PastPredictor[Any], past: Array, name: str) -> float:
    return float(predictor.predict(Rows(np.zeros((1, 1)), past[None, :], [name]))[0])


def rows(count: int = 3_000) -> Rows:
    """Return positive pasts with missing values, of known entities and others."""
    generator = np.random.default_rng(3)
    past = 50 + 10 * np.sin(np.arange(HISTORY) * np.pi / 6) + generator.normal(0, 2, (count, HISTORY))
    past[generator.random((count, HISTORY)) < 0.1] = np.nan
    past[::100] = np.nan
    names = [("a", "b", "unseen")[k] for k in generator.integers(0, 3, count)]
    return Rows(generator.normal(0, 1, (count, 1)), past, names)


def recursion(model: SeasonalARIMA, past: Array, period: int, steps: int) -> float:
    """Return an ARIMA forecast value by value: errors are zero until one can be computed."""
    left, right = model.polynomials(period)
    lags, t = len(left) - 1, np.arange(len(past) + steps)
    values = list(past - model.mean - model.drift * t[: len(past)])
    errors = [0.0] * len(past)
    for now in range(len(past) + steps):
        known = now < len(past)
        if now < lags and known:
            continue
        expected = sum(-left[k] * values[now - k] for k in range(1, lags + 1))
        expected += sum(right[k] * errors[now - k] for k in range(1, len(right)) if now >= k)
        if known:
            errors[now] = values[now] - expected
        else:
            values.append(expected)
            errors.append(0.0)
    return float(values[-1] + model.mean + model.drift * t[-1])


@pytest.mark.parametrize("model", [SERIES, LEVEL, SeasonalARIMA([], [-0.4, 0.2], [], [], 1, 0, 0.0, 0.1, 1.0)])
@pytest.mark.parametrize("steps", [1, 4, 30])
def test_the_weights_of_arima_are_its_recursion(model: SeasonalARIMA, steps: int) -> None:
    past = series(HISTORY)
    predictor = ARIMAPredictor(HISTORY, PERIOD, steps, {}, model, Offset(), ["x"])
    assert forecast(predictor, past, "a") == pytest.approx(recursion(model, past, PERIOD, steps), rel=1e-10)


@pytest.mark.filterwarnings("ignore:possible convergence problem|Stepwise search")
@pytest.mark.parametrize(
    ("orders", "tolerance"),
    [
        # Without a moving average both condition on the same values.
        ({"d": 0, "D": 0, "max_q": 0, "max_Q": 0, "start_q": 0, "start_Q": 0}, 1e-6),
        ({"d": 1, "D": 0, "max_q": 0, "max_Q": 0, "start_q": 0, "start_Q": 0, "allowdrift": True}, 1e-6),
        ({"d": 0, "D": 1, "max_p": 2, "max_q": 2, "max_P": 1, "max_Q": 1}, 2e-3),
    ],
)
def test_arima_forecasts_as_statsforecast_does(orders: dict[str, Any], tolerance: float) -> None:
    from statsforecast.models import AutoARIMA

    values = series()
    parameters = {"nmodels": 8, "approximation": True, **orders}
    theirs = AutoARIMA(season_length=PERIOD, **parameters).fit(values).predict(24)["mean"]
    model = SeasonalARIMA(**arima.estimate(values, PERIOD, values.size, 1, parameters))
    for steps in (1, 2, 12, 24):
        mine = ARIMAPredictor(values.size, PERIOD, steps, {}, model, Offset(), ["x"])
        assert forecast(mine, values, "a") == pytest.approx(theirs[steps - 1], rel=tolerance)


@pytest.mark.parametrize("form", ["additive", "multiplicative"])
@pytest.mark.parametrize("model", ["STM", "OTM", "DSTM", "DOTM"])
def test_theta_forecasts_as_statsforecast_does(model: str, form: str) -> None:
    from statsforecast.models import AutoTheta

    values = series()
    parameters: dict[str, Any] = {"model": model, "decomposition_type": form}
    theirs = AutoTheta(season_length=PERIOD, **parameters).fit(values).predict(24)["mean"]
    found = Theta(**theta.estimate(values, PERIOD, values.size, 1, parameters))
    assert found.seasonal == form
    for steps in (1, 2, 12, 24):
        mine = ThetaPredictor(values.size, PERIOD, steps, {}, found, Offset(), ["x"])
        assert forecast(mine, values, "a") == pytest.approx(theirs[steps - 1], rel=1e-9)


def test_the_regression_finds_a_line_with_a_season_and_goes_on_with_them() -> None:
    t = np.arange(HISTORY + 30.0)
    values = 20 + 0.4 * t + 3 * np.sin(2 * np.pi * t / PERIOD) - 2 * np.cos(4 * np.pi * t / PERIOD)
    for model in (TrendAndSeason(6, 3, 100.0, 0.0, 0.0), TrendAndSeason(0, 2, 0.0, 0.0, 0.0)):
        for steps in (1, 17, 30):
            predictor = AdditivePredictor(HISTORY, PERIOD, steps, {}, model, Offset(), ["x"])
            expected = pytest.approx(values[HISTORY + steps - 1], rel=1e-6)
            assert forecast(predictor, values[:HISTORY], "a") == expected


def test_the_regression_takes_the_penalties_that_its_series_asks_for() -> None:
    generator = np.random.default_rng(2)
    season = 10 * np.sin(2 * np.pi * np.arange(300) / PERIOD)
    strong = additive_regression.estimate(season + generator.normal(0, 1, 300), PERIOD, HISTORY, 6, {})
    noise = additive_regression.estimate(generator.normal(0, 1, 300), PERIOD, HISTORY, 6, {})
    assert strong["season_penalty"] < noise["season_penalty"] == 1000.0
    fixed = {"trend_penalty": 5.0, "season_penalty": 7, "harmonics": 40, "changepoints": 3}
    found = TrendAndSeason(**additive_regression.estimate(noise_free := season, PERIOD, HISTORY, 6, fixed))
    assert (found.trend_penalty, found.season_penalty, found.harmonics, found.changepoints) == (5.0, 7.0, 6, 3)
    with pytest.raises(ValueError, match=r"50 values are fewer than the 54 that a comparison of penalties needs"):
        additive_regression.estimate(noise_free[:50], PERIOD, HISTORY, 6, {})


def test_a_moving_average_is_mirrored_where_its_errors_would_grow() -> None:
    mirrored = arima.invertible([-2.5, 1.0])
    assert np.abs(np.roots([*mirrored[::-1], 1.0])).min() >= 1.0

    def autocorrelations(coefficients: list[float]) -> Array:
        whole = np.array([1.0, *coefficients])
        products = np.correlate(whole, whole, "full")[len(whole) - 1 :]
        return np.asarray(products / products[0])

    np.testing.assert_allclose(autocorrelations(mirrored), autocorrelations([-2.5, 1.0]), rtol=1e-9)
    assert arima.invertible([0.4, 0.1]) == [0.4, 0.1]
    assert arima.invertible([]) == []


@pytest.mark.parametrize("estimate", [arima.estimate, theta.estimate, additive_regression.estimate])
def test_a_constant_series_is_forecast_by_its_value(estimate: Callable[..., dict[str, Any]]) -> None:
    kinds: dict[Any, tuple[type[PastPredictor[Any]], type]] = {
        arima.estimate: (ARIMAPredictor, SeasonalARIMA),
        theta.estimate: (ThetaPredictor, Theta),
        additive_regression.estimate: (AdditivePredictor, TrendAndSeason),
    }
    body, parameters = kinds[estimate]
    model = parameters(**estimate(np.full(150, 3.0), PERIOD, HISTORY, 6, {}))
    predictor = body(HISTORY, PERIOD, 6, {}, model, Offset(), ["x"])
    assert forecast(predictor, np.full(HISTORY, 3.0), "a") == pytest.approx(3.0, abs=1e-6)


@by_kind
def test_a_row_is_the_same_in_a_batch_and_on_its_own(predictor: PastPredictor[Any]) -> None:
    batch = rows()
    assert batch.past is not None
    assert batch.entity is not None
    together = predictor.predict(batch)
    assert np.isfinite(together).all()
    for k in range(0, 3_000, 61):
        alone = predictor.predict(Rows(batch.X[k : k + 1], np.asfortranarray(batch.past[k : k + 1]), [batch.entity[k]]))
        assert alone[0] == together[k]


@by_kind
def test_an_empty_past_gives_the_stored_level(predictor: PastPredictor[Any]) -> None:
    past, names = np.full((3, HISTORY), np.nan), ["a", "b", "unseen"]
    levels = [predictor.entities["a"].level, predictor.entities["b"].level, predictor.pooled.level]
    # The growth of the first model goes on from its level, in units of its drift.
    found = predictor.predict(Rows(np.zeros((3, 1)), past, names))
    assert found == pytest.approx(levels, abs=1.0)


@by_kind
def test_files_restore_the_predictor(predictor: PastPredictor[Any], tmp_path: Path) -> None:
    files = predictor.to_files()
    assert sorted(files) == sorted([f"{predictor.kind}.json", "offset.json"])
    restored, batch = read_body(predictor.kind, files, ["x"], tmp_path), rows(200)
    assert restored.history == HISTORY
    np.testing.assert_array_equal(restored.predict(batch), predictor.predict(batch))
    assert restored.explain(batch) is None
    with pytest.raises(ModelError, match=rf"a model of kind {predictor.kind} needs the last 48 values .* got None"):
        restored.predict(Rows(batch.X))
    with pytest.raises(ModelError, match="expected an entity request"):
        restored.row_call(np.zeros(1), np.zeros(1))


@pytest.mark.parametrize(
    ("kind", "old", "new", "message"),
    [
        ("arima", '"differences": 0', '"differences": 3', "at most two differences"),
        ("arima", '"mean": 33.0', '"mean": NaN', "expected finite coefficients|not finite|NaN"),
        ("arima", '"drift"', '"draft"', r"a field is missing or wrong \(.*draft"),
        ("theta", '"alpha": 0.3', '"alpha": 0.0', r"alpha in \(0, 1\]"),
        ("theta", '"additive"', '"odd"', "seasonal is 'odd'; expected none, additive or multiplicative"),
        ("additive_regression", '"trend_penalty": 0.1', '"trend_penalty": -1.0', "none below 0 but the level"),
        ("additive_regression", '"format": 1', '"format": 2', "format 2; this version reads 1"),
    ],
)
def test_a_wrong_document_is_named(tmp_path: Path, kind: str, old: str, new: str, message: str) -> None:
    files = next(one for one in PREDICTORS if one.kind == kind).to_files()
    text = files[f"{kind}.json"].decode()
    assert old in text
    files[f"{kind}.json"] = text.replace(old, new).encode()
    with pytest.raises(ModelError, match=rf"{kind}\.json: .*({message})"):
        read_body(kind, files, ["x"], tmp_path)


def test_gaps_are_filled_by_the_season() -> None:
    nan = np.nan
    past = np.array([[nan, 2, 3, 5, nan, 7], [1, 2, 3, 4, 5, 6], [nan, 4, nan, nan, 6, 8], [nan] * 6])
    filled = fill_gaps(past, 3, np.array([0.0, 0.0, 0.0, 9.0]))
    np.testing.assert_array_equal(filled, [[5, 2, 3, 5, 2, 7], past[1], [6, 4, 8, 6, 6, 8], [9] * 6])
    assert np.isnan(past[0, 0])


def test_other_entities_get_the_model_nearest_to_the_median_of_the_usual_form() -> None:
    models = [Theta(alpha, 2.0, False, "additive", 5.0) for alpha in (0.1, 0.2, 0.25, 0.9)]
    assert typical([*models, Theta(0.22, 2.0, True, "additive", 5.0)]).alpha in (0.2, 0.25)
    assert typical([LEVEL, SERIES, SERIES]) is SERIES


@pytest.mark.parametrize(
    ("candidate", "message"),
    [
        ({"kind": "arima", "season": "168h"}, r"a season of 168 steps; expected a whole number up to 24; set 'season'"),
        ({"kind": "theta", "season": "90min"}, r"a season of 1\.5 steps"),
        ({"kind": "theta", "season": "24h", "fixed": {"model": "XYZ"}}, "candidate x, target load_6h: east: .*XYZ"),
        (
            {"kind": "additive_regression", "season": "24h", "learn_from": 170},
            "target load_6h: east: 1.. values are fewer than the 174 .*; raise 'learn_from'",
        ),
    ],
)
def test_a_candidate_that_cannot_be_fitted_says_why(tmp_path: Path, candidate: dict[str, Any], message: str) -> None:
    case = panel.usecase({"name": "x", **candidate})
    files = panel.inputs(case, panel.table(), tmp_path / "in")
    with pytest.raises(TrainingError, match=message):
        train(case, files, tmp_path / "model", tmp_path / "tuning.json", progress=quiet)


def test_a_probability_is_refused(tmp_path: Path) -> None:
    target = {"name": "high", "column": "load", "horizon": "6h", "task": "classification", "above": 40.0}
    case = panel.usecase({"name": "x", "kind": "arima", "season": "24h"}, targets=[target])
    files = panel.inputs(case, panel.table(), tmp_path / "in")
    with pytest.raises(TrainingError, match="candidate x: of kind arima, which forecasts a value and no probability"):
        train(case, files, tmp_path / "model", tmp_path / "tuning.json", progress=quiet)


def test_a_misspelt_argument_is_refused() -> None:
    with pytest.raises(UseCaseError, match=r"x\.fixed\.max_o: is no parameter of arima; did you mean max_"):
        panel.usecase({"name": "x", "kind": "arima", "fixed": {"max_o": 1}})


@pytest.mark.parametrize("module", [arima, theta])
def test_a_missing_package_is_named(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "statsforecast", None)
    kind = module.KIND
    with pytest.raises(TrainingError, match=rf"candidate x: kind {kind.name} needs the package statsforecast"):
        require_statsforecast(kind.declaration(name="x", kind=kind.name))

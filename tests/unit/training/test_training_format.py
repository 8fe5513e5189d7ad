"""The model directory: reading, verifying, merging, intervals."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import numpy.typing as npt
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor

from almanac.core.errors import ModelError, TrainingError
from almanac.core.files import sha256_bytes, write_json
from almanac.model.intervals import Intervals
from almanac.model.lightgbm_export import booster_of
from almanac.model.lightgbm_merge import merge
from almanac.model.model import load_model
from almanac.model.offset import Offset
from almanac.model.row_interval import RowInterval
from almanac.training.calibration import calibrate

ROOT = Path(__file__).resolve().parents[3]
Array = npt.NDArray[np.float64]
NAMES = ["load", "load_lag_1h", "temp"]


def rows(n: int = 2000) -> tuple[Array, Array]:
    rng = np.random.default_rng(1)
    X = rng.gamma(2.0, 30.0, size=(n, 3))
    X[rng.random(X.shape) < 0.05] = np.nan
    return X, np.nan_to_num(X[:, 0], nan=50.0) * 0.8 + 0.1 * np.nan_to_num(X[:, 2]) + rng.normal(size=n)


def booster(seed: int = 0, objective: str = "regression", rounds: int = 30) -> lightgbm.Booster:
    X, y = rows()
    settings = {"objective": objective, "verbose": -1, "seed": seed, "bagging_fraction": 0.6, "bagging_freq": 1}
    return lightgbm.train(
        {**settings, "num_threads": 1}, lightgbm.Dataset(X, y + seed, feature_name=NAMES), num_boost_round=rounds
    )


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A model directory of the format, whole."""
    (tmp_path / "model.bst").write_text(booster().model_to_string())
    documents: dict[str, Any] = {
        "features.json": {"spec": {}, "names": NAMES, "fitted": {}},
        "offset.json": {"intercept": 1.0, "terms": {"load": 0.5}, "fill": {"load": 7.0}, "clip": [0, None]},
        "intervals.json": intervals().to_json(),
        "signature.json": {"target": {"name": "load_1h"}, "inputs": []},
    }
    for name, document in documents.items():
        write_json(tmp_path / name, document)
    seal(tmp_path)
    return tmp_path


def intervals() -> Intervals:
    return Intervals(
        nominal=0.9,
        by="load",
        edges=np.array([35.0, 75.0]),
        lower=np.array([-1.0, -2.0, -3.0]),
        upper=np.array([1.0, 2.0, 3.0]),
        missing=(-9.0, 9.0),
        knots=np.array([0.0, 100.0]),
        scale=np.array([1.0, 2.0]),
        clip=(0.0, None),
    )


def seal(directory: Path, **changes: Any) -> None:
    files = {
        path.name: {"sha256": sha256_bytes(path.read_bytes()), "bytes": path.stat().st_size}
        for path in sorted(directory.iterdir())
        if path.name != "manifest.json"
    }
    manifest = {"format": 1, "target": "load_1h", "kind": "lightgbm", "files": files, **changes}
    write_json(directory / "manifest.json", manifest)


def test_prediction_is_booster_and_linear_part_clipped(directory: Path) -> None:
    model = load_model(directory)
    X, _ = rows(300)
    expected = np.asarray(booster().predict(X)) + 1.0 + 0.5 * np.where(np.isfinite(X[:, 0]), X[:, 0], 7.0)
    assert model.predict(X).prediction == pytest.approx(np.maximum(expected, 0.0), abs=1e-9)
    alone = np.array([model.predict(row.reshape(1, -1)).prediction[0] for row in X])
    assert np.array_equal(alone, model.predict(X).prediction)
    assert model.digest == sha256_bytes((directory / "manifest.json").read_bytes())
    with pytest.raises(ModelError, match="takes 3 features; X has shape"):
        model.predict(X[:, :2])


def test_an_interval_depends_on_the_last_known_value_and_the_prediction(directory: Path) -> None:
    model = load_model(directory)
    X = np.array([[35.0, 0, 0], [35.5, 0, 0], [80.0, 0, 0], [np.nan, 0, 0]])
    lower, upper = model.interval(X, np.array([50.0, 50.0, 200.0, 4.0]))
    assert lower == pytest.approx([50 - 1.5, 50 - 2 * 1.5, 200 - 3 * 2, 0.0])
    assert upper == pytest.approx([50 + 1.5, 50 + 2 * 1.5, 200 + 3 * 2, 4 + 9 * 1.04])


@pytest.mark.parametrize("scale", [None, {"knots": [0.0, 100.0], "values": [1.0, 2.0]}])
def test_trees_give_the_whole_width_in_format_1_and_multiply_the_scale_in_format_2(
    directory: Path, scale: dict[str, list[float]] | None
) -> None:
    trees, floor = booster(3), 40.0
    (directory / "width.bst").write_text(trees.model_to_string())
    document = intervals().to_json() | {"format": 1 if scale is None else 2, "scale": scale, "width": {"floor": floor}}
    write_json(directory / "intervals.json", document)
    seal(directory)
    model = load_model(directory)
    X, _ = rows(200)
    predicted = model.predict(X)
    assert predicted.upper is not None
    width = np.maximum(np.asarray(trees.predict(X)), floor)
    assert 0 < (width == floor).sum() < width.size
    expected = width * (1.0 if scale is None else np.interp(predicted.prediction, scale["knots"], scale["values"]))
    offset = np.where(X[:, 0] <= 35, 1.0, np.where(X[:, 0] <= 75, 2.0, np.where(np.isfinite(X[:, 0]), 3.0, 9.0)))
    assert predicted.upper - predicted.prediction == pytest.approx(expected * offset, rel=1e-9)
    assert [model.row(row.tolist()) for row in X] == predicted.rows()


def test_a_document_is_of_format_2_with_trees_alone_so_that_older_readers_refuse_only_those() -> None:
    assert intervals().to_json()["format"] == 1
    learned = replace(intervals(), floor=0.1)
    assert learned.to_json()["format"] == 2
    assert Intervals.from_json(learned.to_json()).to_json() == learned.to_json()


@pytest.mark.parametrize("name", ["model.bst", "features.json", "offset.json", "intervals.json", "signature.json"])
def test_an_altered_byte_is_refused_and_named(directory: Path, name: str) -> None:
    data = bytearray((directory / name).read_bytes())
    data[len(data) // 2] ^= 1
    (directory / name).write_bytes(bytes(data))
    with pytest.raises(ModelError, match=f"{name}: altered"):
        load_model(directory)
    (directory / name).unlink()
    with pytest.raises(ModelError, match=f"{name}: cannot be read"):
        load_model(directory)


def test_what_the_format_does_not_know_is_refused(directory: Path) -> None:
    shutil.copy(directory / "model.bst", directory / "other.bst")
    with pytest.raises(ModelError, match=r"other\.bst: not listed"):
        load_model(directory)
    (directory / "other.bst").unlink()
    for changes, message in (
        ({"format": 2}, "format 2 is not known; this version reads 1"),
        (
            {"kind": "pickle"},
            "there is no model body 'pickle'; known are additive_regression, arima, ets, .*, units; .*almanac.bodies",
        ),
        ({"files": {"../model.bst": {"sha256": "0"}}}, "not a plain file name"),
        ({"files": {}}, r"model.bst: not listed"),
    ):
        seal(directory, **changes)
        with pytest.raises(ModelError, match=message):
            load_model(directory)
    (directory / "manifest.json").write_text("{")
    with pytest.raises(ModelError, match=r"manifest\.json: not JSON"):
        load_model(directory)


@pytest.mark.parametrize(
    ("name", "document", "message"),
    [
        ("offset.json", {"terms": {"rain": 1.0}}, "the term 'rain' is not a feature of the model"),
        ("offset.json", {"link": "cube"}, "link 'cube' is not known"),
        ("intervals.json", {**intervals().to_json(), "format": 9}, "format 9 is not known; this version reads 1 and 2"),
        ("intervals.json", {**intervals().to_json(), "upper": [1.0]}, "one longer than edges"),
        ("intervals.json", {**intervals().to_json(), "edges": [75.0, 35.0]}, "must ascend"),
        ("intervals.json", {"format": 1, "nominal": 0.9}, "field 'by' is missing"),
        ("features.json", {"spec": {}, "names": ["a", "b", "c"], "fitted": {}}, "features differ"),
    ],
)
def test_documents_that_do_not_fit_are_refused(directory: Path, name: str, document: Any, message: str) -> None:
    write_json(directory / name, document)
    seal(directory)
    with pytest.raises(ModelError, match=message):
        load_model(directory)


def test_a_booster_that_is_none_is_refused(directory: Path) -> None:
    (directory / "model.bst").write_text("tree\nnonsense")
    seal(directory)
    with pytest.raises(ModelError, match=r"model\.bst: not a LightGBM model"):
        load_model(directory)


def test_loading_needs_no_training_stack() -> None:
    code = (
        "import sys; import almanac.model.model; "
        "print([m for m in ('optuna', 'polars', 'skops', 'comet_ml', 'kfp') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_merged_boosters_are_their_weighted_sum() -> None:
    X, _ = rows()
    parts = [(0.5, booster(1)), (0.3, booster(2, "huber", 45)), (0.15, booster(3, rounds=7))]
    text = merge(parts)
    merged = lightgbm.Booster(model_str=text)
    expected = sum((weight * np.asarray(part.predict(X, raw_score=True)) for weight, part in parts), np.zeros(len(X)))
    assert merged.num_trees() == 82
    assert np.abs(np.asarray(merged.predict(X, raw_score=True)) - expected).max() < 1e-9
    assert merge(parts) == text
    contributions = np.asarray(merged.predict(X[:50], pred_contrib=True))
    assert contributions.sum(axis=1) == pytest.approx(merged.predict(X[:50]), abs=1e-6)


def test_boosters_that_do_not_add_up_are_not_merged() -> None:
    X, y = rows()
    other = lightgbm.train({"verbose": -1}, lightgbm.Dataset(X, y), 2)
    with pytest.raises(TrainingError, match="different features"):
        merge([(0.5, booster()), (0.5, other)])
    forest = {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5, "verbose": -1}
    with pytest.raises(TrainingError, match="random forest"):
        merge([(1.0, lightgbm.train(forest, lightgbm.Dataset(X, y), 2))])
    with pytest.raises(TrainingError, match="no booster"):
        merge([])


def test_a_split_by_categories_is_not_translated() -> None:
    X = np.repeat(np.arange(6.0), 100)[:, None]
    estimator = HistGradientBoostingRegressor(max_iter=2, categorical_features=[0]).fit(X, X[:, 0] % 2)
    settings = {"verbose": -1, "num_threads": 1}
    template = lightgbm.train(settings, lightgbm.Dataset(X, X[:, 0], params=settings), 1).model_to_string()
    with pytest.raises(TrainingError, match="split by categories has no translation"):
        booster_of(estimator, template, X)


def test_offset_of_log_odds_is_a_probability() -> None:
    offset = Offset.from_json({"intercept": -1.0, "terms": {"temp": 2.0}, "link": "logit"}, NAMES)
    found = offset.apply(np.array([0.0]), np.array([[0.0, 0.0, 0.5]]))
    assert found == pytest.approx([0.5])


def test_calibrated_intervals_cover_each_band_even_where_the_error_grows() -> None:
    rng = np.random.default_rng(5)
    last = rng.gamma(1.5, 60.0, size=30000)
    y = 0.9 * last + rng.standard_t(4, size=last.size) * (3 + 0.3 * last)
    found = calibrate(y[:20000], 0.9 * last[:20000], last[:20000], level=0.9, bins=12, by="load", edges=[35, 75, 150])
    lower, upper = found.apply(last[20000:], 0.9 * last[20000:])
    covered = (y[20000:] >= lower) & (y[20000:] <= upper)
    for band in range(4):
        rows_ = np.searchsorted([35, 75, 150], last[20000:]) == band
        assert covered[rows_].mean() == pytest.approx(0.9, abs=0.025)
    again = Intervals.from_json(json.loads(json.dumps(found.to_json())))
    assert np.array_equal(again.apply(last, y)[0], found.apply(last, y)[0])


def test_a_value_on_an_edge_belongs_to_the_band_below_as_it_does_where_bands_are_judged() -> None:
    rng = np.random.default_rng(8)
    last = rng.choice([20.0, 75.0, 120.0], size=6000)  # the edge itself is a value that occurs
    y = last + rng.normal(size=last.size) * np.where(last == 120.0, 50.0, np.where(last == 75.0, 10.0, 1.0))
    found = calibrate(y, last, last, level=0.9, bins=1, by="load", edges=[75.0])
    low, edge, high = (found.apply(np.array([value]), np.array([80.0])) for value in (20.0, 75.0, 120.0))
    assert (low, found.edges.tolist()) == (edge, [75.0])
    assert high != edge
    one = RowInterval(found, ["load"])
    for value in (20.0, np.nextafter(75.0, 0.0), 75.0, np.nextafter(75.0, 100.0), 120.0, np.nan):
        both = found.apply(np.array([value]), np.array([80.0]))
        assert one([value], 80.0) == (both[0][0], both[1][0])


def test_an_imputed_value_has_the_offsets_of_rows_whose_value_is_unknown() -> None:
    rng = np.random.default_rng(9)
    last = np.where(rng.random(4000) < 0.1, np.nan, rng.choice([20.0, 120.0], size=4000))
    y = rng.normal(size=last.size) * np.where(np.isnan(last), 40.0, 5.0)
    found = replace(calibrate(y, np.zeros(4000), last, level=0.9, bins=2, by="load", edges=[75.0]), age="load_age")
    found = Intervals.from_json(json.loads(json.dumps(found.to_json())))
    names = ["load", "load_age"]
    X = np.array([[20.0, 0.0], [120.0, 0.0], [20.0, 1.0], [120.0, 7.0], [np.nan, 24.0], [20.0, np.nan]])
    known = found.last(X, {name: place for place, name in enumerate(names)})
    np.testing.assert_array_equal(known, [20.0, 120.0, np.nan, np.nan, np.nan, 20.0])
    lower, upper = found.apply(known, np.zeros(6))
    assert (upper - lower)[2:5] == pytest.approx(40 * 2 * 1.645, rel=0.15)
    assert (upper - lower)[[0, 1, 5]] == pytest.approx(5 * 2 * 1.645, rel=0.15)
    one = RowInterval(found, names)
    for at, row in enumerate(X):
        assert one([None if np.isnan(value) else float(value) for value in row], 0.0) == (lower[at], upper[at])


def spans(*difficulty: float) -> tuple[Array, Array, Array, npt.NDArray[np.int64]]:
    """Truth, forecast, last value and fold; below 75 the error of each span is as many times the usual one."""
    rng = np.random.default_rng(6)
    fold = np.repeat(np.arange(len(difficulty)), 6000)
    last = rng.gamma(1.5, 60.0, size=fold.size)
    harder = np.where(last < 75, np.array(difficulty)[fold], 1.0)
    return last + rng.normal(size=fold.size) * 10 * harder, last.copy(), last, fold


def widths(found: Intervals) -> Array:
    return found.upper - found.lower


@pytest.mark.parametrize(("difficulty", "wider"), [((1.0, 1.0, 1.5), True), ((1.5, 1.0, 1.0), False)])
def test_intervals_are_widened_or_narrowed_by_what_the_later_spans_asked(
    difficulty: tuple[float, ...], wider: bool
) -> None:
    y, prediction, last, fold = spans(*difficulty)
    plain, forward = (
        calibrate(y, prediction, last, level=0.9, bins=6, by="load", edges=[75.0], fold=given) for given in (None, fold)
    )
    low = np.r_[True, plain.edges < 75]
    ratio = widths(forward) / widths(plain)
    assert ((ratio[low] > 1.1) if wider else (ratio[low] < 0.9)).all()
    assert ratio[~low] == pytest.approx(1.0, abs=0.06)


def test_trees_widen_bands_that_later_spans_covered_too_little_and_narrow_none() -> None:
    for difficulty, wider in (((1.0, 1.0, 1.5), True), ((1.5, 1.0, 1.0), False)):
        y, prediction, last, fold = spans(*difficulty)
        settings: dict[str, Any] = {"level": 0.9, "bins": 6, "by": "load", "edges": [75.0], "width": np.ones(y.size)}
        plain, forward = (calibrate(y, prediction, last, fold=given, **settings) for given in (None, fold))
        ratio = (widths(forward) / widths(plain))[np.r_[True, plain.edges < 75]]
        assert (ratio > 1.1).all() if wider else ratio == pytest.approx(1.0, abs=0.01)


def test_the_level_counts_one_span_beside_those_seen() -> None:
    y, prediction, _, fold = spans(1.0, 1.4)
    found = calibrate(y, prediction, None, level=0.9, bins=1, fold=fold)
    plain = calibrate(y[fold == 0], prediction[fold == 0], None, level=0.9, bins=1)
    # The level that the pooled offsets stand at, and the coverage of the second span by the first at that level.
    score = (y - prediction) / np.interp(prediction, found.knots, found.scale)
    level = np.mean((score >= found.lower[0]) & (score <= found.upper[0]))
    early = calibrate(y[fold == 0], prediction[fold == 0], None, level=float(level), bins=1)
    lower, upper = early.apply(None, prediction[fold == 1])
    covered = np.mean((y[fold == 1] >= lower) & (y[fold == 1] <= upper))
    assert (covered + level) / 2 == pytest.approx(0.9, abs=0.002)
    assert level > 0.91
    assert widths(early)[0] > widths(plain)[0]


def test_a_band_that_the_first_fold_lacks_is_no_reason_for_wider_intervals() -> None:
    """It is covered by the rows of all bands until it has some, at the level that is asked of it."""
    random = np.random.default_rng(3)
    fold = np.repeat(np.arange(4), 4000)
    last = np.where((fold > 0) & (random.random(fold.size) < 0.5), 100.0, 50.0) + random.random(fold.size)
    y = random.normal(size=fold.size)
    found, plain = (
        calibrate(y, np.zeros(y.size), last, level=0.9, bins=2, by="load", edges=[75.0], fold=given)
        for given in (fold, None)
    )
    lower, upper = found.apply(np.array([100.5]), np.zeros(1))
    expected = plain.apply(np.array([100.5]), np.zeros(1))
    # All folds have one distribution: nothing is there to correct.
    assert upper - lower == pytest.approx(expected[1] - expected[0], rel=0.05)


def test_without_a_later_span_the_level_is_the_one_asked_for() -> None:
    y, prediction, last, _ = spans(1.0)
    alone = np.zeros(y.size, dtype=np.int64)
    plain, forward = (
        calibrate(y, prediction, last, level=0.9, bins=6, by="load", fold=given) for given in (None, alone)
    )
    assert plain.to_json() == forward.to_json()


def test_calibration_without_enough_rows_is_refused() -> None:
    few = np.zeros(18)
    with pytest.raises(TrainingError, match=r"level 0\.9 need at least 19 out-of-fold rows; there are 18"):
        calibrate(few, few, None, level=0.9, bins=4)


@pytest.mark.parametrize(("unknown", "own"), [(40, False), (80, True)])
def test_rows_whose_last_value_is_unknown_have_offsets_of_their_own_where_they_are_enough(
    unknown: int, own: bool
) -> None:
    """They err more: the newest reading is what a forecast an hour ahead lives on."""
    random = np.random.default_rng(9)
    last = np.r_[np.full(unknown, np.nan), random.gamma(1.5, 60.0, size=4000)]
    harder = np.where(np.isfinite(last), 1.0, 3.0)
    found = calibrate(harder * random.normal(size=last.size), np.zeros(last.size), last, level=0.9, bins=6, by="load")
    lower, upper = found.apply(np.full(5000, np.nan), np.zeros(5000))
    later = 3.0 * random.normal(size=5000)
    covered = float(((later >= lower) & (later <= upper)).mean())
    assert covered == pytest.approx(0.9, abs=0.05) if own else covered < 0.5

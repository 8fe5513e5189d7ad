"""Widths of intervals by trees of the residuals: chosen on the folds, the same for a row alone, and only data."""

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from almanac.core.errors import ModelError
from almanac.core.files import read_json, sha256_file
from almanac.model.model import load_model
from almanac.training import target_intervals
from almanac.training.calibration import calibrate
from almanac.training.dataset import make_problem, read_features
from almanac.training.interval_width import row_widths
from almanac.training.problem import Problem
from almanac.training.train import train
from almanac.usecase import UseCase
from tests.support.training_world import RIDGE, inputs, usecase

TARGET = {"name": "pm25_1h", "column": "pm25", "horizon": "1h"}
AGE = {"kind": "age", "group": "lagged", "columns": ["pm25"], "limit": "24h"}
#: The residuals of one fold are too few to learn from for two.
FOLDS = {"count": 3, "length": "150d"}
World = tuple[UseCase, Problem, Path]


@pytest.fixture(scope="module")
def world(beijing: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> World:
    """Models of the same ridge regression, with widths by trees, twice, and by the forecast."""
    base = tmp_path_factory.mktemp("width")
    case = usecase(RIDGE, targets=[TARGET], folds=FOLDS, intervals={"level": 0.9, "bins": 6, "width": "trees"})
    files = inputs(case, beijing, base / "in")
    plain = usecase(RIDGE, targets=[TARGET], folds=FOLDS, intervals={"level": 0.9, "bins": 6})
    for name, one in (("one", case), ("two", case), ("plain", plain)):
        train(one, files, base / name / "model", base / name / "tuning.json", progress=lambda *line: None)
    names = read_json(files.specification)["names"]
    return case, make_problem(case, read_features(case, files.features), names, case.targets[0]), base


def _score(y: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> float:
    return float(np.mean(upper - lower + 20 * (np.maximum(lower - y, 0) + np.maximum(y - upper, 0))))


def test_trees_narrow_the_intervals_of_a_span_that_they_have_not_seen(world: World) -> None:
    _, problem, base = world
    one, plain = (load_model(base / name / "model" / "pm25_1h") for name in ("one", "plain"))
    assert one.width is not None
    assert plain.width is None
    test = np.flatnonzero(~problem.train & np.isfinite(problem.y) & (problem.time > problem.time[problem.train].max()))
    scores, y = [], problem.y[test]
    for model in (one, plain):
        answer = model.predict(problem.X[test])
        assert answer.lower is not None
        assert answer.upper is not None
        scores.append(_score(y, answer.lower, answer.upper))
        assert np.mean((y >= answer.lower) & (y <= answer.upper)) == pytest.approx(0.9, abs=0.04)
    assert scores[0] < scores[1]
    np.testing.assert_array_equal(one.predict(problem.X[test]).prediction, plain.predict(problem.X[test]).prediction)


def test_a_row_alone_has_the_interval_of_the_batch(world: World) -> None:
    _, problem, base = world
    model = load_model(base / "one" / "model" / "pm25_1h")
    X = problem.X[::97]
    assert np.isnan(X).any()
    answer = model.predict(X)
    assert answer.lower is not None
    assert answer.upper is not None
    for at, values in enumerate(X):
        row = model.row([None if np.isnan(value) else float(value) for value in values])
        assert (row.prediction, row.lower, row.upper) == (answer.prediction[at], answer.lower[at], answer.upper[at])


def test_rows_without_a_reading_are_covered_though_their_last_value_is_imputed(
    beijing: pl.DataFrame, tmp_path: Path
) -> None:
    case = usecase(RIDGE, targets=[TARGET], more=[AGE], intervals={"level": 0.9, "bins": 6})
    files = inputs(case, beijing, tmp_path / "in")
    train(case, files, tmp_path / "model", tmp_path / "tuning.json", progress=lambda *line: None)
    names = read_json(files.specification)["names"]
    problem = make_problem(case, read_features(case, files.features), names, case.targets[0])
    age, last = (problem.X[:, problem.names.index(name)] for name in ("pm25_age", "pm25"))
    held = (age > 0) & np.isfinite(last)
    assert np.isnan(problem.last[held]).all()
    test = np.flatnonzero(held & ~problem.train & np.isfinite(problem.y))
    model = load_model(tmp_path / "model" / "pm25_1h")
    assert model.intervals is not None
    assert model.intervals.age == "pm25_age"
    answer = model.predict(problem.X[test])
    assert answer.lower is not None
    assert answer.upper is not None
    assert np.mean((problem.y[test] >= answer.lower) & (problem.y[test] <= answer.upper)) > 0.75
    for at in range(test.size):
        row = model.row(problem.X[test[at]].tolist())
        assert (row.lower, row.upper) == (answer.lower[at], answer.upper[at])
    # The same rows as if the value had been read: the offsets of any other row of that height.
    read = problem.X[test].copy()
    read[:, names.index("pm25_age")] = 0.0
    _, upper = model.interval(read, answer.prediction)
    assert upper is not None
    assert np.mean(answer.upper - answer.prediction) > 1.1 * np.mean(upper - answer.prediction)


def test_a_width_comes_from_trees_that_have_not_seen_its_span(world: World) -> None:
    _, problem, _ = world
    rows = np.flatnonzero(problem.known)[-4000:]
    random = np.random.default_rng(3)
    error, learned = random.exponential(size=rows.size), np.arange(rows.size) < 3000
    widths = row_widths(problem, rows, error, learned, 3, seed=1)
    for seen, others in ((slice(2000, 3000), slice(0, 2000)), (slice(3000, 4000), slice(0, 3000))):
        changed = error.copy()
        changed[seen] *= 5.0
        again = row_widths(problem, rows, changed, learned, 3, seed=1)
        np.testing.assert_array_equal(again[seen], widths[seen])
        # What is not learned from changes no row at all.
        assert np.array_equal(again[others], widths[others]) == (seen.start == 3000)


def test_the_order_of_the_rows_changes_no_width(world: World) -> None:
    """The rows of several folds of a panel do not ascend."""
    _, problem, _ = world
    rows = np.flatnonzero(problem.known)[-2000:]
    error, every = np.abs(np.sin(np.arange(2000.0))), np.ones(2000, dtype=np.bool_)
    mixed = np.random.default_rng(4).permutation(2000)
    widths = row_widths(problem, rows, error, every, 2, seed=1)
    np.testing.assert_array_equal(row_widths(problem, rows[mixed], error[mixed], every, 2, seed=1), widths[mixed])


def test_two_trainings_give_the_same_bytes(world: World) -> None:
    _, _, base = world
    one, two = (load_model(base / name / "model" / "pm25_1h").directory.files for name in ("one", "two"))
    assert one == two
    intervals = json.loads(one["intervals.json"])
    assert intervals["format"] == 2
    assert intervals["width"]["floor"] > 0
    assert intervals["scale"]["values"]


def test_widths_that_the_folds_find_no_better_are_left_out(
    world: World, beijing: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, _, base = world
    monkeypatch.setattr(target_intervals, "_GAIN", 0.9)
    train(case, inputs(case, beijing, tmp_path / "in"), tmp_path / "model", tmp_path / "tuning.json")
    files = load_model(tmp_path / "model" / "pm25_1h").directory.files
    assert "width.bst" not in files
    assert files["intervals.json"] == load_model(base / "plain" / "model" / "pm25_1h").directory.files["intervals.json"]


def test_a_width_that_is_the_size_of_the_error_makes_one_offset_cover_all() -> None:
    random = np.random.default_rng(2)
    width = random.uniform(1, 50, 4000)
    y = width * random.normal(size=4000)
    found = calibrate(y, np.zeros(4000), None, level=0.9, bins=1, width=width)
    assert found.scale == pytest.approx([0.798] * found.scale.size, abs=0.08)
    assert found.lower[0] * found.scale[0] == pytest.approx(-1.645, abs=0.1)
    assert found.upper[0] * found.scale[0] == pytest.approx(1.645, abs=0.1)
    lower, upper = found.apply(None, np.zeros(4000), width=width)
    covered = (y >= lower) & (y <= upper)
    for part in (width < 10, width > 40):
        assert covered[part].mean() == pytest.approx(0.9, abs=0.03)


def test_trees_that_are_missing_or_of_other_features_are_named(world: World, tmp_path: Path) -> None:
    _, _, base = world
    copy = tmp_path / "pm25_1h"
    shutil.copytree(base / "one" / "model" / "pm25_1h", copy)
    manifest = read_json(copy / "manifest.json")
    text = (copy / "width.bst").read_text()
    (copy / "width.bst").write_text(text.replace("feature_names=hour", "feature_names=our"))
    manifest["files"]["width.bst"]["sha256"] = sha256_file(copy / "width.bst")
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelError, match=r"width\.bst: the booster's features differ"):
        load_model(copy)
    del manifest["files"]["width.bst"]
    (copy / "width.bst").unlink()
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(
        ModelError, match=r"manifest\.json: files does not list width\.bst, which intervals\.json asks for"
    ):
        load_model(copy)

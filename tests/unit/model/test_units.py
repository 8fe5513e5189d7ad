"""Layers of hidden units: the same bits for a single row, contributions that add up, and files that are only data."""

import json
from dataclasses import replace
from pathlib import Path

import lightgbm
import numpy as np
import numpy.typing as npt
import pytest

from almanac.core.errors import ModelError
from almanac.model.bodies import read_body
from almanac.model.bodies.units import UNITS, UnitsPredictor, units_files
from almanac.model.offset import Offset
from almanac.model.predictor import Predictor, Rows
from almanac.model.units import Units

Array = npt.NDArray[np.float64]
NAMES = [f"x{number}" for number in range(9)]
_draw = np.random.default_rng(11)
RADIAL = Units(
    fill=_draw.normal(size=9),
    scale=_draw.uniform(0.5, 2, 9),
    weights=_draw.normal(size=(40, 9)),
    output=_draw.normal(0, 50, 40),
    gamma=0.05,
    squash=True,
)
LINEAR = replace(RADIAL, bias=_draw.normal(size=40), gamma=0.0, squash=False, output=_draw.normal(size=40))
OFFSET = Offset(3.0, np.array([2]), np.array([0.5]), np.array([1.0]), np.array([1.0]), "identity", (40.0, np.inf))


def features(count: int = 700) -> Array:
    X = np.random.default_rng(5).normal(0, 2, (count, 9))
    X[np.random.default_rng(6).random(X.shape) < 0.1] = np.nan
    return X


def booster() -> bytes:
    X = features()
    data = lightgbm.Dataset(X, np.nan_to_num(X[:, 0]) * 3, feature_name=NAMES)
    parameters = {"objective": "regression", "num_leaves": 6, "verbose": -1, "num_threads": 1, "deterministic": True}
    text: str = lightgbm.train({**parameters, "force_row_wise": True}, data, 7).model_to_string()
    return text.encode()


@pytest.fixture(scope="module", params=["layers", "layers and trees"])
def predictor(request: pytest.FixtureRequest) -> Predictor:
    files = units_files([RADIAL, LINEAR], OFFSET, NAMES)
    if request.param != "layers":
        files["model.bst"] = booster()
    return read_body("units", files, NAMES, Path("model"))


def test_a_row_has_the_same_bits_in_every_batch_and_by_itself(predictor: Predictor) -> None:
    X = features()
    whole = predictor.predict(Rows(X))
    assert (whole == 40.0).any()
    for size in (1, 2, 3, 7, 64, 300):
        np.testing.assert_array_equal(predictor.predict(Rows(X[100 : 100 + size])), whole[100 : 100 + size])
    low, high = np.full(9, -3.0), np.full(9, 3.0)
    call = predictor.row_call(low, high)
    for row, expected in zip(X[:100], whole, strict=False):
        call.values[:] = row
        assert call.predict() == expected
        assert call.outside.value == int(((row < low) | (row > high)).sum())


def test_the_sum_is_that_of_the_parts(predictor: Predictor) -> None:
    X = features()
    score = RADIAL.fast_score(X) + LINEAR.fast_score(X) + OFFSET.add(np.zeros(len(X)), X)
    assert isinstance(predictor, UnitsPredictor)
    if predictor.trees is not None:
        score += lightgbm.Booster(model_str=booster().decode()).predict(X)
    np.testing.assert_allclose(predictor.predict(Rows(X)), np.maximum(score, 40.0), rtol=1e-9, atol=1e-9)


def test_contributions_add_up_to_the_score(predictor: Predictor) -> None:
    X = features()
    explained = predictor.explain(Rows(X))
    assert explained is not None
    values, base = explained
    base += predictor.offset.explain(values, X)
    np.testing.assert_allclose(np.maximum(values.sum(axis=1) + base, 40.0), predictor.predict(Rows(X)), atol=1e-8)


@pytest.mark.parametrize("layer", [RADIAL, LINEAR], ids=["radial", "linear"])
def test_contributions_are_the_integrals_of_the_slopes_along_the_line_from_the_mean(layer: Units) -> None:
    X = features(20)
    values, base = layer.explain(X)
    Z = layer.standardised(X)
    straight = replace(layer, fill=np.zeros(9), scale=np.ones(9), squash=False)
    assert base == pytest.approx(straight.score(np.zeros((1, 9)))[0])
    nodes, weights = np.polynomial.legendre.leggauss(400)
    expected, step = np.zeros(X.shape), 1e-5
    for node, weight in zip(nodes, weights, strict=True):
        at = Z * (node + 1) / 2
        for feature in range(9):
            move = np.zeros(9)
            move[feature] = step
            slope = (straight.fast_score(at + move) - straight.fast_score(at - move)) / (2 * step)
            expected[:, feature] += weight / 2 * slope * Z[:, feature]
    # A rectified unit's slope jumps, which the numerical integral smooths.
    np.testing.assert_allclose(values, expected, atol=1e-4 if layer is RADIAL else 0.05)


def test_the_same_layers_give_the_same_bytes_and_come_back(predictor: Predictor) -> None:
    files = predictor.to_files()
    assert files == predictor.to_files()
    again = read_body("units", files, NAMES, Path("model"))
    np.testing.assert_array_equal(again.predict(Rows(features())), predictor.predict(Rows(features())))
    assert again.to_files() == files
    assert json.loads(files["offset.json"])["clip"] == [40.0, None]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights": np.zeros((40, 8))}, r"units.npz: 0.weights: expected finite numbers of shape \(40, 9\)"),
        ({"output": np.full(40, np.nan)}, r"units.npz: 0.output: expected finite numbers"),
        ({"output": np.full(40, "1")}, r"units.npz: 0.output: expected finite numbers"),
        ({"scale": None}, r"units.npz: 0: the array scale is missing"),
        ({"scale": np.zeros(9)}, r"units.npz: 0.scale: expected positive numbers"),
        ({"bias": np.zeros(40)}, r"units.npz: 0: expected either gamma or bias"),
    ],
)
def test_a_file_that_does_not_fit_is_named(changes: dict[str, Array | None], message: str, tmp_path: Path) -> None:
    arrays = {f"0.{name}": array for name, array in {**RADIAL.to_arrays(), **changes}.items() if array is not None}
    np.savez(tmp_path / UNITS, **arrays)  # type: ignore[arg-type]
    files = {**units_files([RADIAL], OFFSET, NAMES), UNITS: (tmp_path / UNITS).read_bytes()}
    with pytest.raises(ModelError, match=message):
        read_body("units", files, NAMES, Path("model"))


def test_an_array_of_no_layer_is_named(tmp_path: Path) -> None:
    np.savez(tmp_path / UNITS, **{"first.weights": RADIAL.weights})  # type: ignore[arg-type]
    files = {**units_files([RADIAL], OFFSET, NAMES), UNITS: (tmp_path / UNITS).read_bytes()}
    with pytest.raises(ModelError, match=r"units\.npz: the array first\.weights is of no layer"):
        read_body("units", files, NAMES, Path("model"))


def test_a_pickle_in_the_archive_is_never_loaded(tmp_path: Path) -> None:
    np.savez(tmp_path / UNITS, **{"0.fill": np.array([print], dtype=object)})  # type: ignore[arg-type]
    files = {**units_files([RADIAL], OFFSET, NAMES), UNITS: (tmp_path / UNITS).read_bytes()}
    with pytest.raises(ModelError, match=r"units\.npz: no archive of arrays"):
        read_body("units", files, NAMES, Path("model"))
    with pytest.raises(ModelError, match=r"units\.npz: no archive of arrays"):
        read_body("units", {**files, UNITS: b"cut"}, NAMES, Path("model"))


def test_a_row_costs_more_the_more_units_it_passes() -> None:
    free = Offset.from_json({}, [])
    for units, cost in ((100, 1), (800, 4), (8000, 39)):
        layer = Units(np.zeros(120), np.ones(120), np.zeros((units, 120)), np.zeros(units), gamma=1.0)
        assert UnitsPredictor([layer], None, b"", free, []).row_cost == cost

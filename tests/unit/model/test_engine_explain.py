import os
import shutil
from pathlib import Path

import lightgbm
import numpy as np
import polars as pl
import pytest

from almanac.model.engine import Engine
from almanac.model.engine.model_text import forest
from almanac.model.engine.parity import threshold_rows
from tests.support.engine_models import SHAPES, matrix, text

needs_compiler = pytest.mark.skipif(
    shutil.which("cc") is None and os.environ.get("CI") != "true", reason="cc is not installed"
)


@pytest.fixture
def model(request: pytest.FixtureRequest, beijing: pl.DataFrame, tmp_path: Path) -> Path:
    path = tmp_path / "model.bst"
    path.write_bytes(text(getattr(request, "param", "numbers"), beijing))
    return path


@needs_compiler
@pytest.mark.parametrize("model", SHAPES, indirect=True)
def test_contributions_equal_lightgbm(model: Path, beijing: pl.DataFrame) -> None:
    engine = Engine.load(model)
    assert engine.explainer_kind == "compiled"
    X = np.concatenate([threshold_rows(forest(model.read_bytes()), 11, 60, seed=5), matrix(beijing)[0][:60]])
    expected = np.asarray(lightgbm.Booster(model_file=model).predict(X, pred_contrib=True, num_threads=1))
    contributions, base = engine.explain(X)
    np.testing.assert_allclose(contributions, expected[:, :-1], rtol=0, atol=1e-9)
    np.testing.assert_allclose(base, expected[:, -1], rtol=0, atol=1e-9)


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("means", [{}, {"Column_0": 70.0, "Column_4": 2.0}])
def test_with_an_offset_the_sum_is_the_prediction(
    model: Path, beijing: pl.DataFrame, compiled: bool, means: dict[str, float]
) -> None:
    offset = {
        "intercept": 0.25,
        "terms": {"Column_0": 1.0, "Column_4": -0.5},
        "fill": {"Column_4": 1.0},
        "means": means,
    }
    X = matrix(beijing)[0][:50].copy()
    X[3, 4] = np.nan
    engine = Engine.load(model, offset, compiled=compiled)
    contributions, base = engine.explain(X)
    np.testing.assert_allclose(contributions.sum(axis=1) + base, engine.predict(X), rtol=1e-12)
    pure, pure_base = Engine.load(model, compiled=compiled).explain(X)
    mean = means.get("Column_0", 0.0)
    np.testing.assert_allclose(contributions[:, 0] - pure[:, 0], X[:, 0] - mean, atol=1e-9)
    assert base - pure_base == pytest.approx(0.25 + mean - 0.5 * means.get("Column_4", 0.0))


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("model", ["two_classes"], indirect=True)
def test_a_classifier_is_explained_in_log_odds(model: Path, beijing: pl.DataFrame, compiled: bool) -> None:
    X = matrix(beijing)[0][:50]
    engine = Engine.load(model, compiled=compiled)
    assert engine.link == "logit"
    contributions, base = engine.explain(X)
    np.testing.assert_allclose(1 / (1 + np.exp(-contributions.sum(axis=1) - base)), engine.predict(X), rtol=1e-12)


@pytest.mark.parametrize("compiled", [True, False])
def test_no_rows(model: Path, compiled: bool) -> None:
    engine = Engine.load(model, compiled=compiled)
    contributions, base = engine.explain(np.empty((0, 11)))
    assert contributions.shape == (0, 11)
    assert base == pytest.approx(engine.explain(np.zeros((1, 11)))[1])


def test_another_width_is_refused(model: Path) -> None:
    with pytest.raises(ValueError, match="11"):
        Engine.load(model).explain(np.zeros((2, 10)))

"""Explanations of deep trees by the compiled engine."""

import os
import shutil
from pathlib import Path

import lightgbm
import numpy as np
import pytest

from almanac.model.engine import Engine

needs_compiler = pytest.mark.skipif(
    shutil.which("cc") is None and os.environ.get("CI") != "true", reason="cc is not installed"
)


@needs_compiler
def test_paths_of_many_features(tmp_path: Path) -> None:
    """Chains of splits on 40 features: quadrature with 8, 16 and 32 nodes, and factors near 0."""
    draw = np.random.default_rng(0)
    X = draw.random((3000, 40))
    y = (X > 0.9).any(axis=1) * 5.0 + X @ draw.normal(size=40)
    parameters = {"num_leaves": 300, "min_data_in_leaf": 1, "feature_fraction_bynode": 0.1, "verbose": -1, "seed": 3}
    booster = lightgbm.train(parameters, lightgbm.Dataset(X, y), 10)
    booster.save_model(tmp_path / "model.bst")
    engine = Engine.load(tmp_path / "model.bst")
    assert engine.explainer_kind == "compiled"
    expected = np.asarray(booster.predict(X[:40], pred_contrib=True))
    np.testing.assert_allclose(engine.explain(X[:40])[0], expected[:, :-1], rtol=0, atol=1e-9)

import os
import re
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import lightgbm
import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from almanac.core.errors import ModelError
from almanac.model.engine import Engine
from almanac.model.engine import booster as native
from almanac.model.engine.model_text import Forest, forest, header
from almanac.model.engine.parity import predicts_exactly, threshold_rows
from almanac.model.engine.reference import Reference
from almanac.model.engine.single import SingleRow
from almanac.model.engine.trees import CompiledTrees
from almanac.model.offset import Offset
from almanac.native.libraries import TREES
from tests.support.engine_models import SHAPES, matrix, text
from tests.support.golden import GOLDEN

FORGED = (GOLDEN / "lightgbm" / "pm25_6h" / "model.bst").read_text()

needs_compiler = pytest.mark.skipif(
    shutil.which("cc") is None and os.environ.get("CI") != "true", reason="cc is not installed"
)


@pytest.fixture
def model(request: pytest.FixtureRequest, beijing: pl.DataFrame, tmp_path: Path) -> Path:
    path = tmp_path / "model.bst"
    path.write_bytes(text(getattr(request, "param", "numbers"), beijing))
    return path


def reference(path: Path) -> lightgbm.Booster:
    return lightgbm.Booster(model_file=path)


def hard_rows(path: Path, count: int, seed: int = 7) -> NDArray[np.float64]:
    """Rows at the model's thresholds, drawn otherwise than those of the check at load."""
    return threshold_rows(forest(path.read_bytes()), 11, count, seed)


@needs_compiler
@pytest.mark.parametrize("model", SHAPES, indirect=True)
def test_predictions_equal_lightgbm_in_every_bit(model: Path, beijing: pl.DataFrame) -> None:
    engine = Engine.load(model)
    assert engine.kind == "compiled"
    X = np.concatenate([hard_rows(model, 700), matrix(beijing)[0][:3000]])
    expected = reference(model).predict(X, num_threads=1)
    np.testing.assert_array_equal(engine.predict(X), expected)
    np.testing.assert_array_equal([engine.predict_row(x) for x in X[:900]], expected[:900])


@needs_compiler
@pytest.mark.parametrize("rows", [0, 1, 8, 9, 32, 33, 64, 65, 128, 129, 136, 137, 300])
def test_any_number_of_rows(model: Path, rows: int) -> None:
    X = hard_rows(model, rows)
    expected = reference(model).predict(X, num_threads=1) if rows else np.empty(0)
    np.testing.assert_array_equal(Engine.load(model).predict(X), expected)


def compiled_trees(path: Path, f: Forest) -> tuple[CompiledTrees, Reference]:
    text, names = path.read_bytes(), [f"Column_{i}" for i in range(11)]
    reference = Reference(native.Booster(text), header(text), Offset.from_json({"terms": {"Column_0": 1.0}}, names))
    return CompiledTrees(TREES.load(), f, header(text), reference), reference


@needs_compiler
def test_one_threshold_a_bit_off_fails_the_check_at_load(model: Path) -> None:
    f = forest(model.read_bytes())
    assert predicts_exactly(*compiled_trees(model, f), f)
    first = f.feature == f.feature[0]
    f.threshold[first & (f.threshold == f.threshold[0])] = np.nextafter(f.threshold[0], np.inf)
    assert not predicts_exactly(*compiled_trees(model, f), f)


@needs_compiler
def test_one_leaf_a_bit_off_fails_the_check_at_load(model: Path) -> None:
    f = forest(model.read_bytes())
    largest = int(np.argmax(f.leaf_count))
    f.leaf_value[largest] *= 1 + 1e-9
    assert not predicts_exactly(*compiled_trees(model, f), f)


def test_wide_integers_and_float32_are_read_as_float64(model: Path) -> None:
    engine = Engine.load(model)
    X = np.full((2, 11), 16_777_217)
    np.testing.assert_array_equal(engine.predict(X), reference(model).predict(X.astype(np.float64), num_threads=1))
    assert engine.predict_row(X[0]) == engine.predict(X)[0]


@pytest.mark.parametrize("compiled", [True, False])
def test_offset_is_added_and_clipped(model: Path, beijing: pl.DataFrame, compiled: bool) -> None:
    X = matrix(beijing)[0][:500].copy()
    X[0, 0], X[1, 4] = np.nan, np.inf
    offset = {"intercept": 0.25, "terms": {"Column_0": 1.0, "Column_4": -0.5}, "fill": {"Column_0": 70.0}}
    last, dew = np.where(np.isfinite(X[:, 0]), X[:, 0], 70.0), np.where(np.isfinite(X[:, 4]), X[:, 4], 0.0)
    expected = np.asarray(reference(model).predict(X, num_threads=1)) + 0.25 + last - 0.5 * dew
    engine = Engine.load(model, offset, compiled=compiled)
    np.testing.assert_allclose(engine.predict(X), expected, rtol=1e-14)
    clipped = Engine.load(model, {**offset, "clip": [0.0, 100.0]}, compiled=compiled)
    assert clipped.bounds == (0.0, 100.0)
    assert (expected > 100).any()
    np.testing.assert_allclose(clipped.predict(X), np.clip(expected, 0, 100), rtol=1e-14)
    np.testing.assert_array_equal(clipped.predict(X), [clipped.predict_row(x) for x in X])


def test_names_of_the_feature_list_name_the_offset_terms(model: Path) -> None:
    names = [f"feature_{i}" for i in range(11)]
    engine = Engine.load(model, {"terms": {"feature_3": 2.0}}, names)
    x = np.zeros(11)
    assert engine.predict_row(x) + 20.0 == pytest.approx(Engine.load(model, {"intercept": 20.0}).predict_row(x))
    assert engine.names == names


@pytest.mark.parametrize(
    ("offset", "message"),
    [
        ({"terms": {"nowhere": 1.0}}, "nowhere"),
        ({"clip": [1.0]}, "clip"),
        ({"clip": [2.0, 1.0]}, "clip"),
        ({"link": "probit"}, "probit"),
    ],
)
def test_an_offset_that_does_not_fit_is_refused(model: Path, offset: dict[str, object], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        Engine.load(model, offset)


_ALL_TERMS = {f"Column_{i}": 0.01 * (i - 4) for i in range(8)}


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize(
    ("model", "link"), [("numbers", "identity"), ("two_classes", "logit"), ("numbers", "logit")], indirect=["model"]
)
def test_predictions_are_those_of_the_model_format(
    model: Path, link: str, compiled: bool, beijing: pl.DataFrame
) -> None:
    """The same document read by the training side's own loader gives the same numbers."""
    X = matrix(beijing)[0][:300].copy()
    X[:20, 2:6] = np.nan
    document = {"intercept": -0.3, "terms": _ALL_TERMS, "fill": {"Column_2": 5.0, "Column_5": 1.0}, "link": link}
    raw = np.asarray(reference(model).predict(X, raw_score=True, num_threads=1))
    expected = Offset.from_json(document, [f"Column_{i}" for i in range(11)]).apply(raw, X)
    engine = Engine.load(model, document, compiled=compiled)
    assert engine.link == link
    np.testing.assert_allclose(engine.predict(X), expected, rtol=0 if link == "identity" else 1e-14)
    np.testing.assert_array_equal([engine.predict_row(x) for x in X], engine.predict(X))


@pytest.mark.parametrize("model", ["two_classes"], indirect=True)
def test_the_boosters_own_link_stands_where_the_offset_names_none(model: Path, beijing: pl.DataFrame) -> None:
    X = matrix(beijing)[0][:100]
    raw = np.asarray(reference(model).predict(X, raw_score=True, num_threads=1))
    np.testing.assert_allclose(
        Engine.load(model, {"intercept": 1.0}).predict(X), 1 / (1 + np.exp(-raw - 1)), rtol=1e-14
    )
    np.testing.assert_array_equal(Engine.load(model, {"link": "identity"}).predict(X), raw)


@pytest.mark.parametrize("content", [b"", b"not a model", b"tree\nversion=v4\nrubbish\n"])
def test_what_is_no_model_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.bst"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"model\.bst"):
        Engine.load(path)


@pytest.mark.parametrize(
    ("pattern", "forged", "message"),
    [
        (r"split_feature=\d+", "split_feature=900000", "split_feature: beyond the 11 features"),
        (r"split_feature=\d+", "split_feature=-900000", "split_feature: beyond the 11 features"),
        (r"split_feature=\d+", "split_feature=1e0", "split_feature: expected 5 numbers"),
        (r"left_child=-?\d+", "left_child=500000", "left_child: not later splits or leaves"),
        (r"left_child=-?\d+", "left_child=-500000", "left_child: not later splits or leaves"),
        (r"left_child=-?\d+", "left_child=0", "left_child: not later splits or leaves"),
        (r"leaf_value=(\S+) .*", r"leaf_value=\1", "leaf_value: expected 6 numbers"),
        (r"split_gain=\S+", "split_gain=much", "split_gain: expected 5 numbers|unmatched data"),
        (r"num_leaves=\d+", "num_leaves=100000", "split_feature: expected 99999 numbers"),
        (r"num_leaves=\d+", "num_leaves=-5", "num_leaves is -5"),
        (r"decision_type=\d+", "decision_type=1", "cat_boundaries"),
        (r"num_cat=0", "num_cat=1\ncat_boundaries=0 9\ncat_threshold=1", "cat_threshold: expected 9 numbers"),
        (r"num_cat=0", "num_cat=0\n", "not of the form name=values"),
        (r"num_cat=0", "num_cat=0\nnum_leaves=2", "has a line twice"),
        (r"num_cat=0", "num_cat=0\x0bnum_leaves=2", "not of the form name=values"),
        (r"objective=", "objective\r", "not of the form name=value"),
        (r"max_feature_idx=10", "max_feature_idx=4", "beyond the 5 features|feature_names"),
        # Numbers that Python and the library read differently.
        (r"max_feature_idx=10", "max_feature_idx=1_0", "max_feature_idx: expected a whole number; got '1_0'"),
        (r"max_feature_idx=10", "max_feature_idx=4294967306", "max_feature_idx: expected a whole number"),
        (r"num_leaves=6", "num_leaves=0_6", "num_leaves: expected a whole number"),
        (r"num_cat=0", "num_cat=0_0", "num_cat: expected a whole number"),
        (r"decision_type=\d+", "decision_type=9007199254740993", "decision_type: expected 5 numbers"),
        (r"decision_type=\d+", "decision_type=257", "decision_type: none of LightGBM's"),
        (
            r"(feature_names=.*)((?s:.*?))split_feature=\d+",
            "\\1\x0bmax_feature_idx=900000\\2split_feature=9000",
            "split_feature: beyond the 11 features",
        ),
        # Classes for which the library has no room.
        (r"num_tree_per_iteration=1", "num_tree_per_iteration=9", "num_tree_per_iteration is 9 with 1 classes"),
        (r"objective=regression", "objective=multiclass num_class:9", "num_class is 9 with 1 classes"),
        # Of 64 such splits it would walk every path.
        (r"left_child=2 -2", "left_child=2 2", "right_child: a split or a leaf is the child of several splits"),
        (
            r"is_linear=0",
            "is_linear=1\nleaf_const=1 1 1 1 1 1\nnum_features=1 0 0 0 0 0\nleaf_features=900000\nleaf_coeff=1",
            "leaf_features: beyond the 11 features",
        ),
        (
            r"is_linear=0",
            "is_linear=1\nleaf_const=1 1 1 1 1 1\nnum_features=-1 0 0 0 0 0\nleaf_features=\nleaf_coeff=",
            "num_features: negative",
        ),
    ],
)
def test_a_forged_text_reaches_no_library(pattern: str, forged: str, message: str) -> None:
    """It would end the process by a signal, or never end."""
    text = re.sub(pattern, forged, FORGED, count=1)
    trees = re.findall(r"Tree=\d+\n.*?(?=Tree=|end of trees)", text, re.DOTALL)
    text = re.sub(r"tree_sizes=.*", f"tree_sizes={' '.join(str(len(tree)) for tree in trees)}", text)
    with pytest.raises(ModelError, match=rf"^model\.bst: not a LightGBM model: .*({message})"):
        Engine.read(text.encode())


def test_sizes_of_trees_that_lead_elsewhere_are_refused() -> None:
    for sizes in ("900000000", "1", "-1", "x"):
        with pytest.raises(ModelError, match=r"model\.bst: not a LightGBM model"):
            Engine.read(re.sub(r"tree_sizes=\d+", f"tree_sizes={sizes}", FORGED).encode())
    assert Engine.read(re.sub(r"tree_sizes=.*\n", "", FORGED).encode()).names[0] == "hour"


def test_a_tree_after_the_end_of_trees_is_refused() -> None:
    """The library finds it by the sizes, and it would be the only one that is not checked."""
    end = "end of trees\n\n"
    text = FORGED.replace("\nTree=1\n", f"\n{end}Tree=1\n").replace("tree_sizes=672", f"tree_sizes={672 + len(end)}")
    with pytest.raises(ModelError, match=r"model\.bst: .* tree_sizes: 12 of them for 1 trees"):
        Engine.read(text.encode())


@pytest.mark.parametrize("compiled", [True, False])
def test_a_row_of_another_width_is_refused(model: Path, compiled: bool) -> None:
    engine = Engine.load(model, compiled=compiled)
    for width in (10, 12):
        with pytest.raises(ValueError, match="11"):
            engine.predict_row(np.zeros(width))
        with pytest.raises(ValueError, match="11"):
            engine.predict(np.zeros((2, width)))
    with pytest.raises(ValueError, match="11"):
        engine.predict(np.zeros(11))


def test_several_classes_are_refused(tmp_path: Path, beijing: pl.DataFrame) -> None:
    X, y = matrix(beijing)
    parameters = {"objective": "multiclass", "num_class": 3, "verbose": -1, "num_leaves": 4}
    booster = lightgbm.train(parameters, lightgbm.Dataset(X, np.digitize(y, [-5, 5])), 2)
    booster.save_model(tmp_path / "model.bst")
    with pytest.raises(ModelError, match="3 classes"):
        Engine.load(tmp_path / "model.bst")


@pytest.mark.parametrize(
    "options", [{"linear_tree": True}, {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5}]
)
def test_models_beyond_the_kernels_are_lightgbms_with_one_warning(
    options: dict[str, object], tmp_path: Path, beijing: pl.DataFrame, caplog: pytest.LogCaptureFixture
) -> None:
    X, y = matrix(beijing)
    data = lightgbm.Dataset(X, y, params={"verbose": -1})
    booster = lightgbm.train({"objective": "regression", "verbose": -1, "num_leaves": 8, **options}, data, 5)
    booster.save_model(tmp_path / "model.bst")
    engine = Engine.load(tmp_path / "model.bst")
    assert (engine.kind, engine.explainer_kind) == ("lightgbm", "lightgbm")
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    np.testing.assert_array_equal(engine.predict(X[:50]), reference(tmp_path / "model.bst").predict(X[:50]))


@needs_compiler
def test_threads_share_an_engine(model: Path, beijing: pl.DataFrame) -> None:
    engine, X = Engine.load(model), matrix(beijing)[0][:400]
    expected = engine.predict(X)
    single = SingleRow(native.Booster(model.read_bytes()))

    def all_rows(_: int) -> bool:
        mine = [(engine.predict_row(x), single(x)) for x in X]
        return np.array_equal(np.array(mine), np.column_stack([expected, expected]))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(all_rows, range(16)))


@needs_compiler
def test_a_large_matrix_leaves_the_interpreter_to_others(model: Path) -> None:
    engine, X = Engine.load(model), np.zeros((400_000, 11))
    worker = threading.Thread(target=engine.predict, args=(X,))
    turns = 0
    worker.start()
    while worker.is_alive():
        time.sleep(0.001)
        turns += 1
    assert turns >= 5

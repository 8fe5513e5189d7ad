"""The golden model directories, see `tests.golden.generate`: they load, verify and predict the stored values."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from almanac.core.arrays import Array
from almanac.core.errors import ModelError
from almanac.core.files import read_json, sha256_file, write_json
from almanac.model.bodies import BODIES, read_body
from almanac.model.bundle import Bundle, load_bundle
from almanac.model.model import Model, load_model
from almanac.model.offset import Offset
from almanac.model.predictor import BodyKind, RowCall, Rows
from tests.support.golden import GOLDEN, NAMES

EXPECTED: dict[str, Any] = read_json(GOLDEN / "expected.json")


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def _load(name: str) -> tuple[Model, Array]:
    (model,) = load_bundle(GOLDEN / name).targets.values()
    return model, np.array(EXPECTED[name]["rows"], dtype=np.float64)


def test_a_golden_model_predicts_its_values(name: str) -> None:
    model, rows = _load(name)
    expected = EXPECTED[name]
    assert (model.name, model.predictor.kind) == (expected["target"], expected["kind"])
    predicted = {output.name: list(values) for output, values in model.predict(rows).present()}
    assert list(predicted) == list(expected["predictions"])
    assert predicted.pop("signal", None) == expected["predictions"].get("signal")
    for output, values in predicted.items():
        # The last place of an exponential differs between C libraries.
        assert values == pytest.approx(expected["predictions"][output], rel=1e-14, abs=0)


def test_a_row_is_predicted_as_in_a_matrix(name: str) -> None:
    model, rows = _load(name)
    together = model.predict(rows).rows()
    assert [model.row([None if np.isnan(value) else value for value in row]) for row in rows] == together


def test_contributions_and_base_are_the_score(name: str) -> None:
    model, rows = _load(name)
    contributions, base, predicted = model.explain(rows)
    score = base + contributions.sum(axis=1)
    assert score == pytest.approx(EXPECTED[name]["score"], rel=1e-12)
    offset = model.predictor.offset
    probability = 1 / (1 + np.exp(-score)) if offset.link == "logit" else score
    assert predicted == pytest.approx(np.clip(probability, *offset.clip), rel=1e-12)


def test_a_predictor_is_restored_from_its_own_files(name: str) -> None:
    model, rows = _load(name)
    again = read_body(
        model.predictor.kind, {**model.directory.files, **model.predictor.to_files()}, model.names, GOLDEN
    )
    np.testing.assert_array_equal(again.predict(Rows(rows)), model.predict(rows).prediction)


def test_a_linear_model_and_a_classification_need_no_further_files() -> None:
    model, _ = _load("linear")
    assert set(model.directory.files) == {"features.json", "intervals.json", "offset.json", "signature.json"}
    assert _load("classification")[0].intervals is None


def test_golden_directories_are_small() -> None:
    for name in NAMES:
        assert sum(path.stat().st_size for path in (GOLDEN / name).rglob("*") if path.is_file()) < 100_000


def _copy(tmp_path: Path, name: str, **changes: Any) -> Path:
    """Return a copy of the only target's directory, with changed fields of its manifest."""
    (source,) = (path for path in (GOLDEN / name).iterdir() if path.is_dir())
    target = tmp_path / source.name
    shutil.copytree(source, target)
    write_json(target / "manifest.json", read_json(target / "manifest.json") | changes)
    return target


def test_an_unknown_body_names_directory_kind_and_remedy(tmp_path: Path) -> None:
    directory = _copy(tmp_path, "linear", kind="prophet")
    with pytest.raises(ModelError) as raised:
        load_model(directory)
    message = str(raised.value)
    assert message.startswith(f"{directory}: there is no model body 'prophet'; known are ")
    assert all(kind in message for kind in BODIES)
    assert message.endswith("if an extension brings it, install that package here (almanac.bodies)")


def test_a_body_without_its_file_is_refused(tmp_path: Path) -> None:
    directory = _copy(tmp_path, "linear", kind="lightgbm")
    with pytest.raises(ModelError, match=r"manifest\.json: files does not list model\.bst, which a model of kind"):
        load_model(directory)


@dataclass(frozen=True)
class _LastValue:
    """A body of another package: the newest value of the series, or its mean where that is missing."""

    mean: float
    kind: str = "last_value"
    history: int = 2
    leaves: int = 0
    offset: Offset = field(default_factory=Offset)

    def predict(self, rows: Rows) -> Array:
        assert rows.past is not None
        return np.where(np.isfinite(rows.past[:, -1]), rows.past[:, -1], self.mean)

    def row_call(self, low: Array, high: Array) -> RowCall:
        raise NotImplementedError

    def explain(self, rows: Rows) -> None:
        return None

    def to_files(self) -> dict[str, bytes]:
        return {"mean.json": json.dumps(self.mean).encode()}


def _last_value(files: Mapping[str, bytes], names: Sequence[str], directory: Path) -> _LastValue:
    return _LastValue(float(json.loads(files["mean.json"])))


def test_a_body_with_a_history_gets_the_past_of_the_series(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = {**BODIES, "last_value": BodyKind("last_value", _last_value, ("mean.json",))}
    monkeypatch.setitem(BODIES.__dict__, "_kinds", kinds)
    directory = _copy(tmp_path, "linear")
    (directory / "offset.json").unlink()
    (directory / "mean.json").write_bytes(_LastValue(5.0).to_files()["mean.json"])
    listed = {
        path.name: {"sha256": sha256_file(path), "bytes": path.stat().st_size}
        for path in directory.iterdir()
        if path.name != "manifest.json"
    }
    write_json(
        directory / "manifest.json",
        read_json(directory / "manifest.json") | {"kind": "last_value", "files": listed},
    )
    model = load_model(directory)
    X = np.zeros((2, len(model.names)))
    predicted = model.predict(Rows(X, past=np.array([[1.0, 2.0], [3.0, np.nan]])))
    assert predicted.prediction.tolist() == [2.0, 5.0]
    assert predicted.lower is not None
    with pytest.raises(ModelError, match="needs the last 2 values of its series for each row"):
        model.predict(X)
    with pytest.raises(ModelError, match="a model of kind last_value has no explanation"):
        model.explain(Rows(X, past=np.zeros((2, 2))))


def test_a_bundle_joins_the_columns_of_its_targets() -> None:
    parts = [load_bundle(GOLDEN / name) for name in ("lightgbm", "classification")]
    both = Bundle("air", "1", "0" * 64, {name: model for part in parts for name, model in part.targets.items()})
    assert both.columns.names == tuple(parts[0].targets["pm25_6h"].names)
    assert both.columns_of("heavy").names == tuple(both.targets["heavy"].names)


def test_a_target_that_the_manifest_of_all_does_not_list_is_refused(tmp_path: Path) -> None:
    directory = tmp_path / "model"
    shutil.copytree(GOLDEN / "linear", directory)
    manifest = read_json(directory / "manifest.json")
    (target,) = manifest["targets"]
    write_json(directory / "manifest.json", manifest | {"files": {}})
    with pytest.raises(ModelError, match=rf"{target}: not the target that manifest\.json lists"):
        load_bundle(directory)


def test_a_target_that_is_exchanged_after_it_was_verified_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / "model"
    shutil.copytree(GOLDEN / "linear", directory)
    (other,) = (path for path in (GOLDEN / "lightgbm").iterdir() if path.is_dir())

    def exchanged(path: Path, version: str | None) -> Model:
        shutil.rmtree(path)
        shutil.copytree(other, path)
        return load_model(path, version)

    monkeypatch.setattr("almanac.model.bundle.load_model", exchanged)
    with pytest.raises(ModelError, match=r"not the target that manifest\.json lists"):
        load_bundle(directory)

"""The evaluation done again: the signed model predicts the test span, and the figures are computed anew."""

import contextlib
import io
import tempfile
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import polars as pl

from almanac.core.errors import DocumentError
from almanac.core.files import read_json
from almanac.evaluation.evaluate import Outputs, evaluate
from almanac.evaluation.gate.evidence import REGISTERED
from almanac.features.preprocess import preprocess
from almanac.usecase import UseCase
from governance.verify.bundle import Bundle
from governance.verify.differences import TOLERANCE, json_difference

_PREDICTIONS, _TUNING = "predictions.parquet", "tuning.json"
#: Files that an evaluation writes and that a version holds.
_FIGURES = ("metrics.json", "evaluation.json")


def check_evaluation(bundle: Bundle) -> tuple[int, str]:
    """Predict and evaluate again, and compare predictions.parquet, metrics.json and evaluation.json.

    Returns:
        The number of rows that were predicted again.

    Raises:
        DocumentError: the first value that differs, with its place and both values.
    """
    if bundle.data is None and bundle.features is None:
        return 0, "the table is not at hand: give --data"
    artifacts, usecase = bundle.artifacts, bundle.usecase
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        outputs = replace(Outputs.below(folder), report=None)
        tuning = artifacts[_TUNING].path if _TUNING in artifacts else None
        # An evaluation reports its progress to a run, of which there is none here.
        with contextlib.redirect_stdout(io.StringIO()):
            evaluate(usecase, _features(bundle, usecase, folder), bundle.model, outputs, tuning)
        rows = _compare_tables(artifacts[_PREDICTIONS].path, outputs.predictions, bundle)
        for file in _FIGURES:
            if file not in artifacts:
                continue
            if fault := json_difference(artifacts.document(file), read_json(folder / file)):
                raise DocumentError(f"{file}{fault}, when it is computed again{_libraries(bundle)}")
    return rows, ""


def _features(bundle: Bundle, usecase: UseCase, folder: Path) -> Path:
    """Return the feature table: the run's own, whose digest the model records, or one computed from the data."""
    if bundle.features is not None:
        return bundle.features
    assert bundle.data is not None
    preprocess(usecase, bundle.data, folder / "features.parquet", folder / "features.json")
    return folder / "features.parquet"


def _compare_tables(stated_path: Path, computed_path: Path, bundle: Bundle) -> int:
    stated, computed = pl.read_parquet(stated_path), pl.read_parquet(computed_path)
    # The gate added it, of another model than the signed one.
    stated = stated.drop(REGISTERED, strict=False)
    if stated.schema != computed.schema or stated.height != computed.height:
        raise DocumentError(
            f"{_PREDICTIONS}: has {stated.height} rows of {', '.join(stated.columns)}; the signed model gives "
            f"{computed.height} rows of {', '.join(computed.columns)}"
        )
    for name in stated.columns:
        differing = _differing(stated[name], computed[name])
        if (row := differing.arg_max()) is not None and differing[row]:
            key = ", ".join(str(value) for value in stated.select(pl.exclude(pl.Float64)).row(row))
            raise DocumentError(
                f"{_PREDICTIONS}: row {row} ({key}): {name} is {stated[name][row]}, the signed model and the table "
                f"give {computed[name][row]}{_libraries(bundle)}"
            )
    return stated.height


def _differing(stated: pl.Series, computed: pl.Series) -> pl.Series:
    if not stated.dtype.is_float():
        return stated.ne_missing(computed)
    close = (stated - computed).abs() <= TOLERANCE * computed.abs() + 1e-12
    # Two missing values agree; `close` is null where either is missing.
    return ~(close.fill_null(False) | (stated.is_null() & computed.is_null()))


def _libraries(bundle: Bundle) -> str:
    """Return the libraries that have another version than the model records, as the end of a message."""
    recorded: dict[str, Any] = bundle.artifacts.document("model/manifest.json").get("libraries", {})
    others = [f"{name} {_installed(name)}" for name, made in recorded.items() if _installed(name) not in (made, None)]
    return f" (with {', '.join(others)}, which the model was not made with)" if others else ""


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None

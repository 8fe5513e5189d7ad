"""The model directory: read, verified and executed without the training stack.

    model = load(Path("model/load_1h"))
    prediction = model.predict(X)
    lower, upper = model.interval(X, prediction)

A directory is taken as it is listed in its manifest: every file's sha256 is checked on the bytes that are then
parsed, and what the manifest does not list is not read. Nothing in it is executable and nothing is unpickled.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from almanac.core.errors import ModelError
from almanac.core.files import sha256_bytes
from almanac.model.intervals import Intervals
from almanac.model.offset import Offset
from almanac.model.skops_io import margin

if TYPE_CHECKING:
    import lightgbm

Array = npt.NDArray[np.float64]

FORMAT = 1
MANIFEST = "manifest.json"
#: What later windows are held against: what the model was trained on and gave out, and where it errs.
REFERENCE, LOSS = "reference.json", "loss.json"
#: Beside the targets' directories: the predictions of every row by a model that had not seen it.
OUT_OF_FOLD = "oof.parquet"
_DOCUMENTS = ("features.json", "offset.json", "signature.json")
_BODY = {"lightgbm": "model.bst", "linear": "offset.json", "sklearn": "model.skops"}


class Estimator(Protocol):
    """What a scikit-learn body offers."""

    def predict(self, X: Array) -> Array:
        """Return the prediction of each row."""


@dataclass(frozen=True)
class Forecaster:
    """A loaded model.

    Attributes:
        names: ordered feature names, the columns of X.
        spec: the feature specification as JSON, for `FeatureSpec.model_validate`.
        fitted: the fitted transforms as JSON.
        booster: the LightGBM booster; None for a scikit-learn body.
        estimator: the scikit-learn body; None for a booster.
        offset: the linear part.
        intervals: calibrated intervals; None for a classification.
        signature: input and output schema.
        manifest: the manifest as read.
        digest: sha256 of manifest.json, which lists every other file's: the model's identity.
        directory: where it was read from.
    """

    names: list[str]
    spec: dict[str, Any]
    fitted: dict[str, Any]
    booster: "lightgbm.Booster | None"
    estimator: Estimator | None
    offset: Offset
    intervals: Intervals | None
    signature: dict[str, Any]
    manifest: dict[str, Any]
    digest: str
    directory: Path

    @property
    def target(self) -> str:
        """Name of the target."""
        return str(self.manifest["target"])

    def raw(self, X: Array) -> Array:
        """Return the body's raw output of each row, shape (n,), before the linear part."""
        if self.booster is not None:
            return np.asarray(self.booster.predict(X, raw_score=True, num_threads=1), dtype=np.float64)
        if self.estimator is None:
            return np.zeros(len(X))
        return np.asarray(margin(self.estimator)(X), dtype=np.float64)

    def predict(self, X: Array) -> Array:
        """Return the forecasts, shape (n,), of the features X, float64 of shape (n, f), NaN for missing.

        Raises:
            ModelError: X has another number of columns than the model has features.
        """
        self._check(X)
        return self.from_raw(self.raw(X), X)

    def from_raw(self, raw: Array, X: Array) -> Array:
        """Return the forecasts from the body's raw output: what a caller with its own fast booster call uses."""
        return self.offset.apply(raw, X)

    def interval(self, X: Array, prediction: Array) -> tuple[Array, Array]:
        """Return the lower and upper end of each row's prediction interval, shapes (n,).

        Raises:
            ModelError: the model has no intervals, as a classification has none.
        """
        if self.intervals is None:
            raise ModelError(f"{self.directory}: the model of {self.target} has no intervals.json")
        by = self.intervals.by
        return self.intervals.apply(None if by is None else X[:, self.names.index(by)], prediction)

    def _check(self, X: Array) -> None:
        if X.ndim != 2 or X.shape[1] != len(self.names):
            raise ModelError(f"the model of {self.target} takes {len(self.names)} features; X has shape {X.shape}")


def load(directory: Path, verify: bool = True) -> Forecaster:
    """Load the model directory of one target.

    Args:
        directory: a directory with a manifest.json of format 1.
        verify: check every listed file against its sha256; leave it on wherever the bytes came over a network.

    Raises:
        ModelError: a file is missing, altered or of an unknown format; the message names it.
    """
    manifest_bytes = _read(directory, MANIFEST)
    manifest = read_manifest(manifest_bytes, directory)
    _refuse_unlisted(directory, manifest)
    files = {name: _read_listed(directory, name, manifest["files"][name], verify) for name in manifest["files"]}
    features, offset, signature = (_json(directory, files, name) for name in _DOCUMENTS)
    names = [str(name) for name in features["names"]]
    booster, estimator = _body(directory, manifest["kind"], files, names)
    return Forecaster(
        names=names,
        spec=features["spec"],
        fitted=features.get("fitted", {}),
        booster=booster,
        estimator=estimator,
        offset=Offset.from_json(offset, names),
        intervals=_intervals(directory, files, names),
        signature=signature,
        manifest=manifest,
        digest=sha256_bytes(manifest_bytes),
        directory=directory,
    )


def read_manifest(data: bytes, directory: Path) -> dict[str, Any]:
    """Return the manifest of one target's directory, checked for format, kind and plain file names."""
    manifest = _parse(directory, MANIFEST, data)
    if manifest.get("format") != FORMAT:
        raise ModelError(
            f"{directory / MANIFEST}: format {manifest.get('format')!r} is not known; this version reads {FORMAT}"
        )
    if missing := [key for key in ("target", "kind", "files") if key not in manifest]:
        raise ModelError(f"{directory / MANIFEST}: the field {missing[0]!r} is missing")
    if manifest["kind"] not in _BODY:
        raise ModelError(f"{directory / MANIFEST}: kind {manifest['kind']!r} is not known; one of {', '.join(_BODY)}")
    for name in manifest["files"]:
        if Path(name).name != name or name in ("", ".", ".."):
            raise ModelError(f"{directory / MANIFEST}: {name!r} is not a plain file name")
    return manifest


def _refuse_unlisted(directory: Path, manifest: dict[str, Any]) -> None:
    found = {path.name for pattern in ("*.bst", "*.skops") for path in directory.glob(pattern)}
    if unlisted := sorted(found - set(manifest["files"])):
        raise ModelError(f"{directory / unlisted[0]}: not listed in {MANIFEST}; a model directory holds one body alone")


def _read(directory: Path, name: str) -> bytes:
    try:
        return (directory / name).read_bytes()
    except OSError as error:
        raise ModelError(f"{directory / name}: cannot be read ({error.strerror}); the model is incomplete") from error


def _read_listed(directory: Path, name: str, entry: dict[str, Any], verify: bool) -> bytes:
    data = _read(directory, name)
    if verify and (found := sha256_bytes(data)) != entry["sha256"]:
        raise ModelError(f"{directory / name}: altered; sha256 is {found}, the manifest says {entry['sha256']}")
    return data


def _parse(directory: Path, name: str, data: bytes) -> dict[str, Any]:
    try:
        document = json.loads(data)
    except ValueError as error:
        raise ModelError(f"{directory / name}: not JSON ({error})") from error
    if not isinstance(document, dict):
        raise ModelError(f"{directory / name}: must hold an object")
    return document


def _json(directory: Path, files: dict[str, bytes], name: str) -> dict[str, Any]:
    if name not in files:
        raise ModelError(f"{directory / MANIFEST}: files does not list {name}, which every model has")
    return _parse(directory, name, files[name])


def _body(
    directory: Path, kind: str, files: dict[str, bytes], names: list[str]
) -> "tuple[lightgbm.Booster | None, Estimator | None]":
    name = _BODY[kind]
    if name not in files:
        raise ModelError(f"{directory / MANIFEST}: files does not list {name}, which a model of kind {kind} has")
    if kind == "linear":
        return None, None
    if kind == "sklearn":
        from almanac.model.skops_io import read_estimator

        return None, read_estimator(files[name], directory / name)
    import lightgbm

    try:
        booster = lightgbm.Booster(model_str=files[name].decode())
    except (lightgbm.basic.LightGBMError, UnicodeDecodeError) as error:
        raise ModelError(f"{directory / name}: not a LightGBM model ({error})") from error
    if booster.feature_name() != names:
        raise ModelError(f"{directory / name}: the booster's features differ from those of features.json")
    return booster, None


def _intervals(directory: Path, files: dict[str, bytes], names: list[str]) -> Intervals | None:
    if "intervals.json" not in files:
        return None
    intervals = Intervals.from_json(_parse(directory, "intervals.json", files["intervals.json"]))
    if intervals.by is not None and intervals.by not in names:
        raise ModelError(f"{directory / 'intervals.json'}: by names the unknown feature {intervals.by}")
    return intervals

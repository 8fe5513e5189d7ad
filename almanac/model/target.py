"""One target's model, loaded: prediction, interval and decision signal."""

from bisect import bisect_right
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from almanac.core.errors import ModelError
from almanac.model.bodies import read_body
from almanac.model.columns import Columns, read_columns
from almanac.model.directory import Directory, read_directory
from almanac.model.documents import check_documents, feature_names
from almanac.model.intervals import Intervals
from almanac.model.prediction import Output, Prediction, Predictions, Row, outputs
from almanac.model.predictor import Predictor, Rows
from almanac.model.row_interval import RowInterval

Array = npt.NDArray[np.float64]


class Target:
    """The model of one target.

    Attributes:
        name: name of the target, and of the model that answers for it.
        version: version in the registry, or the first digits of the digest.
        digest: sha256 that identifies the model.
        columns: the features.
        out_of_range: what the use case wants done about an input beyond its declared range, warn or refuse.
    """

    def __init__(self, directory: Directory, predictor: Predictor, version: str) -> None:
        self.directory = directory
        self.name = directory.target
        self.version = version
        self.digest = directory.digest
        self.signature = directory.document("signature.json")
        self.features = directory.document("features.json")
        check_documents(directory)
        self.columns: Columns = read_columns(self.features, self.signature)
        self.predictor = predictor
        self.intervals = _intervals(directory)
        self._row_interval = RowInterval(self.intervals, self.columns.names) if self.intervals else None
        self.out_of_range = str(self.signature.get("out_of_range", "warn"))
        decision = self.signature.get("decision") or {}
        self._thresholds: list[float] = list(decision.get("thresholds", []))
        self._signals: list[str] = list(decision.get("names", []))
        self._call = predictor.row_call(self.columns.low, self.columns.high)

    @cached_property
    def outputs(self) -> tuple[Output, ...]:
        """The outputs that this model gives, in order."""
        absent = set() if self.intervals is not None else {"lower", "upper"}
        if not self._signals:
            absent.add("decision")
        return tuple(one for one in outputs() if one.attribute not in absent)

    @cached_property
    def signal_names(self) -> tuple[str, ...]:
        """All decision signals, lowest first; empty where the use case defines none."""
        return tuple(self._signals)

    def signal(self, prediction: float) -> str | None:
        """Return the decision signal of a prediction."""
        return self._signals[bisect_right(self._thresholds, prediction)] if self._signals else None

    def row(self, values: Sequence[float | None]) -> Row:
        """Predict one row given as ordered values, None for missing; for the event loop's thread alone."""
        self._call.values[:] = values
        prediction = self._call.predict()
        lower, upper = self._row_interval(values, prediction) if self._row_interval else (None, None)
        return Prediction(prediction, lower, upper, self.signal(prediction))

    def row_outside(self) -> list[str]:
        """Return the features of the row just predicted that lie beyond their range."""
        call = self._call
        if not call.outside.value:
            return []
        return [self.columns.names[at] for at in np.flatnonzero((call.values < call.low) | (call.values > call.high))]

    def predict(self, X: Array) -> Predictions:
        """Predict the rows of X, shape (n, f); from any thread."""
        prediction = self.predictor.predict(Rows(X))
        lower, upper = self.interval(X, prediction)
        signals = None
        if self._signals:
            places = np.searchsorted(self._thresholds, prediction, side="right").tolist()
            signals = [self._signals[place] for place in places]
        return Prediction(prediction, lower, upper, signals)

    def explain(self, X: Array) -> tuple[Array, float, Array]:
        """Return the contributions (n, f) of the rows of X, their base value, and the predictions (n,).

        Raises:
            ModelError: a body of this kind has no explanation.
        """
        explained = self.predictor.explain(Rows(X))
        if explained is None:
            raise ModelError(f"a model of kind {self.predictor.kind} has no explanation")
        contributions, base = explained
        base_value = float(base[0]) if len(base) else 0.0
        base_value += self.predictor.offset.explain(contributions, X)
        return contributions, base_value, self.predictor.predict(Rows(X))

    def interval(self, X: Array, prediction: Array) -> tuple[Array | None, Array | None]:
        """Return both ends of the interval of each row, or two times None."""
        if self.intervals is None:
            return None, None
        by = self.intervals.by
        return self.intervals.apply(None if by is None else X[:, self.columns.position[by]], prediction)


def load_target(path: Path, version: str | None = None) -> Target:
    """Load and verify one target's model directory.

    Args:
        path: the directory.
        version: its version; the first 12 digits of the digest when None.

    Raises:
        ModelError: the directory is incomplete or altered.
    """
    directory = read_directory(path)
    names = feature_names(directory)
    predictor = read_body(str(directory.manifest["kind"]), directory.files, names, path)
    return Target(directory, predictor, version or directory.digest[:12])


def _intervals(directory: Directory) -> Intervals | None:
    document: dict[str, Any] | None = directory.documents.get("intervals.json")
    return None if document is None else Intervals.from_json(document)

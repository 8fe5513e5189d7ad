"""The model of one target as every reader loads it: prediction, interval, decision, explanation."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from almanac.core.arrays import Array
from almanac.core.errors import ModelError
from almanac.model.bodies import read_body
from almanac.model.columns import Columns, read_columns
from almanac.model.directory import INTERVALS, MANIFEST, WIDTH, Directory, parse_object, read_directory
from almanac.model.documents import read_documents
from almanac.model.engine import Engine
from almanac.model.engine.model_text import header
from almanac.model.intervals import Intervals
from almanac.model.prediction import Output, Prediction, Predictions, Row, StakedPrediction, outputs
from almanac.model.predictor import Predictor, RowCall, Rows
from almanac.model.price_signal import NAMES, signals
from almanac.model.row_interval import RowInterval
from almanac.model.stakes import SIDES, StakeRule

Value = TypeVar("Value", float, Array)


@dataclass(frozen=True, eq=False)
class Model:
    """The model of one target.

    Attributes:
        directory: the verified files that it was read from.
        version: version in the registry, or the first digits of the digest.
        features: features.json: specification, ordered names and fitted transforms.
        signature: signature.json: input and output schema.
        predictor: the body.
        intervals: calibrated intervals; None without.
        width: trees that give the relative width of a row's interval; None where it follows from the forecast alone.
    """

    directory: Directory
    version: str
    features: dict[str, Any]
    signature: dict[str, Any]
    predictor: Predictor
    intervals: Intervals | None
    width: Engine | None = None

    @cached_property
    def name(self) -> str:
        """Name of the target, and of the model that answers for it."""
        return str(self.directory.manifest["target"])

    @cached_property
    def digest(self) -> str:
        """The sha256 that identifies the model."""
        return self.directory.digest

    @cached_property
    def names(self) -> list[str]:
        """Ordered feature names, the columns of X."""
        return [str(name) for name in self.features["names"]]

    @cached_property
    def columns(self) -> Columns:
        """The features with their types and ranges."""
        return read_columns(self.features, self.signature)

    @property
    def spec(self) -> dict[str, Any]:
        """The feature specification as JSON, for `FeatureSpec.read`."""
        spec: dict[str, Any] = self.features.get("spec", {})
        return spec

    @cached_property
    def out_of_range(self) -> str:
        """Policy of the use case for inputs out of range: warn or refuse."""
        return str(self.signature.get("out_of_range", "warn"))

    @cached_property
    def outputs(self) -> tuple[Output, ...]:
        """The outputs that this model gives, in order."""
        absent = set() if self.intervals is not None else {"lower", "upper"}
        if not self.signal_names:
            absent.add("decision")
        return tuple(one for one in outputs() if one.attribute not in absent)

    @cached_property
    def signal_names(self) -> tuple[str, ...]:
        """Names of the decisions, lowest first; empty where the use case defines none."""
        return tuple((self.signature.get("decision") or {}).get("names", []))

    @cached_property
    def learned(self) -> frozenset[str] | None:
        """The entities that training has seen; None for a model of one series or of events."""
        entities = self.signature.get("entities")
        return None if entities is None else frozenset(entities["learned"])

    @cached_property
    def by_entity(self) -> bool:
        """Whether a row's interval depends on its entity."""
        return self.intervals is not None and self.intervals.entities is not None

    @cached_property
    def row_cost(self) -> int:
        """Rows of trees whose prediction takes about as long as that of one row here."""
        return int(getattr(self.predictor, "row_cost", 1))

    def unseen(self, entity: str | None) -> str | None:
        """Return the warning of an answer for an entity that training has not seen; None for all others."""
        if self.learned is None or entity is None or entity in self.learned:
            return None
        return (
            f"entity {entity!r} is unseen: {self.name} has learned from {len(self.learned):,} other entities, and its "
            "interval is that of their errors"
        )

    def predict(self, rows: Rows | Array) -> Predictions:
        """Predict rows, or the rows of a feature matrix of shape (n, f); from any thread.

        Raises:
            ModelError: another number of features than the model has, or no history where the body needs one.
        """
        rows = self._checked(rows)
        prediction = self.predictor.predict(rows)
        lower, upper = self.interval(rows.X, prediction, rows.entity)
        decisions = None
        if self.signal_names:
            # A value at a threshold belongs to the decision above it, as in `signal`.
            places = np.searchsorted(self._thresholds, self._judged(prediction, lower, upper), side="right").tolist()
            decisions = [self.signal_names[place] for place in places]
        return Prediction(prediction, lower, upper, decisions)

    def row(self, values: Array | Sequence[float | None], entity: str | None = None) -> Row:
        """Predict one row, of an entity, given as ordered values, NaN or None for missing; for one thread only."""
        call = self._call
        # The buffer belongs to the model and is written before each call, hence one thread only.
        call.values[:] = values
        prediction = call.predict()
        if self._row_interval is None:
            return Prediction(prediction, None, None, self.signal(prediction))
        width = None if self.width is None else self._row_width()
        lower, upper = self._row_interval(values, prediction, entity, width)
        return Prediction(prediction, lower, upper, self.signal(self._judged(prediction, lower, upper)))

    def row_outside(self) -> list[str]:
        """Return the features of the row just predicted by `row` that are beyond their range."""
        call = self._call
        if not call.outside.value:
            return []
        return [self.columns.names[at] for at in np.flatnonzero((call.values < call.low) | (call.values > call.high))]

    def interval(
        self, X: Array, prediction: Array, entity: Sequence[str] | None = None
    ) -> tuple[Array | None, Array | None]:
        """Return both ends of the interval of each row, or None twice for a model without intervals."""
        if self.intervals is None:
            return None, None
        last = self.intervals.last(X, self.columns.position)
        width = None if self.width is None else np.maximum(self.width.predict(X), self.intervals.floor or 0.0)
        return self.intervals.apply(last, prediction, entity, width)

    def signal(self, value: float) -> str | None:
        """Return the decision for a forecast, or for the end of its interval that the decision is made by."""
        return self.signal_names[bisect_right(self._thresholds, value)] if self.signal_names else None

    def _judged(self, prediction: Value, lower: Value | None, upper: Value | None) -> Value:
        """Return the values that the decision is made by; without an interval the predictions."""
        by = self._decided_by
        found = lower if by == "lower" else upper if by == "upper" else None
        return prediction if found is None else found

    @cached_property
    def _decided_by(self) -> str:
        return str((self.signature.get("decision") or {}).get("by", "prediction"))

    def at_prices(self, row: Row, prices: Mapping[str, float]) -> Row:
        """Return a row's prediction with side, edge and stake, or with the signal, at the prices of its request.

        Args:
            row: the prediction.
            prices: `outcome` and `opposite` for stakes; `asked` for a signal.

        Raises:
            ModelError: the model has neither, or a price is missing.
        """
        stakes, rule = self.signature.get("stakes"), self.signature.get("signals")
        try:
            if stakes is not None:
                sides = (np.array([prices["outcome"]]), np.array([prices["opposite"]]))
                staked = StakeRule.from_json(stakes).stakes(np.array([row.prediction]), *sides)
                edge = float(staked.edge[0]) if np.isfinite(staked.edge[0]) else None
                side, stake = SIDES[int(staked.side[0])], float(staked.stake[0])
                return StakedPrediction(row.prediction, row.lower, row.upper, row.decision, side, edge, stake)
            if rule is not None:
                ends = [None if end is None else np.array([end]) for end in (row.lower, row.upper)]
                code = signals(rule, np.array([prices["asked"]]), np.array([row.prediction]), *ends)
                return replace(row, decision=NAMES[int(code[0])])
        except KeyError as error:
            raise ModelError(f"{self.name}: the prices lack {error.args[0]!r}") from None
        raise ModelError(f"{self.name}: has neither stakes nor signals, and takes no prices")

    def explain(self, rows: Rows | Array) -> tuple[Array, float, Array]:
        """Return exact contributions (n, f) to the score before link and bounds, their base, and the predictions (n,).

        Raises:
            ModelError: as `predict`, or a body without explanations.
        """
        rows = self._checked(rows)
        explained = self.predictor.explain(rows)
        if explained is None:
            raise ModelError(f"{self.name}: a model of kind {self.predictor.kind} has no explanation")
        contributions, base = explained
        base += self.predictor.offset.explain(contributions, rows.X)
        return contributions, base, self.predictor.predict(rows)

    def _checked(self, rows: Rows | Array) -> Rows:
        rows = rows if isinstance(rows, Rows) else Rows(rows)
        if rows.X.ndim != 2 or rows.X.shape[1] != len(self.names):
            raise ModelError(f"the model of {self.name} takes {len(self.names)} features; X has shape {rows.X.shape}")
        history = self.predictor.history
        if history and (rows.past is None or rows.past.shape != (len(rows.X), history)):
            raise ModelError(f"the model of {self.name} needs the last {history} values of its series for each row")
        return rows

    @cached_property
    def _thresholds(self) -> list[float]:
        return list((self.signature.get("decision") or {}).get("thresholds", []))

    @cached_property
    def _call(self) -> RowCall:
        return self.predictor.row_call(self.columns.low, self.columns.high)

    def _row_width(self) -> float:
        """Return the relative width of the row in the buffer."""
        assert self.intervals is not None
        call = self._width_call
        call.values[:] = self._call.values
        return max(call.predict(), self.intervals.floor or 0.0)

    @cached_property
    def _width_call(self) -> RowCall:
        assert self.width is not None
        return self.width.row_call(self.columns.low, self.columns.high)

    @cached_property
    def _row_interval(self) -> RowInterval | None:
        return None if self.intervals is None else RowInterval(self.intervals, self.columns.names)


def load_model(path: Path, version: str | None = None) -> Model:
    """Load and verify one target's model directory.

    Args:
        path: the directory.
        version: its version; the first 12 digits of the digest when None.

    Raises:
        ModelError: the directory is incomplete, altered or of an unknown kind; the message names file and field.
    """
    directory = read_directory(path)
    features, signature = read_documents(directory)
    # Only a body kind that is registered here is read: nothing in the directory says how to read it.
    predictor = read_body(str(directory.manifest["kind"]), directory.files, features["names"], path)
    intervals = _intervals(directory, features)
    width = _width(directory, features) if intervals is not None and intervals.floor is not None else None
    model = Model(directory, version or directory.digest[:12], features, signature, predictor, intervals, width)
    # Read once here, so that a signature that does not fit the features is refused at load.
    _ = model.columns
    return model


def _width(directory: Directory, features: dict[str, Any]) -> Engine:
    if WIDTH not in directory.files:
        raise ModelError(f"{directory.path / MANIFEST}: files does not list {WIDTH}, which intervals.json asks for")
    place, text = f"{directory.path / WIDTH}", directory.files[WIDTH]
    if header(text, place).names != list(features["names"]):
        raise ModelError(f"{place}: the booster's features differ from those of features.json")
    return Engine.read(text, {"link": "identity"}, features["names"], name=place)


def _intervals(directory: Directory, features: dict[str, Any]) -> Intervals | None:
    if INTERVALS not in directory.files:
        return None
    place = directory.path / INTERVALS
    intervals = Intervals.from_json(parse_object(place, directory.files[INTERVALS]))
    for field, name in (("by", intervals.by), ("age", intervals.age)):
        if name is not None and name not in features["names"]:
            raise ModelError(f"{place}: {field} names the unknown feature {name}")
    return intervals

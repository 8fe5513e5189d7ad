"""Predictors that read a target's own past, with parameters of each entity: one JSON document, `KIND.json`.

A model keeps no state: each prediction starts from the last `history` values of its row, so that the result depends on
nothing but the row. Implementations compute element by element, so that a row has the same bits in a batch and as a
single request.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Generic, Self, TypeVar

import numpy as np

from almanac.core.arrays import Array
from almanac.core.errors import ModelError
from almanac.core.files import pretty_json
from almanac.model.directory import parse_object
from almanac.model.offset import Offset
from almanac.model.predictor import RowCall, Rows

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

P = TypeVar("P", bound="DataclassInstance")

OFFSET = "offset.json"
FORMAT = 1
#: Rows at a time: the state of a block stays in the processor's cache.
_BLOCK = 1 << 12


def fill_gaps(past: Array, period: int, level: Array) -> Array:
    """Return the past of n rows, (n, h), with a value in the place of each missing one.

    It is the value a season before, or else a season later; the row's mean where that step of the season has none, and
    `level`, (n,), where the row has none.
    """
    gaps = ~np.isfinite(past)
    affected = np.flatnonzero(gaps.any(axis=1))
    if not affected.size:
        return past
    whole, part = past.copy(), np.where(gaps[affected], np.nan, past[affected])
    total, count = np.zeros(len(affected)), np.zeros(len(affected))
    # Column by column: the order in which NumPy sums a row depends on how it lies in memory.
    for column in part.T:
        known = np.isfinite(column)
        total += np.where(known, column, 0.0)
        count += known
    steps = part.shape[1]
    for step in range(period, steps):
        part[:, step] = np.where(np.isfinite(part[:, step]), part[:, step], part[:, step - period])
    for step in reversed(range(steps - period)):
        part[:, step] = np.where(np.isfinite(part[:, step]), part[:, step], part[:, step + period])
    mean = np.where(count > 0, total / np.maximum(count, 1.0), level[affected])
    whole[affected] = np.where(np.isfinite(part), part, mean[:, None])
    return whole


@dataclass(frozen=True)
class PastPredictor(Generic[P]):
    """Predictions from the past of each row's entity, by parameters of type P.

    Attributes:
        history: past steps that a prediction reads.
        period: steps of a season, 1 without one.
        steps: steps from the newest past value to the predicted one.
        entities: parameters of each entity that training has seen.
        pooled: parameters of all other entities, and of a table without entities.
        offset: link and bounds; there are no terms.
        names: ordered feature names.
    """

    kind: ClassVar[str]
    parameters: ClassVar[type]

    history: int
    period: int
    steps: int
    entities: Mapping[str, P]
    pooled: P
    offset: Offset
    names: Sequence[str]
    leaves: int = 0

    @abstractmethod
    def forecasts(self, past: Array, parameters: Sequence[P]) -> Array:
        """Return the forecast of each row, shape (n,).

        Args:
            past: the last `history` values of each row on the scale of learning, NaN where unknown, (n, history).
            parameters: those of each row.
        """

    def predict(self, rows: Rows) -> Array:
        """Return the predictions, shape (n,).

        Raises:
            ModelError: the past is missing or has another length than `history`.
        """
        return self.offset.apply(self.raw(rows), rows.X)

    def raw(self, rows: Rows) -> Array:
        """Return the forecasts before bounds, shape (n,)."""
        past = rows.past
        if past is None or past.shape[1] != self.history:
            shape = None if past is None else past.shape
            raise ModelError(
                f"a model of kind {self.kind} needs the last {self.history} values of the target of each row; expected "
                f"the shape (n, {self.history}), got {shape}"
            )
        past = np.log(np.where(past > 0, past, np.nan)) if self.offset.link == "log" else past
        # Sums of rows take the same order only where their values lie side by side.
        past = np.ascontiguousarray(past)
        result = np.empty(len(past))
        for start in range(0, len(past), _BLOCK):
            block = slice(start, start + _BLOCK)
            names = [""] * len(past[block]) if rows.entity is None else rows.entity[block]
            result[block] = self.forecasts(past[block], [self.entities.get(name, self.pooled) for name in names])
        return result

    def row_call(self, low: Array, high: Array) -> RowCall:
        """Refuse: a row of features says nothing of the past.

        Raises:
            ModelError: always.
        """
        raise ModelError(
            f"a model of kind {self.kind} needs the last {self.history} values of the target; expected an entity "
            "request"
        )

    def explain(self, rows: Rows) -> tuple[Array, float] | None:
        """Return None: the forecast is no function of the features."""
        return None

    def to_files(self) -> dict[str, bytes]:
        """Return `KIND.json` and `offset.json`."""
        document = {
            "format": FORMAT,
            "history": self.history,
            "period": self.period,
            "steps": self.steps,
            "entities": {name: asdict(one) for name, one in self.entities.items()},
            "pooled": asdict(self.pooled),
        }
        return {f"{self.kind}.json": pretty_json(document).encode(), OFFSET: self.offset.to_bytes(self.names)}

    @classmethod
    def from_files(cls, files: Mapping[str, bytes], names: Sequence[str], directory: Path) -> Self:
        """Read `KIND.json` and `offset.json`.

        Raises:
            ModelError: a field is missing, of another type or out of range; the message names the file.
        """
        path = directory / f"{cls.kind}.json"
        document = parse_object(path, files[path.name])
        if document.get("format") != FORMAT:
            raise ModelError(f"{path}: format {document.get('format')!r}; this version reads {FORMAT}")
        try:
            history, period, steps = (int(document[key]) for key in ("history", "period", "steps"))
            entities = {str(name): cls.parameters(**one) for name, one in document["entities"].items()}
            pooled = cls.parameters(**document["pooled"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ModelError(f"{path}: a field is missing or wrong ({error})") from error
        if period < 1 or history < period or history % period or steps < 1:
            raise ModelError(f"{path}: period {period}, history {history}, steps {steps} do not fit")
        offset = Offset.from_json(parse_object(directory / OFFSET, files[OFFSET]), names)
        return cls(history, period, steps, entities, pooled, offset, names)

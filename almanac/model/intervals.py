"""Prediction intervals: split-conformal offsets that depend on the last known value.

The interval of a row is `prediction + width * scale(prediction) * offset`, where the lower and upper offsets belong to
the bin of the row's last known value. The offsets are order statistics of out-of-fold residuals (split conformal
prediction; Lei et al., 2018, doi:10.1080/01621459.2017.1307116), taken within each bin, hence coverage holds bin by
bin (Mondrian conformal prediction; Vovk et al., 2005). The scale is the usual size of the error for a forecast of
that height; the relative width, which trees give where there are any, depends on all features. Both make intervals
narrow where the model is sure. Of a panel, the entities that are known well enough have a factor each, and offsets of
their own that are multiplied by it: `EntityOffsets`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from almanac.core.arrays import Array
from almanac.core.errors import ModelError

#: In format 1 trees gave the whole width, and there was no scale at knots beside them; format 2 multiplies the two.
_FORMATS = (1, 2)


@dataclass(frozen=True)
class EntityOffsets:
    """Offsets of the entities whose errors are known well enough; all others have the offsets of all rows.

    Attributes:
        factors: usual size of an entity's errors over that of all rows, by its name.
        lower: offsets of the lower end in units of the scale times the factor, shape (k + 1,).
        upper: offsets of the upper end, shape (k + 1,).
        missing: lower and upper offset where the last known value is missing.
    """

    factors: Mapping[str, float]
    lower: Array
    upper: Array
    missing: tuple[float, float]


@dataclass(frozen=True)
class Intervals:
    """Calibrated offsets.

    Attributes:
        nominal: nominal coverage, such as 0.9.
        by: name of the feature that holds the last known value; None for the same offsets everywhere.
        age: name of the feature that is positive where that value was imputed; None where it never is.
        edges: ascending inner edges of the bins of that feature, shape (k,).
        lower: offsets of the lower end in units of the scale, shape (k + 1,).
        upper: offsets of the upper end, shape (k + 1,).
        missing: lower and upper offset where the last known value is missing.
        knots: predictions at which the scale is known, ascending; empty for a scale of 1.
        scale: the scale at the knots, in the target's unit; linear between them, constant beyond.
        clip: smallest and largest value an end may take, None for open.
        entities: offsets of single entities; None where all rows share their offsets.
        floor: least relative width of a row; None without trees that give it.
    """

    nominal: float
    by: str | None
    edges: Array
    lower: Array
    upper: Array
    missing: tuple[float, float]
    knots: Array
    scale: Array
    clip: tuple[float | None, float | None] = (None, None)
    entities: EntityOffsets | None = None
    floor: float | None = None
    age: str | None = None

    def last(self, X: Array, position: Mapping[str, int]) -> Array | None:
        """Return the last known value of each row, shape (n,), NaN where it was imputed; None where `by` is None.

        Args:
            X: features, shape (n, f).
            position: place of each feature.
        """
        if self.by is None:
            return None
        last = X[:, position[self.by]]
        return last if self.age is None else np.where(X[:, position[self.age]] > 0, np.nan, last)

    def apply(
        self,
        last: Array | None,
        prediction: Array,
        entity: Sequence[str] | None = None,
        width: Array | None = None,
    ) -> tuple[Array, Array]:
        """Return both ends of the interval of each row.

        Args:
            last: the last known value of each row, see `last`, NaN where missing; may be None where `by` is None.
            prediction: the forecasts, shape (n,).
            entity: the entity of each row; without it every row has the offsets of all rows.
            width: the relative width of each row, shape (n,); 1 when None.
        """
        scale = np.interp(prediction, self.knots, self.scale) if self.knots.size else np.ones_like(prediction)
        if width is not None:
            scale = scale * width
        low, high = self._offsets(last, prediction.shape, self)
        if self.entities is not None and entity is not None:
            factor = np.array([self.entities.factors.get(name, np.nan) for name in entity], dtype=np.float64)
            own = self._offsets(last, prediction.shape, self.entities)
            known = np.isfinite(factor)
            low, high = (
                np.where(known, factor * mine, all_rows) for mine, all_rows in zip(own, (low, high), strict=True)
            )
        low, high = prediction + scale * low, prediction + scale * high
        if self.clip != (None, None):
            low, high = np.clip(low, *self.clip), np.clip(high, *self.clip)
        return low, high

    def _offsets(
        self, last: Array | None, shape: tuple[int, ...], of: "Intervals | EntityOffsets"
    ) -> tuple[Array, Array]:
        if last is None:
            if self.by is not None:
                raise ModelError(f"intervals.json: the offsets depend on {self.by}; give its values")
            return np.full(shape, of.lower[0]), np.full(shape, of.upper[0])
        present = np.isfinite(last)
        # An edge belongs to the bin below, as it does in the bands of the evaluation.
        bins = np.where(present, np.searchsorted(self.edges, last, side="left"), 0)
        low = np.where(present, of.lower[bins], of.missing[0])
        return low, np.where(present, of.upper[bins], of.missing[1])

    def to_json(self) -> dict[str, Any]:
        """Return the document `intervals.json`."""
        document: dict[str, Any] = {
            # A reader of format 1 alone would take the trees for the whole scale.
            "format": 1 if self.floor is None else 2,
            "nominal": self.nominal,
            "by": self.by,
            "edges": self.edges.tolist(),
            **_offsets_json(self),
            "clip": list(self.clip),
        }
        if self.knots.size:
            document["scale"] = {"knots": self.knots.tolist(), "values": self.scale.tolist()}
        if self.floor is not None:
            document["width"] = {"floor": self.floor}
        if self.age is not None:
            document["age"] = self.age
        if self.entities is not None:
            document["entities"] = {"factors": dict(self.entities.factors), **_offsets_json(self.entities)}
        return document

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "Intervals":
        """Read the document `intervals.json`.

        Raises:
            ModelError: another format, a missing field, or lists whose lengths do not fit; the field is named.
        """
        if document.get("format") not in _FORMATS:
            raise ModelError(
                f"intervals.json: format {document.get('format')!r} is not known; this version reads 1 and 2"
            )
        try:
            scale = document.get("scale") or {"knots": [], "values": []}
            intervals = cls(
                nominal=float(document["nominal"]),
                by=document["by"],
                edges=_floats(document["edges"]),
                **_read_offsets(document),
                knots=_floats(scale["knots"]),
                scale=_floats(scale["values"]),
                clip=tuple(document.get("clip") or (None, None)),
                entities=_read_entities(document.get("entities")),
                floor=None if document.get("width") is None else float(document["width"]["floor"]),
                age=document.get("age"),
            )
        except KeyError as error:
            raise ModelError(f"intervals.json: the field {error} is missing") from error
        intervals._check()
        return intervals

    def _check(self) -> None:
        every: list[Intervals | EntityOffsets] = [self] if self.entities is None else [self, self.entities]
        for of in every:
            if not of.lower.size == of.upper.size == self.edges.size + 1:
                raise ModelError("intervals.json: lower and upper must be one longer than edges")
        if self.entities is not None and not all(0 < factor < np.inf for factor in self.entities.factors.values()):
            raise ModelError("intervals.json: entities.factors must be positive and finite")
        if self.floor is not None and not 0 < self.floor < np.inf:
            raise ModelError("intervals.json: width.floor must be positive and finite")
        if self.knots.size != self.scale.size:
            raise ModelError("intervals.json: scale.knots and scale.values must be of one length")
        # np.searchsorted and np.interp check no order: unsorted values would give wrong intervals without an error.
        if any(a >= b for a, b in pairwise(self.edges)) or any(a >= b for a, b in pairwise(self.knots)):
            raise ModelError("intervals.json: edges and scale.knots must ascend")


def _offsets_json(of: Intervals | EntityOffsets) -> dict[str, Any]:
    missing = {"lower": of.missing[0], "upper": of.missing[1]}
    return {"lower": of.lower.tolist(), "upper": of.upper.tolist(), "missing": missing}


def _read_offsets(document: dict[str, Any]) -> dict[str, Any]:
    missing = float(document["missing"]["lower"]), float(document["missing"]["upper"])
    return {"lower": _floats(document["lower"]), "upper": _floats(document["upper"]), "missing": missing}


def _read_entities(document: dict[str, Any] | None) -> EntityOffsets | None:
    if document is None:
        return None
    factors = {str(name): float(factor) for name, factor in document["factors"].items()}
    return EntityOffsets(factors, **_read_offsets(document))


def _floats(values: list[float]) -> Array:
    return np.asarray(values, dtype=np.float64)

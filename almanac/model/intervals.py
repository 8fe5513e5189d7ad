"""Prediction intervals: split-conformal offsets that depend on the last known value.

The interval of a row is `prediction + scale(prediction) * offset`, where the lower and upper offsets belong to the
bin of the row's last known value. The offsets are order statistics of out-of-fold residuals (split conformal
prediction; Lei et al., 2018, doi:10.1080/01621459.2017.1307116), taken within each bin, hence coverage holds bin by
bin (Mondrian conformal prediction; Vovk et al., 2005). The scale is the usual size of the error for a forecast of
that height; it makes the intervals narrow where the model is sure.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from almanac.core.errors import ModelError

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Intervals:
    """Calibrated offsets.

    Attributes:
        nominal: nominal coverage, such as 0.9.
        by: name of the feature that holds the last known value; None for the same offsets everywhere.
        edges: ascending inner edges of the bins of that feature, shape (k,).
        lower: offsets of the lower end in units of the scale, shape (k + 1,).
        upper: offsets of the upper end, shape (k + 1,).
        missing: lower and upper offset where the last known value is missing.
        knots: predictions at which the scale is known, ascending; empty for a scale of 1.
        scale: the scale at the knots, in the target's unit; linear between them, constant beyond.
        clip: smallest and largest value an end may take, None for open.
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

    def apply(self, last: Array | None, prediction: Array) -> tuple[Array, Array]:
        """Return both ends of the interval of each row.

        Args:
            last: the feature `by` of each row, shape (n,), NaN where missing; may be None where `by` is None.
            prediction: the forecasts, shape (n,).
        """
        width = np.interp(prediction, self.knots, self.scale) if self.knots.size else np.ones_like(prediction)
        low, high = self._offsets(last, prediction.shape)
        low, high = prediction + width * low, prediction + width * high
        if self.clip != (None, None):
            low, high = np.clip(low, *self.clip), np.clip(high, *self.clip)
        return low, high

    def _offsets(self, last: Array | None, shape: tuple[int, ...]) -> tuple[Array, Array]:
        if last is None:
            if self.by is not None:
                raise ModelError(f"intervals.json: the offsets depend on {self.by}; give its values")
            return np.full(shape, self.lower[0]), np.full(shape, self.upper[0])
        present = np.isfinite(last)
        # An edge belongs to the bin below, as it does in the bands of the evaluation.
        bins = np.where(present, np.searchsorted(self.edges, last, side="left"), 0)
        low = np.where(present, self.lower[bins], self.missing[0])
        return low, np.where(present, self.upper[bins], self.missing[1])

    def to_json(self) -> dict[str, Any]:
        """Return the document `intervals.json`."""
        document: dict[str, Any] = {
            "format": 1,
            "nominal": self.nominal,
            "by": self.by,
            "edges": self.edges.tolist(),
            "lower": self.lower.tolist(),
            "upper": self.upper.tolist(),
            "missing": {"lower": self.missing[0], "upper": self.missing[1]},
            "clip": list(self.clip),
        }
        if self.knots.size:
            document["scale"] = {"knots": self.knots.tolist(), "values": self.scale.tolist()}
        return document

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "Intervals":
        """Read the document `intervals.json`.

        Raises:
            ModelError: another format, a missing field, or lists whose lengths do not fit; the field is named.
        """
        if document.get("format") != 1:
            raise ModelError(f"intervals.json: format {document.get('format')!r} is not known; this version reads 1")
        try:
            scale = document.get("scale") or {"knots": [], "values": []}
            intervals = cls(
                nominal=float(document["nominal"]),
                by=document["by"],
                edges=_floats(document["edges"]),
                lower=_floats(document["lower"]),
                upper=_floats(document["upper"]),
                missing=(float(document["missing"]["lower"]), float(document["missing"]["upper"])),
                knots=_floats(scale["knots"]),
                scale=_floats(scale["values"]),
                clip=tuple(document.get("clip") or (None, None)),
            )
        except KeyError as error:
            raise ModelError(f"intervals.json: the field {error} is missing") from error
        intervals._check()
        return intervals

    def _check(self) -> None:
        if not self.lower.size == self.upper.size == self.edges.size + 1:
            raise ModelError("intervals.json: lower and upper must be one longer than edges")
        if self.knots.size != self.scale.size:
            raise ModelError("intervals.json: scale.knots and scale.values must be of one length")
        # np.searchsorted and np.interp check no order: unsorted values would give wrong intervals without an error.
        if any(a >= b for a, b in pairwise(self.edges)) or any(a >= b for a, b in pairwise(self.knots)):
            raise ModelError("intervals.json: edges and scale.knots must ascend")


def _floats(values: list[float]) -> Array:
    return np.asarray(values, dtype=np.float64)

"""Categories of many levels as few numbers, without a look at a target."""

import hashlib
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from almanac.features.compiler.tracing import looked_up
from almanac.features.kind import Columns, Context, Declaration, Feature, FeatureKind, Inputs, Value


class Encoded(Declaration):
    """A category of many levels as its share of the training rows, or as a bucket: `city_frequency`, `city_hash`.

    Neither looks at a target, and so neither leaks one into the folds. The mean of the target itself is a rolling
    feature of the entity, which sees only rows before the prediction time.
    """

    kind: Literal["encoded"]
    columns: Columns
    """Category columns."""
    encoding: Literal["frequency", "hash"] = "frequency"
    """Share of the training rows with this level, 0 for one that they do not have; or a bucket by its sha256."""
    buckets: Annotated[int, Field(ge=2, le=65_536)] = 64
    """Number of buckets of `hash`."""

    def features(self, context: Context) -> Iterator[Feature]:
        """Yield a feature for each column."""
        for at, column in enumerate(self.columns):
            table = context.table(column)
            if self.encoding == "hash":
                entries = tuple(float(_bucket(level, self.buckets)) for level in table)
            else:
                # The last levels, such as the bucket, may have no row.
                shares = context.learned[at] if context.learned is not None else []
                entries = (*shares, *(0.0,) * (len(table) - len(shares)))
            yield Feature(f"{column}_{self.encoding}", _encoded, (column, entries))

    def learn(self, training: Callable[[str], npt.NDArray[np.float64]]) -> Any:
        """Return the share of each code among the training rows, for each column."""
        if self.encoding == "hash":
            return None
        return [_shares(training(column)) for column in self.columns]


def _encoded(inputs: Inputs, column: str, entries: tuple[float, ...]) -> Value:
    return looked_up(inputs.codes(column), entries)


def _shares(codes: npt.NDArray[np.float64]) -> list[float]:
    present = codes[~np.isnan(codes)].astype(np.int64)
    counts = np.bincount(present)
    return [float(count) / len(codes) for count in counts.tolist()]


def _bucket(level: str, buckets: int) -> int:
    return int.from_bytes(hashlib.sha256(level.encode()).digest()[:8], "big") % buckets


KIND = FeatureKind(
    Encoded,
    [
        {"kind": "encoded", "columns": ["weather"]},
        {"kind": "encoded", "columns": ["weather"], "encoding": "hash", "buckets": 3},
    ],
)

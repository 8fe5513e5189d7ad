"""Categories of many levels as few numbers."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from almanac.features.compiler.tracing import looked_up
from almanac.features.kind import (
    Columns,
    Context,
    Declaration,
    Feature,
    FeatureKind,
    Inputs,
    LearnedFromTarget,
    Name,
    Value,
)
from almanac.features.level_means import LevelMeans
from almanac.usecase.types import absent


class Encoded(Declaration):
    """A category of many levels as a number: `city_frequency`, `city_hash`, or the mean of a target, `city_sold_1d`.

    The mean of a training row is of older rows alone, so that no fold sees its own targets, and no row its own.
    """

    kind: Literal["encoded"]
    columns: Columns
    """Category columns."""
    encoding: Literal["frequency", "hash", "target"] = "frequency"
    """Share of the training rows with this level, 0 for one that they do not have; a bucket by its sha256; or the mean
    of a target over the training rows with this level, that of all of them for one that they do not have."""
    buckets: Annotated[int, Field(ge=2, le=65_536)] = 64
    """Number of buckets of `hash`."""
    target: Annotated[Name | None, absent(None)] = None
    """Name of the target of `target`."""
    smoothing: Annotated[float, Field(gt=0, le=1e6), absent(20.0)] = 20.0
    """Weight of the mean of all rows in that of each level, as a number of rows, which a rare one is close to."""

    @model_validator(mode="after")
    def _target_named(self) -> "Encoded":
        if (self.encoding == "target") != (self.target is not None):
            raise ValueError("'target' belongs to encoding target, which needs the name of one")
        return self

    def features(self, context: Context) -> Iterator[Feature]:
        """Yield a feature for each column."""
        for at, column in enumerate(self.columns):
            table = context.table(column)
            learned = context.learned[at] if context.learned is not None else None
            yield Feature(self._name(column), _encoded, (column, self._entries(table, learned)))

    def learn(self, training: Callable[[str], npt.NDArray[np.float64]]) -> Any:
        """Return the share, or the mean of the target, of each code among the training rows, for each column."""
        if self.encoding == "hash":
            return None
        if self.encoding == "frequency":
            return [_shares(training(column)) for column in self.columns]
        y = training(f"y_{self.target}")
        found = [LevelMeans.of(training(column), y, self.smoothing) for column in self.columns]
        # Without any known target training is refused, and no file may hold a NaN.
        return [{"means": one.means.tolist(), "overall": float(np.nan_to_num(one.overall))} for one in found]

    def learned_from_targets(self) -> Iterator[LearnedFromTarget]:
        """Yield the features that are means of a target."""
        if self.target is not None:
            for column in self.columns:
                yield LearnedFromTarget(self._name(column), column, self.target, self.smoothing)

    def _name(self, column: str) -> str:
        return f"{column}_{self.target or self.encoding}"

    def _entries(self, levels: Sequence[str], learned: Any) -> tuple[float, ...]:
        if self.encoding == "hash":
            return tuple(float(_bucket(level, self.buckets)) for level in levels)
        if learned is None:
            return (0.0,) * len(levels)
        known, rest = (learned, 0.0) if self.encoding == "frequency" else (learned["means"], learned["overall"])
        # The last levels, such as the bucket, may have no row.
        return (*known, *(rest,) * (len(levels) - len(known)))


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
        {"kind": "encoded", "columns": ["weather"], "encoding": "target", "target": "volume_3h"},
    ],
)

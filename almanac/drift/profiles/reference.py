"""The reference profile: the distributions of a table when the model was trained, frozen."""

import base64
import math
import zlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from almanac.core.errors import DriftError
from almanac.core.files import canonical_json, write_bytes
from almanac.drift.counting.accumulators import NumericLayout
from almanac.drift.counting.histogram import Buckets, Counts, Floats, Grid
from almanac.drift.documents import read_document
from almanac.drift.profiles.roles import Kind, Roles
from almanac.drift.profiles.seasons import Calendar
from almanac.drift.thresholds import Null

#: Version of the JSON form; another one is refused.
FORMAT = 1


class KeptTable(Protocol):
    """A frame that was kept in memory; a server reads profiles without the library of the frame."""

    def get_column(self, name: str, /) -> Any:
        """Return a column."""


@dataclass(frozen=True)
class Feature:
    """One column of the reference.

    Attributes:
        name: column.
        role: feature, target, prediction or residual.
        layout: how numbers are counted; None for categories.
        labels: categories, the most frequent of the reference; empty for numbers.
        fine: counts of the fine cells (k,); empty for categories.
        head: sums at the head of the tally of each season (s, h).
        cells: groups or categories of the tally of each season (s, w - h), in any type of number.
        longest: longest constant run.
        spread: standard deviation, 0 for categories.
        nulls: null distribution of each measure.
        history: shares of the bins by block, in 255ths (b, bins).
    """

    name: str
    role: str
    layout: NumericLayout | None
    labels: tuple[str, ...]
    fine: Counts
    head: Floats
    cells: NDArray[Any]
    longest: int
    spread: float
    nulls: dict[str, Null]
    history: NDArray[np.uint8]

    @property
    def kind(self) -> Kind:
        """Whether the column holds numbers or categories."""
        return "category" if self.layout is None else "number"

    @cached_property
    def seasons(self) -> Floats:
        """Tallies by season (s, w)."""
        return np.concatenate((self.head, self.cells), axis=1, dtype=np.float64)

    @property
    def total(self) -> Floats:
        """Tally of the whole reference (w,)."""
        return np.asarray(self.seasons.sum(axis=0), np.float64)


@dataclass(frozen=True)
class Profile:
    """A frozen reference; see `almanac.drift.profile`.

    Attributes:
        rows: rows of the reference.
        features: the watched columns by name.
        calendar: how time is cut into blocks.
        block_rows: median rows of a block.
        blocks: names of the blocks that each feature's history has.
        time: time column, or None.
        entity: entity column, or None.
        roles: target and prediction.
        false_alarm_rate: share of undrifted windows that may raise the alarm, over all columns together.
        span: first and last time in microseconds, None without a time column.
        zone: zone of the table's times, None for times without one.
        unwatched: columns of the table that are not compared, and why; see `profiles.unwatched`.
        kept: the table itself, for exact distances; only in memory, never in JSON.
    """

    rows: int
    features: dict[str, Feature]
    calendar: Calendar
    block_rows: int
    blocks: tuple[str, ...]
    time: str | None
    entity: str | None
    roles: Roles
    false_alarm_rate: float
    span: tuple[int, int] | None
    zone: str | None = None
    unwatched: dict[str, str] = field(default_factory=dict)
    kept: KeptTable | None = field(default=None, compare=False, repr=False)

    def to_json(self) -> dict[str, Any]:
        """Return the profile as a JSON document; `from_json` takes it back."""
        return {
            "format": FORMAT,
            "kind": "drift profile",
            "rows": self.rows,
            "season": self.calendar.season,
            "window": self.calendar.window,
            "window_in_rows": self.calendar.rows,
            "block_rows": self.block_rows,
            "blocks": list(self.blocks),
            "time": self.time,
            "entity": self.entity,
            "target": self.roles.target,
            "prediction": self.roles.prediction,
            "false_alarm_rate": self.false_alarm_rate,
            "span": list(self.span) if self.span else None,
            # Only where there is something to say, so that most profiles have the bytes of earlier releases.
            **({"zone": self.zone} if self.zone else {}),
            **({"unwatched": self.unwatched} if self.unwatched else {}),
            "features": [_feature_to_json(feature) for feature in self.features.values()],
        }

    def write(self, path: Path) -> None:
        """Write the profile as JSON, whole or not at all; the same profile gives the same bytes."""
        write_bytes(path, canonical_json(self.to_json()) + b"\n")


def from_json(document: Any, where: str = "the profile") -> Profile:
    """Return the profile in a JSON document.

    Raises:
        DriftError: a document of another kind or version, or one that is incomplete.
    """
    if not isinstance(document, dict) or document.get("kind") != "drift profile":
        raise DriftError(f"{where} is no drift profile; make one with almanac.drift.profile")
    if document.get("format") != FORMAT:
        raise DriftError(
            f"{where} has format {document.get('format')!r}, this version reads {FORMAT}; profile the reference again"
        )
    try:
        return _from_document(document)
    except (KeyError, TypeError, ValueError, zlib.error, IndexError) as error:
        raise DriftError(f"{where} is incomplete or damaged ({type(error).__name__}: {error})") from error


def _from_document(document: dict[str, Any]) -> Profile:
    features = [_feature_from_json(item) for item in document["features"]]
    span = document["span"]
    return Profile(
        rows=document["rows"],
        features={feature.name: feature for feature in features},
        calendar=Calendar(document["season"], document["window"], document["window_in_rows"]),
        block_rows=document["block_rows"],
        blocks=tuple(document["blocks"]),
        time=document["time"],
        entity=document["entity"],
        roles=Roles(document["target"], document["prediction"]),
        false_alarm_rate=document["false_alarm_rate"],
        span=(span[0], span[1]) if span else None,
        zone=document.get("zone"),
        unwatched=dict(document.get("unwatched", {})),
    )


def read(path: Path) -> Profile:
    """Return the profile in the JSON file at `path`.

    Raises:
        DriftError: no such file, no JSON, or no profile of this version.
    """
    return from_json(read_document(path), str(path))


def _feature_to_json(feature: Feature) -> dict[str, Any]:
    # A fixed byte order, so that the bytes are the same on every machine.
    arrays: list[NDArray[Any]] = [feature.head.astype("<f8"), _narrow(feature.cells), feature.history]
    document: dict[str, Any] = {
        "name": feature.name,
        "role": feature.role,
        "longest": feature.longest,
        "spread": feature.spread,
        "nulls": {name: [null.mean, null.deviation, null.blocks] for name, null in feature.nulls.items()},
    }
    layout = feature.layout
    if layout is None:
        document["labels"] = list(feature.labels)
    else:
        buckets = layout.grid.buckets
        document["buckets"] = [buckets.kind, buckets.origin, buckets.scale]
        document["decimals"] = layout.decimals
        # JSON has no infinity.
        document["range"] = [layout.low, layout.high] if np.isfinite(layout.low) else None
        # Differences of ascending numbers are small, and compress better.
        starts = np.diff(layout.grid.starts, prepend=0).astype("<u2")
        arrays += [_narrow(feature.fine), starts, layout.groups.astype("<u2"), layout.bins.astype("<u2")]
    document["shapes"] = [[array.dtype.str, *array.shape] for array in arrays]
    # Counts compress well, and would be slow to parse as plain numbers.
    packed = zlib.compress(b"".join(array.tobytes() for array in arrays), 6)
    document["data"] = base64.b64encode(packed).decode()
    return document


def _narrow(counts: NDArray[Any]) -> NDArray[Any]:
    """Return whole numbers in the narrowest type that holds them."""
    # Half the bytes are half the time of loading.
    largest = counts.max(initial=0)
    return counts.astype("<u2" if largest < 2**16 else "<u4" if largest < 2**32 else "<u8")


def _feature_from_json(document: dict[str, Any]) -> Feature:
    data = zlib.decompress(base64.b64decode(document["data"]))
    arrays, offset = [], 0
    for dtype, *shape in document["shapes"]:
        count = math.prod(shape)
        array: NDArray[Any] = np.frombuffer(data, dtype, count, offset)
        offset += array.nbytes
        arrays.append(array.reshape(shape))
    layout, fine = None, np.zeros(0, np.int64)
    if "buckets" in document:
        kind, origin, scale = document["buckets"]
        fine, starts, groups, bins = (array.astype(np.int64) for array in arrays[3:7])
        low, high = document["range"] or (-np.inf, np.inf)
        grid = Grid(Buckets(kind, origin, scale), np.cumsum(starts))
        layout = NumericLayout(grid, groups, bins, document["decimals"], low, high)
    return Feature(
        name=document["name"],
        role=document["role"],
        layout=layout,
        labels=tuple(document.get("labels", ())),
        fine=fine,
        head=arrays[0],
        cells=arrays[1],
        longest=document["longest"],
        spread=document["spread"],
        nulls={name: Null(*values) for name, values in document["nulls"].items()},
        history=arrays[2],
    )

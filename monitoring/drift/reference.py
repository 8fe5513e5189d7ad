"""The reference profile: what a table was like when the model was trained, frozen."""

import base64
import json
import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from components.common.errors import DriftError
from components.common.files import canonical_json, write_bytes
from monitoring.drift.calibration import Null, pooled
from monitoring.drift.collect import Derived
from monitoring.drift.grid import Buckets, Counts, Floats, Grid
from monitoring.drift.seasons import Calendar
from monitoring.drift.tables import Kind
from monitoring.drift.tally import HEAD, NumericLayout

#: Version of the JSON form; another one is refused.
FORMAT = 1


@dataclass(frozen=True)
class Feature:
    """What the reference was like in one column.

    Attributes:
        name: column.
        role: feature, target, prediction or residual.
        layout: how numbers are counted; None for categories.
        labels: categories, the most frequent of the reference; empty for numbers.
        fine: counts of the fine cells (k,); empty for categories.
        head: figures at the head of the tally of each season (s, h).
        cells: groups or categories of the tally of each season (s, w - h), in any type of number.
        longest: longest constant run.
        spread: standard deviation, 0 for categories.
        nulls: null distribution of each figure.
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
        """Tallies by season (s, w), put together when they are first asked for."""
        return np.concatenate((self.head, self.cells), axis=1, dtype=np.float64)

    @property
    def total(self) -> Floats:
        """Tally of the whole reference (w,)."""
        return np.asarray(self.seasons.sum(axis=0), np.float64)


@dataclass(frozen=True)
class Profile:
    """A frozen reference; see `monitoring.drift.profile`.

    Attributes:
        rows: rows of the reference.
        features: the watched columns by name.
        calendar: how time is cut into blocks.
        block_rows: median rows of a block.
        blocks: names of the blocks that each feature's history has.
        time: time column, or None.
        entity: entity column, or None.
        derived: target and prediction.
        false_alarm_rate: share of undrifted windows that may raise the alarm, over all columns together.
        span: first and last time in microseconds, None without a time column.
        kept: the reference itself, for exact distances; only in memory, never in JSON.
    """

    rows: int
    features: dict[str, Feature]
    calendar: Calendar
    block_rows: int
    blocks: tuple[str, ...]
    time: str | None
    entity: str | None
    derived: Derived
    false_alarm_rate: float
    span: tuple[int, int] | None
    kept: pl.DataFrame | None = field(default=None, compare=False, repr=False)

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
            "target": self.derived.target,
            "prediction": self.derived.prediction,
            "false_alarm_rate": self.false_alarm_rate,
            "span": list(self.span) if self.span else None,
            "features": [_feature_to_json(feature) for feature in self.features.values()],
        }

    def write(self, path: Path) -> None:
        """Write the profile as JSON, whole or not at all; the same profile gives the same bytes."""
        write_bytes(path, canonical_json(self.to_json()) + b"\n")


def from_json(document: Any, where: str = "the profile") -> Profile:
    """Return the profile that a JSON document holds.

    Raises:
        DriftError: a document of another kind or version, or one that is incomplete.
    """
    if not isinstance(document, dict) or document.get("kind") != "drift profile":
        raise DriftError(f"{where} is no drift profile; make one with monitoring.drift.profile")
    if document.get("format") != FORMAT:
        found = document.get("format")
        raise DriftError(f"{where} has format {found!r}, this version reads {FORMAT}; profile the reference again")
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
        derived=Derived(document["target"], document["prediction"]),
        false_alarm_rate=document["false_alarm_rate"],
        span=(span[0], span[1]) if span else None,
    )


def read(path: Path) -> Profile:
    """Return the profile in the JSON file at `path`.

    Raises:
        DriftError: no such file, no JSON, or no profile of this version.
    """
    try:
        return from_json(json.loads(path.read_bytes()), str(path))
    except FileNotFoundError as error:
        raise DriftError(f"{path} does not exist") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DriftError(f"{path} is no JSON: {error}") from error


def _feature_to_json(feature: Feature) -> dict[str, Any]:
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
        document["range"] = [layout.low, layout.high] if np.isfinite(layout.low) else None
        starts = np.diff(layout.grid.starts, prepend=0).astype("<u2")
        arrays += [_narrow(feature.fine), starts, layout.groups.astype("<u2"), layout.bins.astype("<u2")]
    document["shapes"] = [[array.dtype.str, *array.shape] for array in arrays]
    packed = zlib.compress(b"".join(array.tobytes() for array in arrays), 6)
    document["data"] = base64.b64encode(packed).decode()
    return document


def _narrow(counts: NDArray[Any]) -> NDArray[Any]:
    """Return whole numbers in the narrowest type that holds them: half the bytes are half the time of loading."""
    largest = counts.max(initial=0)
    return counts.astype("<u2" if largest < 2**16 else "<u4" if largest < 2**32 else "<u8")


def _feature_from_json(document: dict[str, Any]) -> Feature:
    data = zlib.decompress(base64.b64decode(document["data"]))
    arrays, place = [], 0
    for dtype, *shape in document["shapes"]:
        count = math.prod(shape)
        array: NDArray[Any] = np.frombuffer(data, dtype, count, place)
        place += array.nbytes
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


def restrict(profile: Profile, names: Sequence[str]) -> Profile:
    """Return the profile of some of its columns; the false-alarm rate then holds for these together.

    Raises:
        DriftError: a name that the profile does not have, or none at all.
    """
    unknown = sorted(set(names) - set(profile.features))
    if unknown:
        raise DriftError(f"the profile has no column {unknown[0]!r}; it has {', '.join(profile.features)}")
    if not names:
        raise DriftError("the profile and the table have no column in common; there is nothing to compare")
    return replace(profile, features={name: profile.features[name] for name in profile.features if name in set(names)})


def merge(profiles: list[Profile]) -> Profile:
    """Return the profile of several references together, such as the partitions of one table.

    All but the first must have been made with `like=` the first, so that they share its cells.

    Raises:
        DriftError: none given, or other columns, cells or seasons.
    """
    if not profiles:
        raise DriftError("there is no profile to merge")
    first = profiles[0]
    for other in profiles[1:]:
        if other.calendar != first.calendar or list(other.features) != list(first.features):
            raise DriftError("profiles merge only with the same columns, season and window; make them with like=")
    spans = [profile.span for profile in profiles if profile.span]
    return replace(
        first,
        rows=sum(profile.rows for profile in profiles),
        features={name: _merge_feature([profile.features[name] for profile in profiles]) for name in first.features},
        blocks=tuple(block for profile in profiles for block in profile.blocks),
        block_rows=int(np.median([profile.block_rows for profile in profiles])),
        span=(min(s[0] for s in spans), max(s[1] for s in spans)) if spans else None,
        kept=None,
    )


def _merge_feature(parts: list[Feature]) -> Feature:
    first = parts[0]
    for other in parts[1:]:
        _same_cells(first, other)
    layout = first.layout
    if layout is not None:
        lows, highs = zip(*((part.layout.low, part.layout.high) for part in parts if part.layout), strict=True)
        layout = replace(layout, low=min(lows), high=max(highs))
    weights = np.array([part.total[0] for part in parts])
    seasons = np.sum([part.seasons for part in parts], axis=0)
    names = [name for name in first.nulls if all(name in part.nulls for part in parts)]
    return replace(
        first,
        layout=layout,
        fine=np.sum([part.fine for part in parts], axis=0),
        head=seasons[:, : len(HEAD)],
        cells=seasons[:, len(HEAD) :],
        longest=max(part.longest for part in parts),
        spread=float(np.sqrt(np.average([part.spread**2 for part in parts], weights=weights))),
        nulls={name: pooled([part.nulls[name] for part in parts]) for name in names},
        history=np.concatenate([part.history for part in parts]),
    )


def _same_cells(first: Feature, other: Feature) -> None:
    same = first.labels == other.labels and (first.layout is None) == (other.layout is None)
    if same and first.layout is not None and other.layout is not None:
        a, b = first.layout, other.layout
        same = a.grid.buckets == b.grid.buckets and all(
            np.array_equal(x, y) for x, y in ((a.grid.starts, b.grid.starts), (a.groups, b.groups), (a.bins, b.bins))
        )
    if not same:
        raise DriftError(f"column {first.name!r} was counted in other cells; make the profiles with like= the first")

"""Restriction of a profile to some columns, and merging of several profiles."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from almanac.core.errors import DriftError
from almanac.drift.counting.accumulators import HEAD
from almanac.drift.profiles.reference import Feature, Profile
from almanac.drift.thresholds import pooled


def restrict(profile: Profile, names: Sequence[str]) -> Profile:
    """Return the profile of some of its columns; its false-alarm rate then holds for these together.

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
    """Return the merged profile of several references, such as the partitions of one table.

    All but the first must have been made with `like=` the first, so that they share its cells.

    Raises:
        DriftError: no profile, or other columns, cells or seasons.
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
    # By rows, so that a short last partition does not count as much as a long one.
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

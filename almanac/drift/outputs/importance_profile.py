"""The importances that are frozen with a model, by block, and their comparison with those of a window.

Which features matter to a model changes with the season. A window is therefore compared with the same season of the
reference's years, and how far importances stray on their own is learnt from the reference: from its blocks against the
same season of its other years, as for columns.
"""

import base64
import zlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from almanac.core.errors import DriftError
from almanac.drift.counting.histogram import Floats
from almanac.drift.outputs.importance import ImportanceDrift
from almanac.drift.profiles.reading import even_rows
from almanac.drift.profiles.seasons import Calendar, evenly, mixture
from almanac.drift.statistics import ndcg
from almanac.drift.thresholds import Null, calibrate, judge

#: Name of the measure; see `almanac.drift.measures.importance`.
MEASURE = "importance"


@dataclass(frozen=True)
class ImportanceProfile:
    """Importances of a reference, block by block.

    Attributes:
        names: features.
        calendar: how time is cut into blocks.
        blocks: the explained blocks (b,), ascending.
        rows: explained rows of each block (b,).
        sizes: mean absolute contribution of each feature in each block (b, f).
        per_block: most rows of a block that are explained; a window is given as many.
        null: how the loss of agreement was distributed over the blocks; None where they are too few.
    """

    names: tuple[str, ...]
    calendar: Calendar
    blocks: tuple[int, ...]
    rows: NDArray[np.int64]
    sizes: Floats
    per_block: int
    null: Null | None

    def to_json(self) -> dict[str, Any]:
        """Return the importances as JSON; the sizes are packed, block by block, in single precision."""
        packed = zlib.compress(self.sizes.astype("<f4").tobytes(), 6)
        return {
            "names": list(self.names),
            "season": self.calendar.season,
            "window": self.calendar.window,
            "blocks": list(self.blocks),
            "rows": self.rows.tolist(),
            "per_block": self.per_block,
            "null": list(self.null) if self.null else None,
            "sizes": base64.b64encode(packed).decode(),
        }

    def label(self, block: int) -> str:
        """Return the name of a block as people write it."""
        return self.calendar.label(self.blocks[block])

    def agreement(self) -> Floats:
        """Return each block's agreement with the same season of the other years (b,), NaN where there is none."""
        agreement = np.full(len(self.blocks), np.nan)
        for block in range(len(self.blocks)):
            others = self._others(block)
            if others.any():
                like = np.average(self.sizes[others], axis=0, weights=self.rows[others])
                agreement[block] = ndcg(like, self.sizes[block]) if like.sum() > 0 else np.nan
        return agreement

    def _others(self, block: int) -> NDArray[np.bool_]:
        """Return which blocks (b,) are of the same season and another year."""
        calendar, own = self.calendar, self.blocks[block]
        season, year = calendar.season_of(own), calendar.year_of(own)
        return np.array([calendar.season_of(b) == season and calendar.year_of(b) != year for b in self.blocks])

    def like(self, times: NDArray[np.int64]) -> Floats:
        """Return the reference's sizes (f,) in the proportions of the seasons of a window's times (n,)."""
        seasons = np.array([self.calendar.season_of(block) for block in self.blocks])
        by_season = np.zeros((self.calendar.seasons, 1 + len(self.names)))
        # Several blocks share a season, and `+=` with an index would add only one of them.
        np.add.at(by_season, seasons, np.column_stack((self.rows, self.sizes * self.rows[:, None])))
        of_window = [self.calendar.season_of(int(block)) for block in self.calendar.blocks(times)]
        mixed = mixture(by_season, np.bincount(of_window, minlength=self.calendar.seasons).astype(np.float64))
        # The sizes were weighted by rows, which the first column adds up.
        return np.asarray(mixed[1:] / mixed[0], np.float64)

    def compare(self, times: NDArray[np.int64], contributions: Floats, level: float) -> ImportanceDrift:
        """Compare a window's importances with those of its season.

        Args:
            times: time of each explained row in microseconds (n,).
            contributions: its SHAP values (n, f).
            level: chance of a false alarm of this comparison.

        Raises:
            DriftError: no rows, other features, values that are not finite, or none that differs from zero.
        """
        sizes = _sizes(contributions, len(self.names))
        like = self.like(times)
        if not sizes.sum() > 0 or not like.sum() > 0:
            side = "window" if like.sum() > 0 else "reference's season"
            raise DriftError(f"no importance of the {side} is above zero")
        # Few explained rows rank the features less reliably.
        shortage = max(1.0, float(np.median(self.rows)) / len(times))
        judged = judge(MEASURE, 1.0 - ndcg(like, sizes), self.null, shortage, level)
        before, now = ((side / side.sum()).tolist() for side in (like, sizes))
        return ImportanceDrift(
            ndcg=1.0 - judged.value,
            drifted=judged.p_value <= level,
            reference=dict(zip(self.names, before, strict=True)),
            current=dict(zip(self.names, now, strict=True)),
            least=1.0 - judged.threshold,
            p_value=judged.p_value,
            calibrated=judged.calibrated,
            rows=len(times),
        )


def from_json(document: dict[str, Any]) -> ImportanceProfile:
    """Return the importances in a JSON document.

    Raises:
        KeyError, TypeError, ValueError: the document is incomplete or damaged.
    """
    blocks, names = tuple(document["blocks"]), tuple(document["names"])
    try:
        data = np.frombuffer(zlib.decompress(base64.b64decode(document["sizes"])), "<f4")
    # Damage is a ValueError for callers, and the error of zlib is none.
    except zlib.error as error:
        raise ValueError(f"sizes: {error}") from error
    return ImportanceProfile(
        names=names,
        calendar=Calendar(document["season"], document["window"]),
        blocks=blocks,
        rows=np.asarray(document["rows"], np.int64),
        sizes=data.reshape(len(blocks), len(names)).astype(np.float64),
        per_block=document["per_block"],
        null=Null(*document["null"]) if document["null"] else None,
    )


def pick(times: NDArray[np.int64], calendar: Calendar, per_block: int) -> NDArray[np.int64]:
    """Return the rows (m,) of a reference to explain: so many of each of up to sixty blocks, evenly spread."""
    numbers = calendar.blocks(times)
    order = np.argsort(numbers, kind="stable")
    keys, starts, counts = np.unique(numbers[order], return_index=True, return_counts=True)
    shown = evenly(list(range(len(keys))))
    return np.concatenate([order[starts[k] + even_rows(int(counts[k]), per_block)] for k in shown])


def freeze(
    times: NDArray[np.int64], contributions: Floats, names: tuple[str, ...], calendar: Calendar, per_block: int
) -> ImportanceProfile | None:
    """Return the importances of the explained rows of a reference, or None where no feature contributes anything.

    Args:
        times: time of each explained row in microseconds (n,).
        contributions: SHAP values (n, f).
        names: features.
        calendar: how time is cut into blocks.
        per_block: most rows of a block that were explained; see `pick`.
    """
    numbers = calendar.blocks(times)
    keys = np.unique(numbers)
    draft = ImportanceProfile(
        names=names,
        calendar=calendar,
        blocks=tuple(keys.tolist()),
        rows=np.array([np.count_nonzero(numbers == key) for key in keys], np.int64),
        # As they will be read again.
        sizes=np.array([_sizes(contributions[numbers == key], len(names)) for key in keys]).astype("<f4").astype(float),
        per_block=per_block,
        null=None,
    )
    if not draft.sizes.sum() > 0:
        return None
    # Thin blocks, such as the first and the last, would widen the spread.
    full = draft.rows >= np.median(draft.rows) / 2
    losses = 1.0 - draft.agreement()
    null = calibrate([{MEASURE: float(loss)} for loss in losses[full & np.isfinite(losses)]]).get(MEASURE)
    return replace(draft, null=null)


def _sizes(contributions: Floats, width: int) -> Floats:
    if contributions.ndim != 2 or contributions.shape[1] != width:
        raise DriftError(f"contributions have shape {contributions.shape}; expected (n, {width})")
    if not len(contributions) or not np.isfinite(contributions).all():
        raise DriftError("contributions need at least one row, and only finite values")
    return np.asarray(np.abs(contributions).mean(axis=0), np.float64)

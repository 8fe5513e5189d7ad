"""Blocks and seasons: which stretches of a reference a window is compared with."""

import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from almanac.core.errors import DriftError
from almanac.drift.counting.histogram import Floats

Season = Literal["none", "month", "quarter"]
#: Days after which a season ends, at the earliest: a window as long as that is the whole season.
_SHORTEST = {"month": 27, "quarter": 89}
_DAY = 86_400_000_000
# A season needs a second year to be compared with.
_TWO_YEARS = 600 * _DAY
#: Blocks that a span without seasons is cut into, at the least.
_LEAST_BLOCKS = 12
#: Blocks that are looked at one by one; of more, so many evenly spread.
MOST_BLOCKS = 60
_UNITS = {"min": 60_000_000, "h": 3_600_000_000, "d": _DAY, "w": 7 * _DAY}


def parse_duration(text: str) -> int:
    """Return a duration such as `30d`, `12h`, `2w` or `15min` in microseconds.

    Raises:
        DriftError: anything else.
    """
    match = re.fullmatch(r"([1-9]\d*)(min|h|d|w)", text)
    if match is None:
        raise DriftError(f"{text!r} is no duration; write a number and one of min, h, d, w, such as 30d")
    return int(match[1]) * _UNITS[match[2]]


@dataclass(frozen=True)
class Calendar:
    """How time is cut into blocks, each of one season of one year.

    Attributes:
        season: windows are compared with the same month or quarter of any year, or with all blocks.
        window: length of a block in microseconds; where it is as long as the season, a block is one season.
        rows: the table has no time; blocks are stretches of so many rows, and `window` counts rows.
    """

    season: Season
    window: int
    rows: bool = False

    @property
    def seasons(self) -> int:
        """How many seasons there are."""
        return {"none": 1, "month": 12, "quarter": 4}[self.season]

    def blocks(self, times: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the block of each of `times` (n,), a number that ascends with time."""
        if self.season == "none":
            return times // self.window
        months = _months(times)
        seasons = months % 12 if self.season == "month" else months % 12 // 3
        whole = self.window >= _SHORTEST[self.season] * _DAY
        # A window shorter than the season cuts it into parts, each a block of its own.
        part = 0 if whole else times // self.window % 100_000
        return np.asarray(((months // 12 + 1970 + 10_000) * 12 + seasons) * 100_000 + part, np.int64)

    def season_of(self, block: int) -> int:
        """Return the season of a block, 0 where there are none."""
        return 0 if self.season == "none" else block // 100_000 % 12

    def year_of(self, block: int) -> int:
        """Return the year of a block; where there are no seasons each block is a year by itself."""
        return block if self.season == "none" else block // 1_200_000 - 10_000

    def label(self, block: int) -> str:
        """Return the block as people write it: 2013-07, 2013-Q3, or the date on which it begins."""
        if self.rows:
            return f"row {block * self.window}"
        if self.season == "none":
            return str(np.datetime64(block * self.window, "us").astype("datetime64[D]"))
        year, season = self.year_of(block), self.season_of(block)
        return f"{year}-Q{season + 1}" if self.season == "quarter" else f"{year}-{season + 1:02d}"


def calendar_of(span: tuple[int, int], season: Season, window: int) -> Calendar:
    """Return how a reference is cut into blocks.

    Args:
        span: its first and last time in microseconds.
        season: season that a window is compared with; a reference of less than about two years has no seasons.
        window: length of the windows to come in microseconds.
    """
    length = span[1] - span[0] or 1
    # With one year only, each block would be compared with itself.
    if season != "none" and length >= _TWO_YEARS:
        return Calendar(season, window)
    return Calendar("none", max(1, min(window, length // _LEAST_BLOCKS)))


def _months(times: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the months since 1970 of times (n,) in microseconds."""
    if not len(times):
        return np.empty(0, np.int64)
    first, last = np.array([times.min(), times.max()], "M8[us]").astype("M8[M]").astype(np.int64)
    # A search among a few edges is faster than NumPy's calendar for every row.
    edges = np.arange(first + 1, last + 1).astype("M8[M]").astype("M8[us]").astype(np.int64)
    return np.asarray(first + np.searchsorted(edges, times, side="right"), np.int64)


def segments(blocks: NDArray[np.int64], entity_starts: NDArray[np.int64]) -> list[tuple[int, int, int]]:
    """Return the stretches of rows of one block and one entity as (block, first row, row after the last)."""
    if not len(blocks):
        return []
    starts = np.union1d(np.flatnonzero(np.r_[True, blocks[1:] != blocks[:-1]]), entity_starts)
    ends = np.r_[starts[1:], len(blocks)]
    return [(int(blocks[start]), int(start), int(end)) for start, end in zip(starts, ends, strict=True)]


def evenly(keys: list[int]) -> list[int]:
    """Return up to `MOST_BLOCKS` of the keys, evenly spread, the first and the last among them."""
    if len(keys) <= MOST_BLOCKS:
        return keys
    # Evenly rather than the newest: all seasons and years must be among them.
    return [keys[i] for i in np.unique(np.linspace(0, len(keys) - 1, MOST_BLOCKS).astype(int))]


def mixture(by_season: Floats, weights: Floats) -> Floats:
    """Return the tallies (s, w) of a reference's seasons, added in the proportions of a window's (s,).

    Seasons that the reference does not have are left out; where it has none of them, all of it is taken.
    """
    rows = by_season[:, 0]
    present = np.where(rows > 0, weights, 0.0)
    if not present.sum() > 0:
        return np.asarray(by_season.sum(axis=0), np.float64)
    # As many rows as the rarest season gives in these proportions: all of its own, and a part of each other one's.
    # Divided in this order, a table's own proportions give its tally exactly, and it has no distance to itself.
    parts = np.divide(present, rows, out=np.zeros_like(present), where=rows > 0)
    return np.asarray((parts / parts.max()) @ by_season, np.float64)

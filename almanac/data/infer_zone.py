"""Inference of the zone of a table's times: by the offsets in their texts, or by the hours that a local clock skips.

Where clocks change, an hour of local time does not exist in spring and comes twice in autumn. A table that lacks the
one or repeats the other, at the very hours at which the clocks of a zone do, is written in that zone's time.
"""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import numpy as np
import polars as pl

from almanac.core.arrays import Integers
from almanac.core.errors import UseCaseError
from almanac.data.time_forms import EPOCHS
from almanac.data.times import ends

#: Zones that are proposed for all that have the same clocks; the first that fits is taken.
_ZONES = (
    *("Europe/London", "Europe/Berlin", "Europe/Helsinki", "Europe/Istanbul", "Europe/Moscow"),
    *("America/New_York", "America/Chicago", "America/Denver", "America/Los_Angeles", "America/Halifax"),
    *("America/Sao_Paulo", "America/Argentina/Buenos_Aires", "America/Mexico_City"),
    *("Asia/Shanghai", "Asia/Tokyo", "Asia/Kolkata", "Asia/Dubai", "Asia/Jakarta", "Asia/Karachi", "Asia/Jerusalem"),
    *("Australia/Sydney", "Australia/Adelaide", "Australia/Brisbane", "Pacific/Auckland"),
    # Winter time all the year round, as meters and markets in Europe and North America keep it.
    *("Etc/GMT-1", "Etc/GMT-2", "Etc/GMT+5", "Etc/GMT+6", "Etc/GMT+7", "Etc/GMT+8"),
)
_OFFSET = r"([+-])(\d{2}):?(\d{2})?$"
_DAY, _MINUTE = timedelta(days=1), timedelta(minutes=1)
#: Times at which the offsets of a zone are compared before all of them are.
_SAMPLE = 5000


@dataclass(frozen=True)
class Zone:
    """The zone of a table's times.

    Attributes:
        name: IANA name.
        reason: Where it is known from.
        others: Further zones whose clocks would fit as well.
        local: Whether the times themselves are of its local clock, and not in UTC or with an offset.
    """

    name: str
    reason: str
    others: tuple[str, ...] = ()
    local: bool = False


@dataclass(frozen=True)
class _Change:
    """A change of a zone's clocks: the local times from `start` up to `stop` are skipped, or come twice."""

    start: datetime
    stop: datetime
    skipped: bool


def zone_of(source: pl.Series, times: pl.Series, given: str | None) -> Zone | None:
    """Return the zone of a time column; None for UTC and where nothing shows one.

    Args:
        source: The column as read.
        times: Its times: naive UTC, or of a local clock where the column has no offsets.
        given: Zone that a person gives.

    Raises:
        UseCaseError: there is no such zone, or the times are days.
    """
    offsets, ordered = _offsets(source), times.unique().sort()
    dates = _are_days(ordered)
    if given is not None:
        _require(given)
        if dates:
            raise UseCaseError(f"--zone {given}: the times are days, which no clock changes; leave it out")
        return Zone(given, "given by --zone", local=offsets is None)
    if isinstance(source.dtype, pl.Datetime) and source.dtype.time_zone not in (None, "UTC"):
        return Zone(str(source.dtype.time_zone), "the zone of the column")
    if dates:
        return None
    return _by_offsets(times, offsets) if offsets is not None else _by_clock(times, ordered)


def is_open(source: pl.Series, times: pl.Series, form: str | None) -> bool:
    """Return whether times are of a clock, and neither offsets nor a unit such as seconds since 1970 say of which."""
    return form not in EPOCHS and not _are_days(times.unique().sort()) and _offsets(source) is None


def _are_days(ordered: pl.Series) -> bool:
    # Days have no clock, and a day that began at another hour would be off the grid.
    return ordered.len() < 2 or bool(ordered.diff().drop_nulls().median() >= _DAY)  # type: ignore[operator]


def repeated(times: pl.Series, zone: Zone) -> pl.Series:
    """Return which of the local times come twice."""
    changes = [change for change in _changes(zone.name, *ends(times)) if not change.skipped]
    mask = pl.Series([False]).new_from_index(0, times.len())
    for change in changes:
        mask = mask | times.is_between(change.start, change.stop, closed="left")
    return mask


def _require(name: str) -> None:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UseCaseError(f"--zone {name}: is no time zone; write an IANA name such as Europe/Berlin") from None


def _offsets(source: pl.Series) -> pl.Series | None:
    """Return the offset of each time from UTC in minutes; None where they have none."""
    if isinstance(source.dtype, pl.Datetime) and source.dtype.time_zone is not None:
        return pl.Series([0]).new_from_index(0, source.len())
    if source.dtype != pl.String:
        return None
    # A date such as 2020-01-31 ends as an offset does; only a time has one.
    texts = source.str.strip_chars()
    if not texts.str.contains(r":\d{2}").all():
        return None
    parts = texts.str.extract_groups(_OFFSET).struct.unnest()
    minutes = parts["2"].cast(pl.Int32) * 60 + parts["3"].fill_null("0").cast(pl.Int32)
    utc = texts.str.ends_with("Z")
    signed = pl.select(pl.when(parts["1"] == "-").then(-minutes).otherwise(minutes)).to_series()
    found = pl.select(pl.when(utc).then(0).otherwise(signed)).to_series()
    return None if found.null_count() else found


def _by_offsets(times: pl.Series, offsets: pl.Series) -> Zone | None:
    if (offsets == 0).all():
        return None
    every = pl.DataFrame({"time": times, "minutes": offsets}).unique("time").sort("time")
    few = every.gather_every(max(1, every.height // _SAMPLE))
    fitting = [name for name in _ZONES if _agrees(name, few) and _agrees(name, every)]
    minutes = offsets.unique().sort()
    shown = " and ".join(f"{'-' if value < 0 else '+'}{abs(value) // 60:02}:{abs(value) % 60:02}" for value in minutes)
    if not fitting:
        fitting = [name for name in sorted(available_timezones()) if _agrees(name, few) and _agrees(name, every)]
    if not fitting:
        return None
    return Zone(fitting[0], f"its clocks have the offset {shown} of the times", tuple(fitting[1:]))


def _agrees(name: str, every: pl.DataFrame) -> bool:
    try:
        local = every["time"].dt.replace_time_zone("UTC").dt.convert_time_zone(name)
    except pl.exceptions.PolarsError:
        return False
    offset = local.dt.base_utc_offset() + local.dt.dst_offset()
    return bool((offset.dt.total_minutes() == every["minutes"]).all())


def _by_clock(times: pl.Series, ordered: pl.Series) -> Zone | None:
    """Return the zone whose changes explain missing and repeated hours; None where none does."""
    present = ordered.to_physical().to_numpy()
    rows = present if times.len() == ordered.len() else times.sort().to_physical().to_numpy()
    step = timedelta(microseconds=int(np.diff(present).min()))
    signs = {}
    for name in _ZONES:
        changes = list(_changes(name, ordered[0], ordered[-1]))
        skipped = [change for change in changes if change.skipped]
        if any(_within(present, change) for change in skipped):
            continue
        shown = [change for change in skipped if _seen(present, change.start - step, change.stop)]
        twice = [change for change in changes if not change.skipped and _doubled(rows, change.start)]
        if shown or twice:
            signs[name] = len(shown) + len(twice), (shown or twice)[0]
    if not signs:
        return None
    most = max(count for count, _ in signs.values())
    fitting = [name for name, (count, _) in signs.items() if count == most]
    change = signs[fitting[0]][1]
    what = "is missing" if change.skipped else "comes twice"
    return Zone(fitting[0], f"the hour from {change.start} {what}, as on its clocks", tuple(fitting[1:]), local=True)


def _within(present: Integers, change: _Change) -> bool:
    low, high = np.searchsorted(present, _micros(change.start, change.stop))
    return bool(low < high)


def _seen(present: Integers, *moments: datetime) -> bool:
    """Return whether rows before and after a skipped hour are there, without which its absence says nothing."""
    wanted = _micros(*moments)
    places = np.minimum(np.searchsorted(present, wanted), present.size - 1)
    return bool((present[places] == wanted).all())


def _doubled(rows: Integers, start: datetime) -> bool:
    """Return whether a time has twice as many rows as the same time of the day before; rows are in order."""
    wanted = _micros(start - _DAY, start)
    before, now = np.searchsorted(rows, wanted, "right") - np.searchsorted(rows, wanted)
    return bool(before > 0 and now == 2 * before)


def _micros(*moments: datetime) -> Integers:
    return np.array(moments, dtype="datetime64[us]").astype(np.int64)


def _changes(name: str, first: datetime, last: datetime) -> Iterator[_Change]:
    """Yield the changes of a zone's clocks between two local times."""
    zone = ZoneInfo(name)
    # All days at once: a mistyped year makes a table of a century.
    days = pl.datetime_range(first - _DAY, last + _DAY, "1d", time_unit="us", time_zone="UTC", eager=True)
    local = days.dt.convert_time_zone(name)
    offsets = (local.dt.base_utc_offset() + local.dt.dst_offset()).to_physical().to_numpy()
    for day in np.flatnonzero(np.diff(offsets)):
        low = first + (int(day) - 1) * _DAY
        before, after = (_offset(zone, moment) for moment in (low, low + _DAY))
        moment = _moment(zone, low, low + _DAY)
        start, stop = sorted((moment + before, moment + after))
        if first <= start <= last:
            yield _Change(start, stop, skipped=after > before)


def _offset(zone: ZoneInfo, utc: datetime) -> timedelta:
    found = utc.replace(tzinfo=UTC).astimezone(zone).utcoffset()
    assert found is not None
    return found


def _moment(zone: ZoneInfo, low: datetime, high: datetime) -> datetime:
    """Return the first minute in UTC with the offset of `high`."""
    after = _offset(zone, high)
    steps = (high - low) // _MINUTE
    place = bisect_left(range(steps + 1), True, key=lambda step: _offset(zone, low + step * _MINUTE) == after)
    return low + place * _MINUTE

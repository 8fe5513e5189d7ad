"""Profiling of a table: its reference profile, with thresholds learnt from its own blocks."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from almanac.core.errors import DriftError
from almanac.drift.counting.accumulators import ABOVE, HEAD, INFINITE, ROWS, NumericLayout, Stretch, layout_of, set_out
from almanac.drift.counting.histogram import Floats
from almanac.drift.measures import Pair, measure_categories, measure_numbers
from almanac.drift.profiles.one_pass import Counted, count_table
from almanac.drift.profiles.reference import Feature, Profile
from almanac.drift.profiles.roles import RESIDUAL, Kind, Roles
from almanac.drift.profiles.seasons import Calendar, Season, calendar_of, evenly, parse_duration
from almanac.drift.profiles.tables import Source, Table, sample_numbers
from almanac.drift.profiles.unwatched import unwatched
from almanac.drift.thresholds import calibrate

#: Fewer rows make no reference.
LEAST_ROWS = 100
_BINS = 16
_LABELS = 1000
_ROW_BLOCKS = 20


def profile(
    table: Table,
    *,
    columns: Sequence[str] | None = None,
    time: str | None = None,
    entity: str | None = None,
    target: str | None = None,
    prediction: str | None = None,
    season: Season = "month",
    window: str = "30d",
    false_alarm_rate: float = 0.05,
    like: Profile | None = None,
    keep: bool = False,
    name: str = "",
) -> Profile:
    """Return the frozen reference profile of a table.

    Args:
        table: polars or pandas frame, a Parquet or CSV file, a directory of or several Parquet files; Parquet is
            streamed, so that it may be larger than memory.
        columns: columns to watch; when None all numbers and categories but identifiers, see `Profile.unwatched`.
        time: time column. With it windows are compared with their season, and steps from row to row are watched.
        entity: column with the name of each row's series, in a panel.
        target: column of the truth, watched as such.
        prediction: column of the prediction; with a target the residual is watched too.
        season: season of the reference that a window is compared with; a reference of less than about two years has
            none.
        window: length of the windows to come, for which thresholds are calibrated.
        false_alarm_rate: share of undrifted windows that may raise the alarm, over all columns together.
        like: a profile whose cells to count in, so that the two can be merged; its settings are taken too.
        keep: keep the reference in memory for exact distances.
        name: name of the table in errors; that of its file when empty.

    Raises:
        DriftError: a column that is absent or cannot be watched, or fewer than 100 rows.
    """
    if not 0 < false_alarm_rate < 0.5:
        raise DriftError(f"false_alarm_rate is {false_alarm_rate}; it must be between 0 and 0.5")
    if like is not None:
        return _profile_like(table, like, keep, name)
    source = Source(table, time, entity, name)
    if source.rows < LEAST_ROWS:
        raise DriftError(f"{source.name} has {source.rows} rows; a reference needs at least {LEAST_ROWS}")
    roles = Roles(target, prediction)
    kinds = watched(source, columns, roles)
    # The cells are cut by a sample, so that the table itself is read only once.
    sample = source.sample([*kinds_of_table(kinds, roles), *([time] if time else [])])
    left_out = {} if columns else _left_out(source, sample, kinds, roles)
    calendar = _calendar(source, sample, season, window)
    # The groups of all seasons are stored: with many columns the profile would grow too large.
    groups = 256 if len(kinds) <= 100 else 128
    layouts = {name: _layout(sample, source, name, kind, roles, groups) for name, kind in kinds.items()}
    made = _build(source, calendar, layouts, kinds, roles, false_alarm_rate, keep, {})
    return replace(made, unwatched=left_out)


def _left_out(source: Source, sample: pl.DataFrame, kinds: dict[str, Kind], roles: Roles) -> dict[str, str]:
    """Take the columns that are not worth watching out of `kinds`, and return them with the reasons.

    Raises:
        DriftError: no column is left.
    """
    # A target or prediction was asked for by name.
    asked = {roles.target, roles.prediction}
    reasons = {name: reason for name, reason in unwatched(source, sample).items() if name not in asked}
    for name in reasons:
        kinds.pop(name, None)
    if not kinds:
        told = "; ".join(f"{name!r} {reason}" for name, reason in reasons.items())
        raise DriftError(f"{source.name} has no column to watch: {told}")
    return reasons


def _profile_like(table: Table, like: Profile, keep: bool, name: str) -> Profile:
    source = Source(table, like.time, like.entity, name)
    kinds = {name: feature.kind for name, feature in like.features.items()}
    own = watched(source, None, like.roles)
    for name, kind in kinds.items():
        if own.get(name) != kind:
            raise DriftError(f"{source.name} has no {kind} column {name!r}, which the profile to be like has")
    # The range of the other reference says nothing of this one's values.
    layouts = {
        name: replace(feature.layout, low=-np.inf, high=np.inf) if feature.layout else None
        for name, feature in like.features.items()
    }
    labels = {name: feature.labels for name, feature in like.features.items() if feature.layout is None}
    made = _build(source, like.calendar, layouts, kinds, like.roles, like.false_alarm_rate, keep, labels)
    return replace(made, unwatched=like.unwatched)


def watched(source: Source, columns: Sequence[str] | None, roles: Roles) -> dict[str, Kind]:
    """Return the columns to watch and their kinds, the residual last.

    Raises:
        DriftError: a column that the table does not have, or that holds neither numbers nor categories.
    """
    kinds = source.kinds()
    for name in [*(columns or []), *filter(None, (roles.target, roles.prediction))]:
        if name not in source.schema:
            raise DriftError(f"{source.name} has no column {name!r}; it has {', '.join(source.schema)}")
        if name not in kinds:
            raise DriftError(
                f"{source.name}: column {name!r} is {source.schema[name]}; numbers or strings can be watched"
            )
    names = dict.fromkeys([*columns, *filter(None, (roles.target, roles.prediction))]) if columns else kinds
    chosen = {name: kinds[name] for name in names}
    if not chosen:
        raise DriftError(f"{source.name} has no column of numbers or strings to watch")
    if roles.has_residual():
        chosen[RESIDUAL] = "number"
    return chosen


def kinds_of_table(kinds: dict[str, Kind], roles: Roles) -> list[str]:
    """Return the columns of the table from which the watched columns are made."""
    return list(dict.fromkeys(part for name in kinds for part in roles.sources(name)))


def _calendar(source: Source, sample: pl.DataFrame, season: Season, window: str) -> Calendar:
    if source.time is None:
        return Calendar("none", max(1, source.rows // _ROW_BLOCKS), rows=True)
    times = Source(sample, source.time).sample([source.time]).get_column(source.time).to_physical()
    return calendar_of((int(times.min()), int(times.max())), season, parse_duration(window))  # type: ignore[arg-type]


def _layout(
    sample: pl.DataFrame, source: Source, name: str, kind: Kind, roles: Roles, groups: int
) -> NumericLayout | None:
    if kind == "category":
        return None
    parts = [sample_numbers(sample, part) for part in roles.sources(name)]
    values = parts[0] - parts[1] if len(parts) == 2 else parts[0]
    integer = len(parts) == 1 and source.schema[name].is_integer()
    return layout_of(np.asarray(values, np.float64), integer, groups, _BINS)


def _build(
    source: Source,
    calendar: Calendar,
    layouts: dict[str, NumericLayout | None],
    kinds: dict[str, Kind],
    roles: Roles,
    rate: float,
    keep: bool,
    labels: dict[str, tuple[str, ...]],
) -> Profile:
    counted = count_table(source, calendar, layouts, roles)
    keys = sorted(counted.blocks)
    features = {}
    for name, layout in layouts.items():
        ranked = labels.get(name) or _labels(counted.totals[name])
        features[name] = _feature(name, roles.role(name), layout, ranked, counted, keys, calendar)
    block_rows = int(np.median([next(iter(counted.blocks[key].values())).tally[ROWS] for key in keys]))
    shown = evenly(keys)
    return Profile(
        rows=counted.rows,
        features=features,
        calendar=calendar,
        block_rows=block_rows,
        blocks=tuple(calendar.label(key) for key in shown),
        time=source.time,
        entity=source.entity,
        roles=roles,
        false_alarm_rate=rate,
        span=counted.span,
        zone=source.zone,
        kept=pl.concat([b.frame for b in source.batches(kinds_of_table(kinds, roles))]) if keep else None,
    )


def _labels(total: Stretch) -> tuple[str, ...]:
    # By name where equally frequent, so that the order does not depend on that of the rows.
    ranked = sorted(total.labels.items(), key=lambda item: (-item[1], item[0]))
    return tuple(label for label, _ in ranked[:_LABELS])


def _feature(
    name: str,
    role: str,
    layout: NumericLayout | None,
    labels: tuple[str, ...],
    counted: Counted,
    keys: list[int],
    calendar: Calendar,
) -> Feature:
    total = counted.totals[name]
    # Only now is the range known, since it takes all rows and not a sample.
    if layout is not None and total.maximum >= total.minimum:
        layout = replace(layout, low=total.minimum, high=total.maximum)
    stretches = [counted.blocks[key][name] for key in keys]
    tallies = np.array([s.tally if layout is not None else set_out(s, labels) for s in stretches])
    if layout is not None:
        # A window's infinities count as beyond the range; the reference's, of which the range is, do as well.
        tallies[:, ABOVE] += tallies[:, INFINITE]
    seasons_of = np.array([calendar.season_of(key) for key in keys])
    seasons = np.zeros((calendar.seasons, tallies.shape[1]))
    # Several blocks share a season, and `+=` with an index would add only one of them.
    np.add.at(seasons, seasons_of, tallies)
    spread = _spread(total, layout)
    observed = _observe(tallies, [s.runs.longest for s in stretches], keys, calendar, layout, spread)
    shown = [keys.index(key) for key in evenly(keys)]
    return Feature(
        name=name,
        role=role,
        layout=layout,
        labels=labels if layout is None else (),
        fine=total.fine,
        head=seasons[:, : len(HEAD)],
        cells=seasons[:, len(HEAD) :],
        longest=total.runs.longest,
        spread=spread,
        nulls=calibrate(observed),
        history=history(tallies[shown], layout),
    )


def _spread(total: Stretch, layout: NumericLayout | None) -> float:
    """Return the standard deviation, each fine cell taken at its lower edge."""
    if layout is None or not total.fine.sum():
        return 0.0
    values = np.clip(layout.grid.lower, total.minimum, total.maximum)
    with np.errstate(all="ignore"):
        mean = np.average(values, weights=total.fine)
        deviation = float(np.sqrt(np.average((values - mean) ** 2, weights=total.fine)))
    return deviation if np.isfinite(deviation) else 0.0


def _observe(
    tallies: Floats,
    runs: list[int],
    keys: list[int],
    calendar: Calendar,
    layout: NumericLayout | None,
    spread: float,
) -> list[dict[str, float]]:
    """Return the measures of each block against the same season of the other years."""
    seasons, years = (np.array([part(key) for key in keys]) for part in (calendar.season_of, calendar.year_of))
    rows = tallies[:, ROWS]
    usual = np.median(rows)
    observed = []
    for k in evenly(list(range(len(keys)))):
        others = tallies[(seasons == seasons[k]) & (years != years[k])].sum(axis=0)
        # Thin blocks would widen the spread of all measures, and with it every threshold.
        if others[ROWS] < usual / 2 or rows[k] < usual / 2:
            continue
        pair = Pair(others, tallies[k], runs[k], layout, spread)
        observed.append(measure_categories(pair) if layout is None else measure_numbers(pair))
    return observed


def history(tallies: Floats, layout: NumericLayout | None) -> NDArray[np.uint8]:
    """Return the shares of the bins in each of some tallies (b, w), in 255ths (b, bins)."""
    cells = tallies[:, len(HEAD) :]
    binned = np.add.reduceat(cells, layout.bins, axis=1) if layout is not None else cells[:, : _BINS * 2]
    total = np.maximum(binned.sum(axis=1, keepdims=True), 1)
    return np.asarray(np.rint(255 * binned / total), np.uint8)

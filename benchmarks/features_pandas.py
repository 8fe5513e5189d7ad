"""The features of a specification as a good pandas user writes them: shift, rolling, ewm, dt and map."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from almanac.features import nodes as p
from almanac.features.calendar import PERIODS, STARTS
from almanac.features.spec import FeatureSpec

Series = Any


def features(spec: FeatureSpec, frame: pd.DataFrame) -> pd.DataFrame:
    """Return the features of one entity's rows, which are on a complete grid; NaN where missing."""
    known = {name: _known(spec, frame[name], name) for name in spec.columns}
    made: dict[str, Series] = {}
    for node in spec.nodes:
        made[node.name] = _make(spec, node, known, frame[spec.time], list(made.values()))
    return pd.DataFrame(made)


def _known(spec: FeatureSpec, values: Series, name: str) -> Series:
    if name in spec.categories:
        values = values.map({value: float(code) for code, value in enumerate(spec.categories[name])})
    if name in spec.imputed:
        values = values.ffill(limit=spec.limit_steps)
    return values.shift(spec.cutoff_steps) if spec.cutoff_steps else values


def _make(spec: FeatureSpec, node: p.Node, known: dict[str, Series], time: Series, made: list[Series]) -> Series:
    match node:
        case p.Change():
            return known[node.column].diff(node.lag)
        case p.Pick():
            return known[node.column].shift(node.lag) if node.lag else known[node.column]
        case p.Window():
            return _window(node, known[node.column])
        case p.Decay():
            return _decay(node, known[node.column])
        case p.Season():
            earlier = pd.concat([known[node.column].shift(lag) for lag in node.lags], axis=1)
            return getattr(earlier, node.statistic)(axis=1)
        case p.Clock():
            return _clock(node, time + pd.Timedelta(seconds=node.ahead))
        case p.Phase():
            return _phase(node, time + pd.Timedelta(seconds=node.ahead))
        case p.Indicator():
            codes = known[node.column]
            return (codes == node.code).astype(float).where(codes.notna())
        case p.Component():
            return known[node.magnitude] * known[node.column].map(dict(enumerate(node.factors)))
        case p.Since():
            place = pd.Series(np.arange(len(time), dtype=float), index=time.index)
            last = place.where(known[node.column] > node.above).ffill()
            return (place - last).clip(upper=node.limit).fillna(node.limit)
        case p.Combine():
            left, right = made[node.left], made[node.right]
            names = {"ratio": "div", "product": "mul", "difference": "sub", "sum": "add"}
            return _finite(getattr(left, names[node.operation])(right))
        case p.Apply():
            with np.errstate(all="ignore"):
                return _finite(getattr(np, node.function)(made[node.of]))
    raise TypeError(f"no pandas form of {type(node).__name__}")


def _window(node: p.Window, values: Series) -> Series:
    rolling = values.rolling(node.length, min_periods=node.need)
    if node.statistic == "range":
        return rolling.max() - rolling.min()
    if node.statistic == "slope":
        place = pd.Series(np.arange(len(values), dtype=float), index=values.index).where(values.notna())
        return rolling.cov(place) / place.rolling(node.length, min_periods=node.need).var()
    return getattr(rolling, node.statistic)()


def _decay(node: p.Decay, values: Series) -> Series:
    """Take the weighted sum over a window as the endless one less what has left the window."""
    weight: float = 0.5 ** (1 / node.half_life)
    norm = (1 - weight ** np.arange(1, len(values) + 1)) / (1 - weight)

    def windowed(series: Series) -> Series:
        total = series.ewm(halflife=node.half_life).mean() * norm
        return total - weight**node.length * total.shift(node.length, fill_value=0.0)

    present = values.notna()
    result = windowed(values.fillna(0.0)) / windowed(present.astype(float))
    return result.where(present.rolling(node.length, min_periods=1).sum() > 0)


def _clock(node: p.Clock, moments: Series) -> Series:
    if node.field == "weekend":
        return (moments.dt.weekday >= 5).astype(float)
    if node.field == "week":
        return moments.dt.isocalendar().week.astype(float)
    return getattr(moments.dt, {"day_of_month": "day"}.get(node.field, node.field)).astype(float)


def _phase(node: p.Phase, moments: Series) -> Series:
    seconds: npt.NDArray[np.int64] = moments.to_numpy().astype("datetime64[s]").astype(np.int64)
    turn = (seconds - STARTS[node.period]) % PERIODS[node.period] / PERIODS[node.period]
    angle = 2 * np.pi * node.harmonic * turn
    return pd.Series(np.cos(angle) if node.cosine else np.sin(angle), index=moments.index)


def _finite(values: Series) -> Series:
    return values.replace([np.inf, -np.inf], np.nan)

"""The features of a specification as a good pandas user writes them: shift, rolling, ewm, dt and map."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from almanac.features.kinds.cyclic import PERIODS, STARTS
from almanac.features.spec import FeatureSpec
from almanac.usecase.types import steps

Series = Any


@dataclass(frozen=True)
class Frame:
    """The known values of one entity's rows, imputed and as they were read, and the features made so far."""

    spec: FeatureSpec
    known: dict[str, Series]
    read: dict[str, Series]
    time: Series
    made: dict[str, Series]

    def steps(self, duration: str) -> int:
        """Return the grid steps of a duration."""
        return steps(duration, self.spec.frequency)


def features(spec: FeatureSpec, frame: pd.DataFrame) -> pd.DataFrame:
    """Return the features of one entity's rows, which are on a complete grid; NaN where missing."""
    known = {name: _known(spec, frame[name], name) for name in spec.columns}
    read = {name: frame[name].shift(spec.cutoff_steps) for name in spec.columns}
    whole = Frame(spec, known, read, frame[spec.time], {})
    names = iter(spec.names)
    for item in spec.items:
        for series in _KINDS[item.kind](item, whole):
            whole.made[next(names)] = series
    return pd.DataFrame(whole.made)


def _known(spec: FeatureSpec, values: Series, name: str) -> Series:
    if name in spec.categories:
        values = values.map({value: float(code) for code, value in enumerate(spec.categories[name])})
    if name in spec.imputed:
        values = values.ffill(limit=spec.limit_steps)
    return values.shift(spec.cutoff_steps) if spec.cutoff_steps else values


def _value(item: Any, frame: Frame) -> Iterator[Series]:
    yield from (frame.known[column] for column in item.columns)


def _lag(item: Any, frame: Frame) -> Iterator[Series]:
    yield from (frame.known[column].shift(frame.steps(lag)) for column in item.columns for lag in item.lags)


def _difference(item: Any, frame: Frame) -> Iterator[Series]:
    yield from (frame.known[column].diff(frame.steps(lag)) for column in item.columns for lag in item.lags)


def _rolling(item: Any, frame: Frame) -> Iterator[Series]:
    least = {"std": 2, "slope": 2, "count": 0}
    for column in item.columns:
        for window in item.windows:
            length = frame.steps(window)
            share = math.ceil(item.min_share * length)
            for statistic in item.statistics:
                need = 0 if statistic == "count" else max(least.get(statistic, 1), share)
                yield _window(frame.known[column], length, statistic, need)


def _window(values: Series, length: int, statistic: str, need: int) -> Series:
    rolling = values.rolling(length, min_periods=need)
    if statistic == "range":
        return rolling.max() - rolling.min()
    if statistic == "slope":
        place = pd.Series(np.arange(len(values), dtype=float), index=values.index).where(values.notna())
        return rolling.cov(place) / place.rolling(length, min_periods=need).var()
    return getattr(rolling, statistic)()


def _ewm(item: Any, frame: Frame) -> Iterator[Series]:
    for column in item.columns:
        for half_life in map(frame.steps, item.half_lives):
            yield _decay(frame.known[column], half_life, 8 * half_life)


def _decay(values: Series, half_life: int, length: int) -> Series:
    """Take the weighted sum over a window as the endless one less that of the values before the window."""
    weight: float = 0.5 ** (1 / half_life)
    norm = (1 - weight ** np.arange(1, len(values) + 1)) / (1 - weight)

    def windowed(series: Series) -> Series:
        total = series.ewm(halflife=half_life).mean() * norm
        return total - weight**length * total.shift(length, fill_value=0.0)

    present = values.notna()
    result = windowed(values.fillna(0.0)) / windowed(present.astype(float))
    return result.where(present.rolling(length, min_periods=1).sum() > 0)


def _seasonal(item: Any, frame: Frame) -> Iterator[Series]:
    period, later = frame.steps(item.period), frame.steps(item.ahead) + frame.spec.cutoff_steps
    first = max(1, -(-later // period))
    for column in item.columns:
        for count in item.counts:
            lags = [k * period - later for k in range(first, first + count)]
            earlier = pd.concat([frame.known[column].shift(lag) for lag in lags], axis=1)
            yield from (getattr(earlier, statistic)(axis=1) for statistic in item.statistics)


def _calendar(item: Any, frame: Frame) -> Iterator[Series]:
    moments = frame.time + pd.Timedelta(item.ahead)
    for field in item.fields:
        if field == "weekend":
            yield (moments.dt.weekday >= 5).astype(float)
        elif field == "week":
            yield moments.dt.isocalendar().week.astype(float)
        else:
            yield getattr(moments.dt, {"day_of_month": "day"}.get(field, field)).astype(float)


def _cyclic(item: Any, frame: Frame) -> Iterator[Series]:
    moments = frame.time + pd.Timedelta(item.ahead)
    seconds: npt.NDArray[np.int64] = moments.to_numpy().astype("datetime64[s]").astype(np.int64)
    for period in item.periods:
        turn = (seconds - STARTS[period]) % PERIODS[period] / PERIODS[period]
        for harmonic in range(1, item.harmonics + 1):
            angle = 2 * np.pi * harmonic * turn
            yield from (pd.Series(function(angle), index=moments.index) for function in (np.sin, np.cos))


def _categorical(item: Any, frame: Frame) -> Iterator[Series]:
    for column in item.columns:
        codes = frame.known[column]
        if item.encoding == "code":
            yield codes
            continue
        for code in range(len(frame.spec.categories[column])):
            yield (codes == code).astype(float).where(codes.notna())


def _vector(item: Any, frame: Frame) -> Iterator[Series]:
    angles = [item.degrees[value] for value in frame.spec.categories[item.direction]]
    for function in (math.sin, math.cos):
        factors = {code: 0.0 if angle is None else function(math.radians(angle)) for code, angle in enumerate(angles)}
        yield frame.known[item.magnitude] * frame.known[item.direction].map(factors)


def _elapsed(item: Any, frame: Frame) -> Iterator[Series]:
    yield _since(frame.known[item.column] > item.above, frame.steps(item.limit))


def _age(item: Any, frame: Frame) -> Iterator[Series]:
    yield from (_since(frame.read[column].notna(), frame.steps(item.limit)) for column in item.columns)


def _since(held: Series, limit: int) -> Series:
    place = pd.Series(np.arange(len(held), dtype=float), index=held.index)
    return (place - place.where(held).ffill()).clip(upper=limit).fillna(limit)


def _interaction(item: Any, frame: Frame) -> Iterator[Series]:
    names = {"ratio": "div", "product": "mul", "difference": "sub", "sum": "add"}
    yield _finite(getattr(frame.made[item.left], names[item.operation])(frame.made[item.right]))


def _transform(item: Any, frame: Frame) -> Iterator[Series]:
    with np.errstate(all="ignore"):
        yield _finite(getattr(np, item.function)(frame.made[item.feature]))


def _finite(values: Series) -> Series:
    return values.replace([np.inf, -np.inf], np.nan)


_KINDS: dict[str, Callable[[Any, Frame], Iterator[Series]]] = {
    "value": _value,
    "lag": _lag,
    "difference": _difference,
    "rolling": _rolling,
    "ewm": _ewm,
    "seasonal": _seasonal,
    "calendar": _calendar,
    "cyclic": _cyclic,
    "categorical": _categorical,
    "vector": _vector,
    "elapsed": _elapsed,
    "age": _age,
    "interaction": _interaction,
    "transform": _transform,
}

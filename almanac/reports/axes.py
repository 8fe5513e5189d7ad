"""Ticks of plots, with labels that fit and differ."""

from collections.abc import Sequence
from datetime import date, timedelta
from importlib import import_module
from typing import Any

#: Width of a letter and height of a line in inches, at the size of ticks.
_LETTER, _LINE = 0.065, 0.16
#: Letters of a name; a longer one loses its middle, since names of one kind often begin or end alike.
_LONGEST = 22
_DAY = timedelta(days=1)
#: Days of an axis up to which hours are counted.
_FEW_DAYS = 2
#: Forms of a date by the span of an axis; the first is taken under which no two ticks have one label.
_FORMS = (
    (2 * _DAY, ("%H:%M", "%-d %b %H:%M")),
    (11 * _DAY, ("%a %-d", "%a %-d %b", "%-d %b %H:%M")),
    (330 * _DAY, ("%-d %b", "%-d %b %H:%M")),
    (2200 * _DAY, ("%b %Y", "%-d %b %Y")),
    (timedelta.max, ("%Y", "%b %Y", "%-d %b %Y")),
)


def date_ticks(axis: Any, most: int) -> None:
    """Set ticks of dates on the horizontal axis, at most so many; call it when everything is drawn."""
    dates: Any = import_module("matplotlib.dates")  # untyped
    low, high = axis.get_xlim()
    axis.xaxis.set_major_locator(dates.AutoDateLocator(minticks=min(3, most), maxticks=most))
    ticks = [tick for tick in axis.get_xticks() if low <= tick <= high]
    times = [dates.num2date(tick) for tick in ticks]
    span = (times[-1] - times[0]) if times else _DAY
    forms = next(forms for longest, forms in _FORMS if span <= longest)
    labels = ([f"{time:{form}}" for time in times] for form in forms)
    axis.set_xticks(
        ticks, next((each for each in labels if len(set(each)) == len(each)), [str(time) for time in times])
    )
    axis.set_xlim(low, high)


def day_ticks(axis: Any, origin: date, most: int) -> None:
    """Set ticks of the days, or hours where these are few, since an origin; call it when everything is drawn.

    Args:
        axis: the axes, whose horizontal axis is one of dates.
        origin: day that is counted from.
        most: most ticks.
    """
    from matplotlib.ticker import MaxNLocator

    dates: Any = import_module("matplotlib.dates")  # untyped
    low, high = axis.get_xlim()
    start = dates.date2num(origin)
    hours = high - low <= _FEW_DAYS
    unit = 1 / 24 if hours else 1.0
    # Whole days and whole quarters of a day: nobody counts in tenths of one.
    steps = [1, 2, 3, 6, 10] if hours else [1, 2, 5, 10]
    values = MaxNLocator(most - 1, steps=steps, integer=True).tick_values((low - start) / unit, (high - start) / unit)
    shown = [value for value in values if low <= start + value * unit <= high]
    axis.set_xticks([start + value * unit for value in shown], [f"{value:g}" for value in shown])
    axis.set_xlabel("hours since the start" if hours else "days since the start")
    axis.set_xlim(low, high)


def share_ticks(axis: Any) -> None:
    """Set ticks in percent on the vertical axis, with digits enough to differ; call it when everything is drawn."""
    from matplotlib.ticker import MaxNLocator

    low, high = axis.get_ylim()
    axis.yaxis.set_major_locator(MaxNLocator(6))
    ticks = [tick for tick in axis.get_yticks() if low <= tick <= high]
    exact = (digits for digits in range(4) if all(abs(round(100 * tick, digits) - 100 * tick) < 1e-6 for tick in ticks))
    digits = next(exact, 4)
    axis.set_yticks(ticks, [f"{tick:.{digits}%}" for tick in ticks])
    axis.set_ylim(low, high)


def number_ticks(axis: Any, inches: float, vertical: bool = False) -> None:
    """Set ticks of numbers on an axis, as many as fit with their labels; call it when everything is drawn.

    Args:
        axis: the axes.
        inches: length of the axis.
        vertical: whether it is the vertical one.
    """
    from matplotlib.ticker import MaxNLocator

    low, high = axis.get_ylim() if vertical else axis.get_xlim()
    ticks, labels = [low], [f"{low:.3g}"]
    for most in (6, 5, 4, 3, 2):
        # A zero that rounding has left as 1e-20 is zero.
        every = (0.0 if abs(tick) < 1e-9 * (high - low) else tick for tick in MaxNLocator(most).tick_values(low, high))
        ticks = [tick for tick in every if low <= tick <= high]
        labels = [f"{tick:.6g}" for tick in ticks]
        taken = 2 * _LINE * len(labels) if vertical else _LETTER * sum(len(label) + 2 for label in labels)
        if taken <= inches:
            break
    if vertical:
        axis.set_yticks(ticks, labels)
        axis.set_ylim(low, high)
    else:
        axis.set_xticks(ticks, labels)
        axis.set_xlim(low, high)


def name_ticks(axis: Any, names: Sequence[str], width: float) -> None:
    """Set names on the horizontal axis at 0, 1, 2 and so on: upright or slanted, and some of them where all do not fit.

    Args:
        axis: the axes.
        names: of all places.
        width: of the axes in inches.
    """
    shown = [shortened(name) for name in names]
    if len(set(shown)) < len(set(names)):
        shown = list(names)
    longest = max((len(line) for name in shown for line in name.split("\n")), default=0)
    # Slanted names take the height of a line each.
    slanted = len(names) * (longest + 1) * _LETTER > width
    step = max(1, -(-len(names) // max(1, int(width / (1.5 * _LINE))))) if slanted else 1
    places = range(0, len(names), step)
    axis.set_xticks(list(places), [shown[place] for place in places])
    if slanted and longest > 3:
        axis.tick_params(axis="x", labelrotation=30)
        for label in axis.get_xticklabels():
            label.set(horizontalalignment="right", rotation_mode="anchor")


def shortened(name: str) -> str:
    """Return a name for a plot: each line of it that is too long without its middle."""
    return "\n".join(
        line if len(line) <= _LONGEST else f"{line[: _LONGEST // 2 - 1]}…{line[-(_LONGEST // 2) :]}"
        for line in name.split("\n")
    )

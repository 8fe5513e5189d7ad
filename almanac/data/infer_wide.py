"""Inference of wide tables: a column for each of many machines, or for each period."""

import re
from pathlib import Path
from typing import Any

import polars as pl

from almanac.data.dates import ISO
from almanac.data.infer_time import is_time
from almanac.data.notations import notation_of
from almanac.data.read import reshape
from almanac.data.shapes.melt import Melt

#: Fewest columns of one form that are melted.
_FEWEST = 8
_NUMBERED = re.compile(r"^(?P<stem>.*?[^\d])(?P<number>\d+)$")


def periods_melted(raw: pl.DataFrame) -> Melt | None:
    """Return the step from a column for each period, such as 2016-01 or 1960, to a row for each; None without them."""
    for start, name in enumerate(raw.columns[: raw.width - _FEWEST + 1]):
        if not name[:1].strip():
            continue
        names = pl.Series("period", raw.columns[start:])
        if names.str.contains(ISO).all() or notation_of(names) is not None:
            keep = raw.columns[:start]
            return Melt(step="melt", keep=keep, name=_new("period", keep), value=_new("value", keep))
    return None


def _new(name: str, taken: list[str]) -> str:
    return name if name not in taken else f"{name}_2"


def melted(raw: pl.DataFrame, time: str, path: Path) -> tuple[list[Any], pl.DataFrame] | None:
    """Return the step from a column for each machine to a row for each, and the table after it; None if it has none.

    Args:
        raw: The table as read.
        time: Its time column.
        path: Path of the table, for errors.
    """
    stems: dict[str, list[str]] = {}
    for column in raw.drop(time):
        if (match := _NUMBERED.match(column.name)) and not is_time(column):
            stems.setdefault(match["stem"], []).append(column.name)
    stem, wide = max(stems.items(), key=lambda item: len(item[1]), default=("", []))
    # Other columns would be repeated for each machine, and may be anything.
    if len(wide) < _FEWEST or len(wide) < raw.width - 1 or raw[time].is_duplicated().any():
        return None
    name = re.sub(r"[^a-z0-9]+", "_", stem.lower()).strip("_") or "name"
    value = "value" if name != "value" else "number"
    step = Melt(step="melt", keep=[time], columns=f"{re.escape(stem)}\\d+", name=name, value=value)
    return [step], reshape(raw, [step], str(path))

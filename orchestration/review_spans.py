"""Review of the spans of a table: the classes, changes and lengths that its use case needs there."""

from collections.abc import Iterator
from datetime import timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

from almanac.usecase import UseCase
from almanac.usecase.types import to_timedelta

Rows = npt.NDArray[np.bool_]


def target_faults(usecase: UseCase, table: pl.DataFrame, spans: dict[str, Rows]) -> Iterator[str]:
    """Yield the faults of targets that are constant, or of one class, in a span, which nothing can be learned from.

    Args:
        usecase: The use case.
        table: Its table.
        spans: Rows of the training span and of the test span, by name.
    """
    for target in usecase.targets:
        for span, rows in spans.items():
            values = table[target.column].filter(pl.Series(rows)).drop_nulls()
            ends = f"{values.min()!r} to {values.max()!r}"
            if values.is_empty():
                yield f"targets.{target.name}: {target.column} has no value in the {span} span"
            elif target.above is not None and (values > target.above).n_unique() == 1:
                side = "above" if values[0] > target.above else "not above"
                yield (
                    f"targets.{target.name}.above: every {target.column} of the {span} span is {side} {target.above:g} "
                    f"(they go from {ends}); a classification needs both classes there"
                )
            elif values.n_unique() == 1:
                yield f"targets.{target.name}: {target.column} is {values[0]:g} in all of the {span} span"


def length_faults(usecase: UseCase, span: timedelta, look_back: timedelta) -> Iterator[str]:
    """Yield the features and windows of a use case that its table is too short for.

    Args:
        usecase: The use case.
        span: Length of the table.
        look_back: How far its features look back.
    """
    if look_back > span:
        yield (
            f"features: they look back {look_back.days} days, and the data have {span.days} days; the longest "
            "windows are missing in every row"
        )
    if to_timedelta(usecase.drift.window) > span:
        yield f"drift.window: {usecase.drift.window} is longer than the data, which have {span.days} days"

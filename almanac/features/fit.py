"""Fit of transforms on the training rows, stored as data in the specification."""

import math
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import polars as pl

from almanac.core.arrays import Array
from almanac.core.errors import FeatureError
from almanac.core.levels import OTHER, is_open
from almanac.features.classes import as_classes
from almanac.features.events.batch import with_histories
from almanac.features.kind import Declaration
from almanac.features.spec import FeatureSpec
from almanac.features.split import Span
from almanac.features.table import check_columns, numbers, times
from almanac.features.target import targets
from almanac.features.target_encoding import encodings
from almanac.usecase import UseCase
from almanac.usecase.column_section import Column


def fit(usecase: UseCase, table: pl.DataFrame | pl.LazyFrame, span: Span) -> FeatureSpec:
    """Return the specification with all that is learned, fitted on the rows of the training span.

    A category table holds the declared categories that occur there, in their declared order; any other is missing.
    Of a table that is still to be read one column at a time is in memory.

    Raises:
        FeatureError: the span has no rows, or a column is missing.
    """
    spec, lazy = FeatureSpec.of(usecase), table.lazy()
    if usecase.events is not None:
        lazy = with_histories(usecase, lazy.collect()).lazy()
    check_columns(spec, lazy.head(0).collect(), spec.columns)
    rows = span.rows(times(lazy.select(spec.time).collect(), spec.time))
    if not rows.any():
        raise FeatureError(f"split: no row of the {rows.size} lies in the training span; check the split's dates")

    def training(name: str) -> pl.DataFrame:
        return lazy.select(name).collect().filter(pl.Series(rows))

    categories = {name: _levels(training(name)[name], usecase.columns[name]) for name in spec.categories}
    squared = frozenset[str]().union(*(node.squared for node in spec.nodes))
    # Sums of squares alone need a centre, so that a variance takes no second pass.
    centres = {name: _centre(numbers(spec, training(name), name)) for name in spec.columns if name in squared}
    # Declarations learn from codes of the fitted categories, which are the codes that formulas get.
    fitted = FeatureSpec.of(usecase, categories, centres)
    items = cast(list[Declaration], usecase.features.items)
    values = {f"y_{name}": y[rows] for name, y in _truths(usecase, fitted, lazy).items()}

    def known(name: str) -> Array:
        return values[name] if name in values else numbers(fitted, training(name), name)

    learned = [item.learn(known) for item in items]
    return fitted if all(one is None for one in learned) else FeatureSpec.of(usecase, categories, centres, learned)


def _truths(usecase: UseCase, spec: FeatureSpec, table: pl.LazyFrame) -> dict[str, Array]:
    """Return the values of the targets that features are learned from, of all rows."""
    names = {one.target for one in encodings(usecase.features.items)}
    if not names:
        return {}
    ahead = targets(usecase, spec, table.collect())
    asked = [target for target in usecase.targets if target.name in names]
    return {target.name: as_classes(ahead[f"y_{target.name}"].to_numpy(), target.above) for target in asked}


def document(spec: FeatureSpec, features: pl.LazyFrame, rows: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """Return features.json: the specification, the ordered names, and all that was fitted on the training rows.

    `means` and `scales` are what a linear model fills a missing feature with and divides by (1 for a constant).

    Args:
        spec: fitted specification.
        features: the feature table.
        rows: which of its rows are training rows, shape (n,).
    """
    means, scales = {}, {}
    for name in spec.names:
        means[name], scales[name] = _moments(features.select(name).collect()[name].to_numpy()[rows])
    fitted = {"categories": spec.categories, "centres": spec.centres, "means": means, "scales": scales}
    return {"spec": spec.model_dump(mode="json"), "names": spec.names, "fitted": fitted}


def _levels(values: pl.Series, column: Column) -> list[str]:
    """Return the levels of a category that occur in the training rows, with the bucket of an open one."""
    texts = values.cast(pl.String)
    if column.categories is None:
        return _learned(texts, column.max_levels)
    declared = column.categories
    # The bucket is not left out, even where no training row is in it.
    present = {*texts.unique().to_list(), *([OTHER] if is_open(declared) else [])}
    # In the declared order and not that of the rows, on which the codes would otherwise depend.
    return [category for category in declared if category in present]


def _learned(texts: pl.Series, most: int | None) -> list[str]:
    counts = texts.drop_nulls().rename("level").value_counts(name="rows")
    # Of equally frequent levels those first by name, so that the order of the rows decides nothing.
    kept = counts.sort("rows", "level", descending=[True, False]).head(most or counts.height)["level"]
    return [*sorted(level for level in kept if level != OTHER), OTHER]


def _centre(values: Array) -> float:
    """Return about the mean, in so few bits that deviations of decimal readings stay exact."""
    mean, scale = _moments(values)
    # A power of two near the spread: deviations of readings with few decimals lose no bit.
    quantum = 2.0 ** math.floor(math.log2(scale))
    return round(mean / quantum) * quantum


def _moments(values: Array) -> tuple[float, float]:
    present = values[np.isfinite(values)]
    if not present.size:
        return 0.0, 1.0
    scale = float(present.std())
    return float(present.mean()), scale if scale > 0 else 1.0

"""References of events: declared baselines, and the prices of stakes and signals."""

import polars as pl

from almanac.core.errors import FeatureError
from almanac.features.baselines import declared_column, price_column
from almanac.usecase import UseCase
from almanac.usecase.training_section import Target


def reference_columns(target: Target) -> dict[str, str]:
    """Return the columns of the feature table that a target's baselines, stakes and signals need, with their source."""
    columns = {declared_column(target, name): source for name, source in target.baselines.items()}
    for name, prices in (target.stakes.prices if target.stakes is not None else {}).items():
        columns[price_column(target, f"{name}_yes")] = prices.outcome
        columns[price_column(target, f"{name}_no")] = prices.opposite
    if target.signals is not None:
        columns[price_column(target, "asked")] = target.signals.price
    return columns


def price_names(target: Target) -> list[str]:
    """Return the names of a target's prices: both sides of each pair of stakes, and the price asked."""
    pairs = target.stakes.prices if target.stakes is not None else {}
    asked = ["asked"] if target.signals is not None else []
    return [*(f"{name}_{side}" for name in pairs for side in ("yes", "no")), *asked]


def references(usecase: UseCase, table: pl.DataFrame, features: pl.DataFrame) -> pl.DataFrame:
    """Return these columns for all targets, NaN where missing.

    Raises:
        FeatureError: one is neither a feature nor a numeric column that is known before the event.
    """
    columns = {}
    outcomes = usecase.events.outcomes if usecase.events is not None else []
    for target in usecase.targets:
        for name, source in reference_columns(target).items():
            frame = features if source in features.columns else table
            if source not in frame.columns or source in outcomes or not frame.schema[source].is_numeric():
                raise FeatureError(
                    f"targets.{target.name}: {source} is neither a feature nor a numeric column that is known before "
                    "the event"
                )
            columns[name] = frame[source].cast(pl.Float64).fill_null(float("nan"))
    return pl.DataFrame(columns)

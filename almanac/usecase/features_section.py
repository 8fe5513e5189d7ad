"""The features section; the declarations of its items come from the registered feature kinds.

A row at time t holds what is known at t, that is data up to t minus the cutoff; every lag, window and difference counts
back from that newest known row. The target is the value at t plus the horizon.
"""

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from almanac.core.kinds import Kinds
from almanac.usecase.types import Duration, Name, Section, union_of

FEATURE_KINDS: Kinds[Any] = Kinds("feature kind", "almanac.features.kinds", "almanac.features")


class FeatureDeclaration(Section):
    """The fields that the declarations of all feature kinds have."""

    kind: str
    group: Name
    """Category of the feature, for reports."""


if TYPE_CHECKING:
    Feature = FeatureDeclaration
else:
    Feature = union_of(FEATURE_KINDS)


class Impute(Section):
    """Causal imputation: the last value is carried forward, at most so far."""

    limit: Duration = "0h"
    """How far; 0h imputes nothing."""
    columns: list[Name] | None = None
    """Columns; all input columns when absent. Targets are never imputed."""


class Features(Section):
    """The features, computed alike in training and at request time."""

    cutoff: Duration = "0h"
    """How long before the prediction time data must have been seen."""
    impute: Impute = Impute()
    """Imputation before the features."""
    items: Annotated[list[Feature], Field(min_length=1)]
    """The features, in order."""

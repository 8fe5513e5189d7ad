"""Checks that features and residuals name targets, columns and features of the use case."""

from collections.abc import Collection, Sequence
from typing import cast

from almanac.core.errors import FeatureError
from almanac.features.events.kind import EventDeclaration
from almanac.features.kind import Declaration
from almanac.usecase import UseCase
from almanac.usecase.events_section import Events
from almanac.usecase.features_section import Feature


def check_targets(usecase: UseCase) -> None:
    """Refuse features learned from an unknown target, or in a use case whose engine cannot learn them.

    Raises:
        FeatureError: the item and the field are named.
    """
    known = [target.name for target in usecase.targets]
    for index, item in enumerate(cast(Sequence[Declaration], usecase.features.items)):
        for feature in item.learned_from_targets():
            field = f"features.items.{index}"
            if feature.target not in known:
                raise FeatureError(f"{field}.target: no target named {feature.target}; known: {', '.join(known)}")
            if usecase.training.engine == "dask":
                raise FeatureError(
                    f"{field}.encoding: {feature.feature} is learned from a target, whose rows the engine dask does "
                    "not have in one place; write frequency or hash, or training.engine: local"
                )


def check_outcomes(items: Sequence[Feature], events: Events, states: Sequence[str], columns: Collection[str]) -> None:
    """Refuse histories of unknown columns, which would be missing in every event, and residuals of unknown features.

    Raises:
        FeatureError: the declaration, and what is known.
    """
    known = [*columns, *events.sides, *events.residuals]
    for index, item in enumerate(items):
        asked = item.asked(events).columns if isinstance(item, EventDeclaration) else ()
        if unknown := [name for name in asked if name not in known]:
            raise FeatureError(
                f"features.items.{index} ({item.kind}): no column named {unknown[0]}; known: {', '.join(sorted(known))}"
            )
    for name, residual in events.residuals.items():
        if residual.feature not in states:
            raise FeatureError(
                f"events.residuals.{name}.feature: no kind of events gives {residual.feature}; "
                f"known: {', '.join(states)}"
            )

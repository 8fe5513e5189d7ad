"""The features of each use case, with a store of its own."""

from collections.abc import Callable, Iterable
from typing import Protocol

from almanac.model.bundle import Bundle
from serving.features.feature_requests import Features


class Versions(Protocol):
    """The versions of a use case in service; see `serving.prediction.traffic`."""

    @property
    def bundles(self) -> list[Bundle]:
        """All of them."""
        ...


class FeatureSets:
    """Features by use case; those of a use case are made when they are first asked for.

    Args:
        make: returns the features of a use case.
    """

    def __init__(self, make: Callable[[str], Features]) -> None:
        self._make = make
        self._features: dict[str, Features] = {}

    def of(self, use_case: str) -> Features:
        """Return the features of a use case."""
        # A look-up first: this is on the path of every entity request.
        found = self._features.get(use_case)
        return found if found is not None else self._features.setdefault(use_case, self._make(use_case))

    def check(self, bundle: Bundle) -> None:
        """Check that a version which is to take over can read the store of its use case; raises as `Features.check`."""
        self.of(bundle.use_case).check(bundle)

    def follow(self, use_case: str, traffic: Versions | None) -> None:
        """Forget the plans of versions of a use case that are no longer served."""
        found = self._features.get(use_case)
        if found is not None:
            found.keep([] if traffic is None else traffic.bundles)

    async def update_freshness(self, bundles: Iterable[Bundle]) -> None:
        """Update the metrics of the data's age."""
        for bundle in bundles:
            await self.of(bundle.use_case).update_freshness(bundle)

    async def close(self) -> None:
        """Close the stores that were opened."""
        for features in self._features.values():
            await features.close()

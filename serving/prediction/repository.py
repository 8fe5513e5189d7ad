"""The served models by name, their versions, and the traffic between two of them."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from almanac.model.bundle import Bundle
from serving.runtime.errors import not_ready, unknown_model

Role = Literal["split", "shadow"]


@dataclass(frozen=True)
class Traffic:
    """The versions in service.

    Attributes:
        primary: the version that answers.
        second: a second version, or None.
        role: split: it answers its share of the requests; shadow: it predicts too, but its answer is only measured.
        share: share of the requests that the second version gets, 0 to 1.
    """

    primary: Bundle
    second: Bundle | None = None
    role: Role = "split"
    share: float = 0.0


Watcher = Callable[[Traffic], None]
Check = Callable[[Bundle], None]


class Repository:
    """Models by name.

    A use case has one model for each target, named by the target, and one named by the use case that answers for all
    targets. A request keeps the bundle that it began with, so that a swap does not affect running requests.

    Args:
        traffic: the versions in service.
        load: loads the newest version.
        alias: a second name for the use case's model, such as that of its InferenceService.
    """

    def __init__(self, traffic: Traffic, load: Callable[[], Bundle], alias: str | None = None) -> None:
        self._traffic = traffic
        self._load = load
        self._alias = alias or None
        self.unloaded: set[str] = set()
        self._watchers: list[Watcher] = []
        self._checks: list[Check] = []

    @property
    def traffic(self) -> Traffic:
        """The versions in service."""
        return self._traffic

    @property
    def names(self) -> list[str]:
        """Names of all models, loaded or not."""
        bundle = self._traffic.primary
        return list(dict.fromkeys([*bundle.targets, bundle.use_case, *filter(None, [self._alias])]))

    def watch(self, watcher: Watcher) -> None:
        """Call `watcher` now, and whenever the traffic changes."""
        self._watchers.append(watcher)
        watcher(self._traffic)

    def admit(self, check: Check) -> None:
        """Call `check` for each version before it takes over; an exception rejects the version."""
        self._checks.append(check)

    def newest(self) -> Bundle:
        """Load the newest version from the source, for `swap`; from any thread.

        Raises:
            AlmanacError: it cannot be loaded, or cannot take over.
        """
        bundle = self._load()
        for check in self._checks:
            check(bundle)
        return bundle

    def set_traffic(self, traffic: Traffic) -> None:
        """Change the versions in service; running requests end with theirs."""
        self._traffic = traffic
        for watcher in self._watchers:
            watcher(traffic)

    def swap(self, bundle: Bundle) -> None:
        """Make `bundle` the primary version."""
        self.set_traffic(replace(self._traffic, primary=bundle))

    def is_ready(self, name: str) -> bool:
        """Return whether the model of this name is loaded.

        Raises:
            HTTPError: no model has this name.
        """
        self.check_name(name)
        return name not in self.unloaded

    def any_ready(self) -> bool:
        """Return whether at least one model is loaded."""
        return any(name not in self.unloaded for name in self.names)

    def bundle(self, name: str, version: str | None = None) -> Bundle:
        """Return the bundle that answers the next request for the model of this name.

        Args:
            name: name of a target, or of the use case.
            version: a certain version; None to follow the traffic.

        Raises:
            HTTPError: the name or version is unknown, or the model is unloaded.
        """
        self.check_name(name)
        if name in self.unloaded:
            raise not_ready(name)
        traffic = self._traffic
        if version is not None:
            return self._version(name, version)
        # Read once: a swap in another task may change the traffic between two reads.
        if traffic.second is not None and traffic.role == "split" and self._drawn(traffic.second, name):
            return traffic.second
        return traffic.primary

    def shadow(self, name: str) -> Bundle | None:
        """Return the shadow version if it gets the next request."""
        second = self._traffic.second
        return second if second is not None and self._traffic.role == "shadow" and self._drawn(second, name) else None

    def _drawn(self, second: Bundle, name: str) -> bool:
        return random.random() < self._traffic.share and self._answers(second, name)  # noqa: S311

    async def load(self, name: str) -> None:
        """Load the newest version from the source, swap to it, and enable the model of this name.

        Raises:
            HTTPError: no model has this name.
            AlmanacError: as `newest`.
        """
        self.check_name(name)
        # In a thread: loading takes up to seconds, and the running version answers meanwhile.
        bundle = await asyncio.get_running_loop().run_in_executor(None, self.newest)
        if bundle.digest != self._traffic.primary.digest:
            self.swap(bundle)
        self.unloaded.discard(name)

    def unload(self, name: str) -> None:
        """Disable the model of this name."""
        self.check_name(name)
        self.unloaded.add(name)

    def check_name(self, name: str) -> None:
        """Raise an HTTPError (404) unless a model has this name."""
        if not self._answers(self._traffic.primary, name):
            raise unknown_model(name, self.names)

    def _version(self, name: str, version: str) -> Bundle:
        traffic = self._traffic
        for bundle in (traffic.primary, traffic.second):
            if bundle is not None and bundle.version == version and self._answers(bundle, name):
                return bundle
        raise unknown_model(f"{name} version {version}", self.names)

    def _answers(self, bundle: Bundle, name: str) -> bool:
        return name in bundle.targets or name == bundle.use_case or name == self._alias

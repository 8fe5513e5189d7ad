"""The served models by name, their versions, and how traffic is divided between two of them."""

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
    """Which versions answer.

    Attributes:
        primary: the version that answers.
        second: a further version, or None.
        role: split: it answers its share; shadow: it computes beside the primary and its answer is only measured.
        share: share of the requests that the second version sees, 0 to 1.
    """

    primary: Bundle
    second: Bundle | None = None
    role: Role = "split"
    share: float = 0.0


Watcher = Callable[[Traffic], None]
Check = Callable[[Bundle], None]


class Repository:
    """Names to models.

    A use case with several targets has one model a target, named by the target, and one named by the use case that
    answers for all targets. A request keeps the bundle that it began with, so that a swap touches no request.

    Args:
        traffic: the versions that answer.
        load: loads the newest version.
        further: a further name for the model of the use case, such as that of its InferenceService.
    """

    def __init__(self, traffic: Traffic, load: Callable[[], Bundle], further: str | None = None) -> None:
        self._traffic = traffic
        self._load = load
        self._further = further or None
        self.unloaded: set[str] = set()
        self._watchers: list[Watcher] = []
        self._checks: list[Check] = []

    @property
    def traffic(self) -> Traffic:
        """The versions that answer now."""
        return self._traffic

    @property
    def names(self) -> list[str]:
        """Names of all models, loaded or not."""
        bundle = self._traffic.primary
        return list(dict.fromkeys([*bundle.targets, bundle.use_case, *filter(None, [self._further])]))

    def watch(self, watcher: Watcher) -> None:
        """Call `watcher` now, and whenever the traffic changes."""
        self._watchers.append(watcher)
        watcher(self._traffic)

    def admit(self, check: Check) -> None:
        """Call `check` with each version that is to take over; what it raises keeps that one out."""
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
        """Put other versions to work; requests that have begun end with theirs."""
        self._traffic = traffic
        for watcher in self._watchers:
            watcher(traffic)

    def swap(self, bundle: Bundle) -> None:
        """Make `bundle` the primary version."""
        self.set_traffic(replace(self._traffic, primary=bundle))

    def is_ready(self, name: str) -> bool:
        """Tell whether the model of this name answers.

        Raises:
            HTTPError: no model has this name.
        """
        self.check_name(name)
        return name not in self.unloaded

    def any_ready(self) -> bool:
        """Tell whether at least one model answers."""
        return any(name not in self.unloaded for name in self.names)

    def bundle(self, name: str, version: str | None = None) -> Bundle:
        """Return the bundle that answers the next request for the model of this name.

        Args:
            name: name of a target, or of the use case.
            version: a certain version; the traffic decides when None.

        Raises:
            HTTPError: the name or version is unknown, or the model is unloaded.
        """
        self.check_name(name)
        if name in self.unloaded:
            raise not_ready(name)
        traffic = self._traffic
        if version is not None:
            return self._version(name, version)
        if traffic.second is not None and traffic.role == "split" and random.random() < traffic.share:  # noqa: S311
            return traffic.second if self._answers(traffic.second, name) else traffic.primary
        return traffic.primary

    def shadow(self, name: str) -> Bundle | None:
        """Return the bundle that computes the next request beside the primary one, if any."""
        traffic = self._traffic
        if traffic.second is None or traffic.role != "shadow" or random.random() >= traffic.share:  # noqa: S311
            return None
        return traffic.second if self._answers(traffic.second, name) else None

    async def load(self, name: str) -> None:
        """Load the newest version from the source beside the running one, and let the model of this name answer.

        Raises:
            HTTPError: no model has this name.
            AlmanacError: as `newest` does.
        """
        self.check_name(name)
        bundle = await asyncio.get_running_loop().run_in_executor(None, self.newest)
        if bundle.digest != self._traffic.primary.digest:
            self.swap(bundle)
        self.unloaded.discard(name)

    def unload(self, name: str) -> None:
        """Let the model of this name answer no more."""
        self.check_name(name)
        self.unloaded.add(name)

    def check_name(self, name: str) -> None:
        """Raise a HTTPError (404) unless a model has this name."""
        if not self._answers(self._traffic.primary, name):
            raise unknown_model(name, self.names)

    def _version(self, name: str, version: str) -> Bundle:
        traffic = self._traffic
        for bundle in (traffic.primary, traffic.second):
            if bundle is not None and bundle.version == version and self._answers(bundle, name):
                return bundle
        raise unknown_model(f"{name} version {version}", self.names)

    def _answers(self, bundle: Bundle, name: str) -> bool:
        return name in bundle.targets or name == bundle.use_case or name == self._further

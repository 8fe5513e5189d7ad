"""One served use case: where its model comes from, its versions in service, and the names that it answers to."""

import itertools
import random
from dataclasses import replace
from pathlib import Path, PurePath

from almanac.core.files import read_json
from almanac.model.bundle import Bundle
from almanac.model.directory import MANIFEST
from serving.prediction.source import Source
from serving.prediction.traffic import Traffic
from serving.runtime.errors import not_ready, unknown_model

#: Bytes of memory for each byte of a model's files: the files themselves, LightGBM's trees and the compiled ones. The
#: reference model takes 2.6.
_FACTOR = 3
#: Orders the requests of all use cases in time; cheaper than a clock, and never the same twice.
_TICKS = itertools.count(1)


class ServedUseCase:
    """The models of one use case: one for each target, and one named by the use case that answers for all of them.

    A request keeps the bundle that it began with, so that a swap does not affect running requests.

    Args:
        source: where its model comes from.
        traffic: the versions in service; None until it is loaded.
        alias: a second name for the use case's model, such as that of its InferenceService.
        pinned: whether it stays in memory when others need room.

    Attributes:
        name: name of the use case; until the first load what its address says.
        reason: why it is not loaded, "" while it is.
        public_reason: the same as anybody may read it.
        unloaded: names that were unloaded.
        used: when it was last asked for, as a running number.
        order: number of the last order to load or unload one of its names.
    """

    def __init__(
        self, source: Source, traffic: Traffic | None = None, alias: str | None = None, pinned: bool = False
    ) -> None:
        self.source = source
        self.pinned = pinned
        self.reason = self.public_reason = "" if traffic else "it is not loaded yet"
        self.unloaded: set[str] = set()
        self.used = self.order = 0
        self.version = ""
        self._alias = alias or None
        self._names: tuple[str, ...] = ()
        self._traffic: Traffic | None = None
        self._labels = _labels(source.address)
        self.name = self._labels[0]
        if traffic is not None:
            self.traffic = traffic

    @property
    def traffic(self) -> Traffic | None:
        """The versions in service, None while it is not loaded."""
        return self._traffic

    @traffic.setter
    def traffic(self, traffic: Traffic | None) -> None:
        self._traffic = traffic
        # The names and the version of an unloaded model are still known.
        if traffic is not None:
            bundle = traffic.primary
            self.name, self.version = bundle.use_case, bundle.version
            self.reason = self.public_reason = ""
            self._names = tuple(dict.fromkeys([*bundle.targets, bundle.use_case, *filter(None, [self._alias])]))
            self.used = next(_TICKS)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of its models, loaded or not."""
        return self._names or tuple(dict.fromkeys([*self._labels, *filter(None, [self._alias])]))

    @property
    def memory(self) -> int:
        """Bytes that its versions take, about; 0 while it is not loaded."""
        return 0 if self._traffic is None else sum(memory_of(bundle) for bundle in self._traffic.bundles)

    def fail(self, error: Exception) -> None:
        """Keep why it could not be loaded."""
        # Probes are public, and an error may name paths.
        self.reason, self.public_reason = str(error), "it could not be loaded, and the repository's index says why"

    def is_whole(self, name: str) -> bool:
        """Return whether the name is that of all its targets together."""
        return name in (self.name, self._alias)

    def is_ready(self, name: str) -> bool:
        """Return whether the model of this name is loaded."""
        return self._traffic is not None and name not in self.unloaded

    def bundle(self, name: str, version: str | None = None) -> Bundle:
        """Return the bundle that answers the next request for the model of this name.

        Args:
            name: one of its names.
            version: a certain version; None to follow the traffic.

        Raises:
            HTTPError: the version is unknown, or the model is unloaded.
        """
        # Read once: a swap in another task may change the traffic between two reads.
        traffic = self._traffic
        if traffic is None or name in self.unloaded:
            raise not_ready(name, self.public_reason)
        self.used = next(_TICKS)
        if version is not None:
            return self._version(traffic, name, version)
        second = traffic.second
        if second is not None and traffic.role == "split" and self._drawn(traffic, second, name):
            return second
        return traffic.primary

    def versions(self, name: str) -> list[str]:
        """Return the versions that answer for the model of this name, the primary one first."""
        bundles = self._traffic.bundles if self._traffic else []
        return list(dict.fromkeys(bundle.version for bundle in bundles if self._answers(bundle, name)))

    def shadow(self, name: str) -> Bundle | None:
        """Return the shadow version if it gets the next request."""
        traffic = self._traffic
        if traffic is None or traffic.second is None or traffic.role != "shadow":
            return None
        return traffic.second if self._drawn(traffic, traffic.second, name) else None

    def swapped(self, bundle: Bundle) -> Traffic:
        """Return the traffic with `bundle` as the primary version."""
        if self._traffic is None:
            return Traffic(bundle)
        return replace(self._traffic, primary=bundle)

    def _drawn(self, traffic: Traffic, second: Bundle, name: str) -> bool:
        return random.random() < traffic.share and self._answers(second, name)  # noqa: S311

    def _version(self, traffic: Traffic, name: str, version: str) -> Bundle:
        for bundle in traffic.bundles:
            if bundle.version == version and self._answers(bundle, name):
                return bundle
        raise unknown_model(f"{name} version {version}", list(self.names))

    def _answers(self, bundle: Bundle, name: str) -> bool:
        return name in bundle.targets or name == bundle.use_case or name == self._alias


def memory_of(bundle: Bundle) -> int:
    """Return the bytes that a loaded bundle takes, about."""
    # An estimate from the files and no measurement: which model is put out must not depend on the allocator.
    return _FACTOR * sum(len(data) for model in bundle.targets.values() for data in model.directory.files.values())


def _labels(address: str) -> list[str]:
    """Return the names of a use case that was never loaded: by its manifest, unverified, and by its address."""
    if address.startswith("registry:"):
        return [address.removeprefix("registry:").partition("/")[0]]
    name = PurePath(address.rstrip("/")).name or address
    folder = Path(address.removeprefix("file://"))
    for path in (folder / MANIFEST, folder / "model" / MANIFEST):
        try:
            return list(dict.fromkeys([str(read_json(path)["use_case"]), name]))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return [name]

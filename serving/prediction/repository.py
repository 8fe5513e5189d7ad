"""The model repository: the use cases that a server has, by model name, within a budget of memory."""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from http import HTTPStatus

from almanac.core.errors import AlmanacError, ServingError
from almanac.model.bundle import Bundle
from serving.prediction.traffic import Check, Traffic, Watcher
from serving.prediction.use_case import ServedUseCase, memory_of
from serving.runtime.errors import HTTPError, not_ready, unknown_model

EVICTED = "it was put out for another model; load it again"
UNLOADED = "it was unloaded"
_LOG = logging.getLogger("almanac.serving")


class Repository:
    """Models by name.

    A server with one model and no budget keeps an unloaded model in memory and only refuses requests for it; others
    free the memory of a use case once its own name, or each of its names, is unloaded.

    Args:
        use_cases: at least one, in the order in which they are loaded.
        budget: bytes that their models may take together; None without a bound.

    Attributes:
        use_cases: the use cases.
        has_shadow: whether a shadow version sees the answers of any of them.
    """

    def __init__(self, use_cases: Sequence[ServedUseCase], budget: int | None = None) -> None:
        self.use_cases = tuple(use_cases)
        self._budget = budget
        self._frees = len(use_cases) > 1 or budget is not None
        self._by_name: dict[str, ServedUseCase] = {}
        self._watchers: list[Watcher] = []
        self._checks: list[Check] = []
        self._loading = asyncio.Lock()
        self._orders = 0
        self.has_shadow = False
        self._index()

    @property
    def traffic(self) -> Traffic:
        """The versions in service of the first use case that is loaded.

        Raises:
            ServingError: none is loaded.
        """
        for use_case in self.use_cases:
            if use_case.traffic is not None:
                return use_case.traffic
        raise ServingError("no model is loaded")

    @property
    def bundles(self) -> list[Bundle]:
        """The primary version of each use case that is loaded."""
        return [one.traffic.primary for one in self.use_cases if one.traffic is not None]

    @property
    def names(self) -> list[str]:
        """Names of all models, loaded or not."""
        return list(self._by_name)

    @property
    def unloaded(self) -> set[str]:
        """Names that were unloaded."""
        return {name for use_case in self.use_cases for name in use_case.unloaded}

    @unloaded.setter
    def unloaded(self, names: Iterable[str]) -> None:
        wanted = set(names)
        for use_case in self.use_cases:
            use_case.unloaded = wanted & set(use_case.names)

    @property
    def use_case_names(self) -> dict[str, str]:
        """The use case of each model."""
        return {name: one.name for name, one in self._by_name.items()}

    def open(self) -> None:
        """Load every use case, the pinned ones first; one that cannot be loaded does not keep the others from it.

        Raises:
            AlmanacError: none of the models can be loaded.
        """
        for use_case in sorted(self.use_cases, key=lambda one: not one.pinned):
            if use_case.traffic is not None:
                continue
            try:
                bundle = self.newest(use_case)
                self._check_room(use_case, bundle)
                self.set_traffic(use_case, use_case.swapped(bundle))
            except AlmanacError as error:
                if len(self.use_cases) == 1:
                    raise
                use_case.fail(error)
                _LOG.error("%s is not served: %s", use_case.name, error)
        if not self.bundles:
            raise ServingError("no model can be loaded: " + "; ".join(f"{u.name}: {u.reason}" for u in self.use_cases))

    def watch(self, watcher: Watcher) -> None:
        """Call `watcher` now, and whenever the traffic of a use case changes."""
        self._watchers.append(watcher)
        for use_case in self.use_cases:
            watcher(use_case.name, use_case.traffic)

    def admit(self, check: Check) -> None:
        """Call `check` for each version before it takes over; an exception rejects the version."""
        self._checks.append(check)

    def use_case(self, name: str) -> ServedUseCase:
        """Return the use case whose model has this name.

        Raises:
            HTTPError: no model has it (404).
        """
        found = self._by_name.get(name)
        if found is None:
            raise unknown_model(name, self.names)
        return found

    def find(self, name: str) -> ServedUseCase | None:
        """Return the use case whose model has this name, or None."""
        return self._by_name.get(name)

    def newest(self, use_case: ServedUseCase) -> Bundle:
        """Load the newest version from the source, for `swap`; from any thread.

        Raises:
            AlmanacError: it cannot be loaded, or cannot take over.
        """
        bundle = use_case.source.load()
        for one in [bundle.use_case, *bundle.targets]:
            other = self._by_name.get(one)
            if other is not None and other is not use_case and other.traffic is not None:
                raise ServingError(f"{bundle.use_case}: {other.name} has a model {one} as well, and names are unique")
        for check in self._checks:
            check(bundle)
        return bundle

    def set_traffic(self, use_case: ServedUseCase, traffic: Traffic | None) -> None:
        """Change the versions of a use case in service; running requests end with theirs."""
        use_case.traffic = traffic
        self.has_shadow = any(
            one.traffic and one.traffic.second and one.traffic.role == "shadow" for one in self.use_cases
        )
        self._index()
        for watcher in self._watchers:
            watcher(use_case.name, traffic)

    def swap(self, bundle: Bundle, use_case: ServedUseCase | None = None) -> None:
        """Make `bundle` the primary version of a use case, by default of that which it names.

        Raises:
            ServingError: there is no room for it.
        """
        use_case = use_case or self._by_name.get(bundle.use_case) or self.use_cases[0]
        self._make_room(use_case, bundle)
        self.set_traffic(use_case, use_case.swapped(bundle))

    def is_ready(self, name: str) -> bool:
        """Return whether the model of this name is loaded.

        Raises:
            HTTPError: no model has this name.
        """
        return self.use_case(name).is_ready(name)

    def check_ready(self, name: str) -> None:
        """Raise an HTTPError unless the model of this name exists (404) and is loaded (503)."""
        use_case = self.use_case(name)
        if not use_case.is_ready(name):
            raise not_ready(name, use_case.public_reason)

    def any_ready(self) -> bool:
        """Return whether at least one model is loaded."""
        return any(one.is_ready(name) for one in self.use_cases for name in one.names)

    def bundle(self, name: str, version: str | None = None) -> Bundle:
        """Return the bundle that answers the next request for the model of this name.

        Args:
            name: name of a target, or of a use case.
            version: a certain version; None to follow the traffic.

        Raises:
            HTTPError: the name or version is unknown, or the model is unloaded.
        """
        found = self._by_name.get(name)
        if found is None:
            raise unknown_model(name, self.names)
        return found.bundle(name, version)

    def primary(self, name: str) -> Bundle:
        """Return the primary version of the use case whose model has this name, whether the name is unloaded or not.

        Raises:
            HTTPError: no model has this name (404), or the use case is not loaded (503).
        """
        use_case = self.use_case(name)
        if use_case.traffic is None:
            raise not_ready(name, use_case.public_reason)
        return use_case.traffic.primary

    def shadow(self, name: str) -> Bundle | None:
        """Return the shadow version if it gets the next request."""
        return self._by_name[name].shadow(name)

    async def load(self, name: str) -> None:
        """Load the newest version from the source, swap to it, and enable the model of this name.

        Of several orders for a name the last one counts, also while an earlier one is still being carried out.

        Raises:
            HTTPError: no model has this name; there is no room for it (409).
            AlmanacError: as `newest`.
        """
        use_case = self.use_case(name)
        self._orders += 1
        order = use_case.order = self._orders
        # One at a time: two loads together could exceed the budget.
        async with self._loading:
            # In a thread: loading takes up to seconds, and the running version answers meanwhile.
            bundle = await asyncio.get_running_loop().run_in_executor(None, self.newest, use_case)
            if use_case.order != order:
                return
            if use_case.traffic is None or bundle.digest != use_case.traffic.primary.digest:
                try:
                    self._make_room(use_case, bundle)
                except ServingError as error:
                    raise HTTPError(HTTPStatus.CONFLICT, str(error)) from error
                self.set_traffic(use_case, use_case.swapped(bundle))
        use_case.unloaded -= set(use_case.names) if self._frees and use_case.is_whole(name) else {name}

    def unload(self, name: str) -> None:
        """Disable the model of this name; raises an HTTPError (404) if there is none."""
        use_case = self.use_case(name)
        self._orders += 1
        use_case.order = self._orders
        use_case.unloaded |= set(use_case.names) if self._frees and use_case.is_whole(name) else {name}
        if self._frees and use_case.unloaded >= set(use_case.names):
            self.release(use_case, UNLOADED)

    def release(self, use_case: ServedUseCase, reason: str) -> None:
        """Free the memory of a use case; its names stay known."""
        if use_case.traffic is not None:
            use_case.reason = use_case.public_reason = reason
            self.set_traffic(use_case, None)

    def check_name(self, name: str) -> None:
        """Raise an HTTPError (404) unless a model has this name."""
        self.use_case(name)

    def _check_room(self, use_case: ServedUseCase, bundle: Bundle) -> None:
        """Check that a bundle fits within the budget together with the loaded ones."""
        needed = memory_of(bundle)
        taken = sum(one.memory for one in self.use_cases if one is not use_case)
        if self._budget is not None and taken + needed > self._budget:
            raise ServingError(_too_large(bundle.use_case, needed, self._budget, taken))

    def _make_room(self, use_case: ServedUseCase, bundle: Bundle) -> None:
        """Put the least recently used use cases out until a bundle fits; pinned ones stay."""
        if self._budget is None:
            return
        others = [one for one in self.use_cases if one is not use_case and one.traffic is not None]
        room = self._budget - memory_of(bundle)
        pinned = sum(one.memory for one in others if one.pinned)
        # Asked first: nothing is put out for a model that does not fit anyway.
        if pinned > room:
            raise ServingError(_too_large(bundle.use_case, memory_of(bundle), self._budget, pinned, "pinned "))
        taken = sum(one.memory for one in others)
        for one in sorted((one for one in others if not one.pinned), key=lambda one: one.used):
            if taken <= room:
                return
            taken -= one.memory
            _LOG.info("%s is put out: %s needs its memory", one.name, use_case.name)
            self.release(one, EVICTED)

    def _index(self) -> None:
        self._by_name = {}
        # A loaded one first: the name of one that never was is only what its address says.
        for use_case in sorted(self.use_cases, key=lambda one: one.traffic is None):
            for name in use_case.names:
                self._by_name.setdefault(name, use_case)


def _too_large(name: str, needed: int, budget: int, taken: int, kind: str = "") -> str:
    return (
        f"{name}: it takes about {_megabytes(needed)}, of --memory-budget {_megabytes(budget)} the other {kind}models "
        f"take {_megabytes(taken)}"
    )


def _megabytes(size: int) -> str:
    return f"{size / (1 << 20):.3g} MiB"

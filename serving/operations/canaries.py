"""Canaries of a running server: traffic, evidence, verdicts, metrics."""

import asyncio
import logging
import secrets
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from http import HTTPStatus
from typing import Any

from almanac.core.errors import AlmanacError, ServingError
from almanac.model.bundle import Bundle
from monitoring.metrics import Metrics
from serving.operations.canary_files import CanaryFiles, Order
from serving.operations.canary_metrics import CanaryMetrics
from serving.prediction.canary import Canary, CanaryBounds, State
from serving.prediction.repository import Repository
from serving.prediction.traffic import Traffic
from serving.prediction.use_case import ServedUseCase
from serving.runtime.errors import HTTPError, invalid
from serving.runtime.http import Observe, Reply, Request

LOOK_SECONDS = 0.5
_ACTIVE = ("running", "promote")
#: Before the first order.
_NONE = Order(0, "", "", "", "", 0.0, "ended", "", 0)
_PREDICTS = frozenset({"predict", "infer", "ModelInfer"})
_LOG = logging.getLogger("almanac.serving")


class Canaries:
    """The canary of each use case.

    Args:
        repository: the models.
        load: loads a version of a use case by its number or address.
        bounds: what new versions are allowed.
        metrics: the metrics.
        files: what several processes, or one after the other, know of the canaries; None for one without a memory.
        observers: those of the transport, among which it is while there is a canary.
    """

    def __init__(
        self,
        repository: Repository,
        load: Callable[[ServedUseCase, str], Bundle],
        bounds: CanaryBounds,
        metrics: Metrics,
        files: CanaryFiles | None,
        observers: list[Observe],
    ) -> None:
        self._repository = repository
        self._load = load
        self._bounds = bounds
        self._shown = CanaryMetrics(metrics)
        self._files = files
        self._orders: dict[str, Order] = {}
        self._versions: dict[str, str] = {}
        self._observers = observers
        self._canaries: dict[str, Canary] = {}

    def start(self, use_case: ServedUseCase, version: str, percent: float) -> None:
        """Load a version and give it a share of a use case's requests, before the server runs.

        Raises:
            AlmanacError: it cannot be loaded, or cannot be compared here.
        """
        self.begin_loaded(use_case, self._load(use_case, version), percent, version)

    async def begin(self, name: str, version: str, percent: float) -> dict[str, Any]:
        """Start a canary by order, and return its state."""
        use_case = self._repository.use_case(name)
        _check_percent(percent)
        try:
            new = await asyncio.get_running_loop().run_in_executor(None, self._load, use_case, version)
            self.begin_loaded(use_case, new, percent, version, anew=True)
        except HTTPError:
            raise
        except AlmanacError as error:
            raise HTTPError(HTTPStatus.CONFLICT, str(error)) from error
        return self._canaries[use_case.name].describe()

    def move(self, name: str, percent: float) -> dict[str, Any]:
        """Give the new version another share, and return its state."""
        _check_percent(percent)
        canary = self._running(name)
        self._set_share(canary, percent)
        self._put(canary)
        return canary.describe()

    def end(self, name: str) -> dict[str, Any]:
        """End a canary: the running version gets all requests. One that failed is taken note of."""
        canary = self._canaries.get(self._repository.use_case(name).name)
        if canary is None or canary.state != "failed":
            canary = self._running(name)
        self._finish(canary, "ended", "ended by order")
        self._put(canary)
        return canary.describe()

    def describe(self, name: str) -> dict[str, Any]:
        """Return the state and the evidence of a use case's newest canary; raises an HTTPError where there is none."""
        use_case = self._repository.use_case(name)
        canary = self._canaries.get(use_case.name)
        if canary is None:
            raise HTTPError(HTTPStatus.NOT_FOUND, f"{use_case.name} has no canary")
        self._look(canary)
        return canary.describe()

    def answered(self, request: Request, reply: Reply, protocol: str, seconds: float) -> None:
        """Take a request with its answer; an observer of the transport."""
        canary = self._canaries.get(request.use_case)
        # A request for a certain version was not drawn, so it says nothing about the others.
        if canary is None or request.verb not in _PREDICTS or request.version is not None:
            return
        if reply.status == HTTPStatus.OK or reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            canary.answered(request.answered_by, seconds, reply.status != HTTPStatus.OK)

    def observed(self, use_case: str, target: str, version: str, error: float) -> None:
        """Take the error of a prediction."""
        canary = self._canaries.get(use_case)
        if canary is not None:
            canary.observed(target, version, error)

    def follow(self, use_case: str, traffic: Traffic | None) -> None:
        """End a canary whose version was promoted, or whose running version is no longer the one that it began with."""
        canary = self._canaries.get(use_case)
        if canary is None or not canary.active or traffic is None:
            return
        if traffic.primary.digest == canary.new.digest and traffic.primary.version == canary.new.version:
            self._finish(canary, "promoted", "the registry promoted it")
            self._put(canary)
        elif traffic.primary is not canary.running:
            self._finish(canary, "ended", f"version {traffic.primary.version} took over meanwhile")
            self._put(canary)

    async def run(self) -> None:
        """Follow the orders of other processes, and look at every canary, again and again."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                if self._files is not None:
                    for use_case in self._repository.use_cases:
                        await self._follow_order(self._files, use_case)
                for canary in list(self._canaries.values()):
                    self._look(canary)
            except (AlmanacError, OSError) as error:  # the next round must still run
                _LOG.error("canaries were not looked at: %s", error)

    def resume(self) -> None:
        """Resume the canaries of an earlier process of this server, before the server runs.

        Raises:
            AlmanacError: a version cannot be loaded.
        """
        for use_case in self._repository.use_cases:
            order = self._files.order(use_case.name) if self._files is not None else None
            if (
                order is None
                or order.state not in _ACTIVE
                or use_case.name in self._canaries
                or use_case.traffic is None
            ):
                continue
            # The running version changed meanwhile: the evidence is about two others.
            if use_case.traffic.primary.digest == order.running:
                self.begin_loaded(use_case, self._load(use_case, order.version), order.percent, order.version)

    async def _follow_order(self, files: CanaryFiles, use_case: ServedUseCase) -> None:
        """Follow the newest order to another process."""
        order, known = files.order(use_case.name), self._orders.get(use_case.name)
        if order is None or (known is not None and order.number <= known.number) or use_case.traffic is None:
            return
        canary = self._canaries.get(use_case.name)
        if known is None or known.canary != order.canary:
            self._orders[use_case.name] = order
            if order.state in _ACTIVE and use_case.traffic.primary.digest == order.running:
                load = partial(self._load, use_case, order.version)
                new = await asyncio.get_running_loop().run_in_executor(None, load)
                self.begin_loaded(use_case, new, order.percent, order.version)
            return
        self._orders[use_case.name] = order
        if canary is None or not canary.active:
            return
        if order.state in _ACTIVE:
            self._set_share(canary, order.percent, order.began)
        else:
            self._finish(canary, order.state, order.reason)

    def _put(self, canary: Canary, known: Order | None = None) -> None:
        """Publish an order or a verdict of this process to the others, unless it came from them."""
        name = canary.new.use_case
        if self._files is None:
            return
        before = known or self._orders.get(name)
        identity = before.canary if before is not None and known is None else secrets.token_hex(6)
        order = Order(
            before.number + 1 if before is not None else 1, identity, self._versions.get(name, canary.new.version),
            canary.running.digest, canary.new.digest, canary.percent, canary.state, canary.reason, canary.began,
        )  # fmt: skip
        if self._files.put(name, order):
            self._orders[name] = order

    def _look(self, canary: Canary) -> None:
        if not canary.active:
            return
        if self._files is not None and (order := self._orders.get(canary.new.use_case)) is not None:
            self._files.write(canary.new.use_case, order.canary, canary.evidence())
            canary.elsewhere = self._files.elsewhere(canary.new.use_case, order.canary)
        before = canary.state
        if canary.judge() == "failed":
            self._finish(canary, "failed", canary.reason)
            self._put(canary)
        elif (percent := canary.due()) is not None:
            self._set_share(canary, percent)
            self._put(canary)
        if canary.state == "promote" and before != "promote":
            _LOG.info("promotion of version %s of %s is proposed", canary.new.version, canary.new.use_case)
        self._shown.publish(canary)

    def begin_loaded(
        self, use_case: ServedUseCase, new: Bundle, percent: float, version: str, anew: bool = False
    ) -> None:
        """Start the canary of a version that is loaded, or go on with it where another process began it.

        Args:
            use_case: the use case.
            new: the version.
            percent: its share of the requests.
            version: its number or address, as it was ordered.
            anew: whether what is known of the same two versions is forgotten.

        Raises:
            ServingError: it cannot be compared with what is running.
        """
        traffic = use_case.traffic
        if traffic is None:
            raise ServingError(f"{use_case.name} is not loaded; there is nothing to compare with")
        if new.use_case != use_case.name:
            raise ServingError(f"{new.use_case} is another use case than {use_case.name}")
        if (new.version, new.digest) == (traffic.primary.version, traffic.primary.digest):
            raise ServingError(f"version {new.version} is the one that is running")
        if (before := self._canaries.get(use_case.name)) is not None:
            self._shown.forget(before)
        canary = self._canaries[use_case.name] = Canary(traffic.primary, new, percent, self._bounds)
        self._versions[use_case.name] = version
        newest = self._files.order(use_case.name) if self._files is not None else None
        pair = (traffic.primary.digest, new.digest)
        if newest is not None and (newest.running, newest.new) == pair and not anew:
            self._orders[use_case.name] = newest
            canary.percent, canary.began = newest.percent, newest.began
            if newest.state not in _ACTIVE:
                # What was decided stays decided: a version that failed gets no requests by a restart.
                canary.end(newest.state, newest.reason)
                _LOG.warning("the canary %s of %s is %s: %s", new.version, new.use_case, newest.state, newest.reason)
                self._shown.publish(canary)
                return
        else:
            self._put(canary, newest or _NONE)
        # Without a canary no request pays for a call.
        if self.answered not in self._observers:
            self._observers.append(self.answered)
        self._repository.set_traffic(use_case, Traffic(traffic.primary, new, "split", canary.percent / 100))
        self._shown.publish(canary)

    def _running(self, name: str) -> Canary:
        use_case = self._repository.use_case(name)
        canary = self._canaries.get(use_case.name)
        if canary is None or not canary.active:
            raise HTTPError(HTTPStatus.CONFLICT, f"{use_case.name} has no running canary")
        return canary

    def _set_share(self, canary: Canary, percent: float, began: int | None = None) -> None:
        use_case = self._repository.use_case(canary.new.use_case)
        canary.move(percent)
        if began is not None:
            canary.began = began
        if use_case.traffic is not None:
            self._repository.set_traffic(use_case, replace(use_case.traffic, share=percent / 100))
        self._shown.publish(canary)

    def _finish(self, canary: Canary, state: State, reason: str) -> None:
        canary.end(state, reason)
        if self.answered in self._observers and not any(one.active for one in self._canaries.values()):
            self._observers.remove(self.answered)
        use_case = self._repository.find(canary.new.use_case)
        if use_case is not None and use_case.traffic is not None and use_case.traffic.second is canary.new:
            self._repository.set_traffic(use_case, Traffic(use_case.traffic.primary))
        _LOG.info("the canary %s of %s is %s: %s", canary.new.version, canary.new.use_case, state, reason)
        self._shown.publish(canary)


def _check_percent(percent: float) -> None:
    if isinstance(percent, bool) or not isinstance(percent, int | float) or not 0 < percent <= 100:
        raise invalid(f"percent {percent!r}: a number above 0, at most 100")

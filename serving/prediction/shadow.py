"""The shadow version: it predicts the same requests after they are answered, and is compared with the answers."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

import numpy as np

from almanac.core.errors import AlmanacError
from almanac.model.bundle import Bundle
from almanac.model.prediction import Predictions
from monitoring.metrics import SHADOW_DIFFERENCE, SHADOW_ERRORS, Metrics
from serving.features.records import Instances

Outcomes = dict[str, Predictions]
Compute = Callable[[Bundle, str, Instances], Awaitable[Outcomes]]

_LOG_SECONDS = 60.0
_PIECE = 128
_LOG = logging.getLogger("almanac.serving")


class Shadow:
    """Compares the predictions of a shadow version with the answers.

    Args:
        metrics: the metrics of differences and errors.
        compute: predicts instances by a version and a model name.
    """

    def __init__(self, metrics: Metrics, compute: Compute) -> None:
        self._metrics = metrics
        self._compute = compute
        self._tasks: set[asyncio.Task[None]] = set()
        self._next_log = 0.0

    def begin(self, shadow: Bundle, name: str, instances: Instances, bundle: Bundle, served: Outcomes) -> None:
        """Compare once the answer is sent.

        Args:
            shadow: the shadow version.
            name: name of the requested model.
            instances: the instances of the request.
            bundle: the version that answered.
            served: its predictions by target.
        """
        if not isinstance(instances, list) and shadow.columns_of(name).names != bundle.columns_of(name).names:
            return  # a matrix of other features cannot be predicted by the shadow
        # Not a task at once: the answer is written before the loop's next round.
        asyncio.get_running_loop().call_soon(self._start, shadow, name, instances, served)

    def _start(self, shadow: Bundle, name: str, instances: Instances, served: Outcomes) -> None:
        task = asyncio.ensure_future(self._run(shadow, name, instances, served))
        self._tasks.add(task)  # the event loop holds only a weak reference
        task.add_done_callback(self._tasks.discard)

    async def _run(self, shadow: Bundle, name: str, instances: Instances, served: Outcomes) -> None:
        errors = self._metrics.counter(SHADOW_ERRORS).labels(name, shadow.version)  # shown from the first request on
        try:
            await self._compare(shadow, await self._compute(shadow, name, instances), served)
        except Exception as error:  # the request was answered: an error of the shadow must not reach the client
            errors.inc()
            self._report(shadow, name, error)

    async def _compare(self, shadow: Bundle, outcomes: Outcomes, served: Outcomes) -> None:
        for target, predictions in outcomes.items():
            histogram = self._metrics.histogram(SHADOW_DIFFERENCE).labels(target, shadow.version)
            differences = np.abs(predictions.prediction - served[target].prediction).tolist()
            for at in range(0, len(differences), _PIECE):
                for difference in differences[at : at + _PIECE]:
                    histogram.observe(difference)
                await asyncio.sleep(0)

    def _report(self, shadow: Bundle, name: str, error: Exception) -> None:
        """Log an error, at most once a minute: it may occur at every request."""
        now = time.monotonic()
        if now < self._next_log:
            return
        self._next_log = now + _LOG_SECONDS
        expected = isinstance(error, AlmanacError)
        text = str(error) if expected else f"{type(error).__name__}: {error}"
        _LOG.warning("shadow version %s of %s: %s", shadow.version, name, text, exc_info=None if expected else error)

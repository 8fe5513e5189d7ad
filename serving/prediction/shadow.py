"""The shadow version: it computes what it would have answered, beside the answers and after them."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np

from almanac.core.errors import AlmanacError
from almanac.model.bundle import Bundle
from almanac.model.prediction import Predictions
from monitoring.metrics import SHADOW_DIFFERENCE, SHADOW_ERRORS, Metrics

Compute = Callable[[Bundle, str, Any], Awaitable[dict[str, Predictions]]]

_TELL_SECONDS = 60.0
_PIECE = 128
_LOG = logging.getLogger("almanac.serving")


class Shadow:
    """Compares a shadow version with what was answered.

    Args:
        metrics: where differences and errors are counted.
        compute: predicts rows or moments for the model of a name.
    """

    def __init__(self, metrics: Metrics, compute: Compute) -> None:
        self._metrics = metrics
        self._compute = compute
        self._tasks: set[asyncio.Task[None]] = set()
        self._tell = 0.0

    def begin(self, shadow: Bundle, name: str, given: Any, bundle: Bundle, served: dict[str, Predictions]) -> None:
        """Compare once the answer is on its way.

        Args:
            shadow: the shadow version.
            name: name of the model that was asked.
            given: rows or moments.
            bundle: the version that answered.
            served: its outcomes by target.
        """
        if not isinstance(given, list) and shadow.columns_of(name).names != bundle.columns_of(name).names:
            return  # ordered rows of other features mean nothing to the shadow
        asyncio.get_running_loop().call_soon(self._start, shadow, name, given, served)

    def _start(self, shadow: Bundle, name: str, given: Any, served: dict[str, Predictions]) -> None:
        task = asyncio.ensure_future(self._run(shadow, name, given, served))
        self._tasks.add(task)  # the event loop holds a task but weakly
        task.add_done_callback(self._tasks.discard)

    async def _run(self, shadow: Bundle, name: str, given: Any, served: dict[str, Predictions]) -> None:
        errors = self._metrics.counter(SHADOW_ERRORS).labels(name, shadow.version)  # shown from the first request on
        try:
            await self._compare(shadow, await self._compute(shadow, name, given), served)
        except Exception as error:  # whatever it is, the request was answered long ago
            errors.inc()
            self._log(shadow, name, error)

    async def _compare(self, shadow: Bundle, outcomes: dict[str, Predictions], served: dict[str, Predictions]) -> None:
        for target, outcome in outcomes.items():
            histogram = self._metrics.histogram(SHADOW_DIFFERENCE).labels(target, shadow.version)
            differences = np.abs(outcome.prediction - served[target].prediction).tolist()
            for at in range(0, len(differences), _PIECE):
                for difference in differences[at : at + _PIECE]:
                    histogram.observe(difference)
                await asyncio.sleep(0)

    def _log(self, shadow: Bundle, name: str, error: Exception) -> None:
        """Tell what went wrong, once a minute: it may go wrong for every request."""
        now = time.monotonic()
        if now < self._tell:
            return
        self._tell = now + _TELL_SECONDS
        foreseen = isinstance(error, AlmanacError)
        text = str(error) if foreseen else f"{type(error).__name__}: {error}"
        _LOG.warning("shadow version %s of %s: %s", shadow.version, name, text, exc_info=None if foreseen else error)

"""Live drift: predicted rows compared with the reference profile in the model directory."""

import asyncio
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from almanac.core.arrays import Array
from almanac.core.errors import AlmanacError
from almanac.core.files import parse_json, read_json, write_json
from almanac.model.directory import REFERENCE
from almanac.model.model import Model
from monitoring.metrics import DRIFT_DRIFTED, DRIFT_KS, DRIFT_MISSING, DRIFT_PSI, DRIFT_ROWS, DRIFT_SCORE, Metrics
from serving.operations.metrics import publish_libraries
from serving.prediction.traffic import Traffic

if TYPE_CHECKING:
    from almanac.drift.online import OnlineDrift
    from almanac.drift.profiles.reference import Profile


#: Length of a live window; the counters are then reset.
WINDOW_SECONDS = 86_400.0
#: Seconds after the end of a window in which a running worker may not have begun the next one.
_LATE_SECONDS = 600.0
_LOG = logging.getLogger("almanac.serving")
_METRICS = {"psi": DRIFT_PSI, "ks": DRIFT_KS, "score": DRIFT_SCORE, "missing_rate": DRIFT_MISSING}


class LiveDrift:
    """Counts the predicted rows of each target and exports their drift as metrics.

    The profiles are loaded in the background, so that the first answers do not wait. Each of several workers saves its
    counters in the shared directory, and exports the metrics of all workers together.

    Args:
        metrics: the metrics.
        shared: directory of the workers; None with one worker.
    """

    def __init__(self, metrics: Metrics, shared: Path | None) -> None:
        self._metrics = metrics
        self._shared = shared
        self._counters: dict[str, tuple[OnlineDrift, Profile]] = {}
        self._models: dict[str, Model] = {}
        self._served: dict[str, list[Model]] = {}
        self._began = time.time()

    def follow(self, use_case: str, traffic: Traffic | None) -> None:
        """Count rows of the targets in service."""
        self._served[use_case] = list(traffic.primary.targets.values()) if traffic else []
        self._models = {model.digest: model for models in self._served.values() for model in models}
        self._counters = {digest: pair for digest, pair in self._counters.items() if digest in self._models}

    def see(self, model: Model, rows: Array) -> None:
        """Count rows (n, f) in the order of the model's features."""
        pair = self._counters.get(model.digest)
        if pair is not None:
            pair[0].add_rows(rows)

    def see_row(self, model: Model, row: Array) -> None:
        """Count one row (f,)."""
        pair = self._counters.get(model.digest)
        if pair is not None:
            pair[0].add(row)

    async def run(self, seconds: float) -> None:
        """Load missing profiles and update the metrics regularly."""
        while True:
            await self._in_thread(self._open)
            await asyncio.sleep(seconds)
            await self._in_thread(self.publish)
            # Reset as a whole: sliding windows would need a profile for each of their parts.
            if time.time() - self._began > WINDOW_SECONDS:
                self._began = time.time()
                for counter, _ in self._counters.values():
                    counter.reset()

    async def _in_thread(self, step: Callable[[], None]) -> None:
        try:
            await asyncio.get_running_loop().run_in_executor(None, step)
        except Exception as error:  # of any kind: the next round must still run
            _LOG.error("drift metrics were not updated: %s: %s", type(error).__name__, error, exc_info=error)

    def _open(self) -> None:
        # Imported here: the first answers do not wait for the drift statistics.
        from almanac.drift.online import OnlineDrift
        from almanac.drift.profiles.reference import from_json

        for digest, model in list(self._models.items()):
            document = model.directory.files.get(REFERENCE)
            if digest in self._counters or not document:
                continue
            try:
                profile = from_json(parse_json(document))
                self._counters[digest] = OnlineDrift(profile, model.columns.names), profile
            except AlmanacError as error:
                _LOG.warning("%s is not watched for drift: %s", model.name, error)
                # So that the warning is not repeated every round.
                model.directory.files.pop(REFERENCE)

    def publish(self) -> None:
        """Update the metrics of the live window."""
        publish_libraries(self._metrics)  # among them the one that counts
        for digest, (counter, profile) in list(self._counters.items()):
            model = self._models.get(digest)
            if model is None:
                continue
            total = self._all_workers(digest, counter, profile)
            self._metrics.gauge(DRIFT_ROWS).labels(model.name).set(total.rows)
            for feature, metrics in total.metrics().items():
                self._export(model.name, feature, metrics)

    def _export(self, model: str, feature: str, metrics: dict[str, float]) -> None:
        for name, metric in _METRICS.items():
            if name in metrics:
                self._metrics.gauge(metric).labels(model, feature).set(metrics[name])
        self._metrics.gauge(DRIFT_DRIFTED).labels(model, feature).set(metrics["drifted"])

    def _all_workers(self, digest: str, counter: "OnlineDrift", profile: "Profile") -> "OnlineDrift":
        if self._shared is None:
            return counter
        # The digest in the name: workers may serve two versions during a swap.
        own = self._shared / f"drift-{digest[:16]}-{os.getpid()}.json"
        write_json(own, {"began": self._began, "state": counter.state()})
        states: list[dict[str, Any]] = []
        for path in sorted(self._shared.glob("drift-*.json")):
            try:
                document = read_json(path)
            except OSError:
                continue  # another worker has just removed it
            if path != own and time.time() - document["began"] > WINDOW_SECONDS + _LATE_SECONDS:
                path.unlink(missing_ok=True)  # of a worker that ended, or of a version that was replaced
            elif path.name.startswith(f"drift-{digest[:16]}-"):
                states.append(document["state"])
        return type(counter).merged(profile, states)

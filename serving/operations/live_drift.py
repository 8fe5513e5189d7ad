"""Live drift: what is predicted is counted against the profile that was frozen with the model."""

import asyncio
import json
import logging
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from almanac.core.errors import AlmanacError
from almanac.core.files import read_json, write_json
from almanac.model.directory import REFERENCE
from almanac.model.model import Model
from monitoring.metrics import DRIFT_DRIFTED, DRIFT_KS, DRIFT_MISSING, DRIFT_PSI, DRIFT_ROWS, DRIFT_SCORE, Metrics
from serving.features.records import Values
from serving.prediction.repository import Traffic

if TYPE_CHECKING:
    from almanac.drift.online import OnlineDrift
    from almanac.drift.profiles.reference import Profile

Array = npt.NDArray[np.float64]

WINDOW_SECONDS = 86_400.0
"""Length of a live window; then the counters begin again."""
_LATE_SECONDS = 600.0
"""How long after the end of its window a worker that lives may still be about to begin another."""
_LOG = logging.getLogger("almanac.serving")
_FIGURES = {"psi": DRIFT_PSI, "ks": DRIFT_KS, "score": DRIFT_SCORE, "missing_rate": DRIFT_MISSING}


class LiveDrift:
    """Counts the predicted rows of each target and shows the figures as metrics.

    The profiles are read in the background: the first answers do not wait for them. With several workers each leaves
    its counters in a directory that they share, and shows the figures of all together.

    Args:
        metrics: where the figures are shown.
        shared: directory of the workers; None with one worker.
    """

    def __init__(self, metrics: Metrics, shared: Path | None) -> None:
        self._metrics = metrics
        self._shared = shared
        self._counters: dict[str, tuple[OnlineDrift, Profile]] = {}
        self._wanted: dict[str, Model] = {}
        self._began = time.time()

    def follow(self, traffic: Traffic) -> None:
        """Watch the targets that answer now."""
        self._wanted = {target.digest: target for target in traffic.primary.targets.values()}
        self._counters = {digest: found for digest, found in self._counters.items() if digest in self._wanted}

    def see(self, target: Model, rows: Array | Sequence[Values]) -> None:
        """Count rows in the order of the target's features."""
        found = self._counters.get(target.digest)
        if found is None:
            return
        if isinstance(rows, np.ndarray):
            found[0].add_rows(rows)
            return
        for row in rows:
            found[0].add(row)  # type: ignore[arg-type]  # NumPy takes the tuple, None as NaN, in one copy

    async def run(self, seconds: float) -> None:
        """Open profiles that are missing and renew the figures, again and again."""
        while True:
            await self._apart(self._open)
            await asyncio.sleep(seconds)
            await self._apart(self.publish)
            if time.time() - self._began > WINDOW_SECONDS:
                self._began = time.time()
                for counter, _ in self._counters.values():
                    counter.reset()

    async def _apart(self, step: Callable[[], None]) -> None:
        try:
            await asyncio.get_running_loop().run_in_executor(None, step)
        except Exception as error:  # whatever it is, the next round must not be missed
            _LOG.error("drift figures were not renewed: %s: %s", type(error).__name__, error, exc_info=error)

    def _open(self) -> None:
        from almanac.drift.online import OnlineDrift
        from almanac.drift.profiles.reference import from_json

        for digest, target in list(self._wanted.items()):
            document = target.directory.files.get(REFERENCE)
            if digest in self._counters or not document:
                continue
            try:
                profile = from_json(json.loads(document))
                self._counters[digest] = OnlineDrift(profile, target.columns.names), profile
            except AlmanacError as error:
                _LOG.warning("%s is not watched for drift: %s", target.name, error)
                target.directory.files.pop(REFERENCE)

    def publish(self) -> None:
        """Show the figures of the live window."""
        for digest, (counter, profile) in list(self._counters.items()):
            target = self._wanted.get(digest)
            if target is None:
                continue
            whole = self._together(digest, counter, profile)
            self._metrics.gauge(DRIFT_ROWS).labels(target.name).set(whole.rows)
            for feature, figures in whole.metrics().items():
                self._show(target.name, feature, figures)

    def _show(self, model: str, feature: str, figures: dict[str, float]) -> None:
        for name, metric in _FIGURES.items():
            if name in figures:
                self._metrics.gauge(metric).labels(model, feature).set(figures[name])
        self._metrics.gauge(DRIFT_DRIFTED).labels(model, feature).set(figures["drifted"])

    def _together(self, digest: str, counter: "OnlineDrift", profile: "Profile") -> "OnlineDrift":
        if self._shared is None:
            return counter
        mine = self._shared / f"drift-{digest[:16]}-{os.getpid()}.json"
        write_json(mine, {"began": self._began, "state": counter.state()})
        states: list[dict[str, Any]] = []
        for path in sorted(self._shared.glob("drift-*.json")):
            try:
                document = read_json(path)
            except OSError:
                continue  # another worker has just taken it away
            if path != mine and time.time() - document["began"] > WINDOW_SECONDS + _LATE_SECONDS:
                path.unlink(missing_ok=True)  # of a worker that ended, or of a version that was replaced
            elif path.name.startswith(f"drift-{digest[:16]}-"):
                states.append(document["state"])
        return type(counter).merged(profile, states)

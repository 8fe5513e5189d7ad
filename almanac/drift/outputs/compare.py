"""Comparison of a model's outputs in a window with their reference."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from almanac.core.errors import DriftError
from almanac.drift.comparison import LEAST_ROWS, Comparison, FeatureDrift, compare
from almanac.drift.counting.histogram import Floats
from almanac.drift.findings import Finding
from almanac.drift.outputs.importance import ImportanceDrift
from almanac.drift.outputs.importance_profile import ImportanceProfile
from almanac.drift.outputs.reference import (
    IMPORTANCE,
    PREDICTION,
    SIGNALS,
    TARGET,
    OutputReference,
    check,
    finite,
)
from almanac.drift.profiles.merging import restrict
from almanac.drift.profiles.roles import RESIDUAL

#: Features whose importance a document lists: those whose share moved most.
_MOST_MOVED = 20


@dataclass(frozen=True)
class Window:
    """The outputs of a model in a window.

    Attributes:
        made: predictions made in it: entity, where there is one, time and `prediction`.
        known: predictions whose truth fell due in it: the same and `target`, null where it is not known.
        explained: times in microseconds (n,) and contributions (n, f) of some rows, or why there are none.
    """

    made: pl.DataFrame
    known: pl.DataFrame
    explained: tuple[NDArray[np.int64], Floats] | str


@dataclass(frozen=True)
class OutputDrift:
    """The result of comparing a model's outputs in a window.

    Attributes:
        comparisons: by signal, the comparison that judges it; target and residual share one.
        importance: the importances, compared.
        unjudged: by signal, why it was not judged.
        reference: the importances of the reference.
        notes: rows that were left out.
    """

    comparisons: dict[str, Comparison]
    importance: ImportanceDrift | None
    unjudged: dict[str, str]
    reference: ImportanceProfile | None = None
    notes: tuple[Finding, ...] = ()

    def feature(self, signal: str) -> FeatureDrift | None:
        """Return the judged target, prediction or residual, or None where it was not judged."""
        comparison = self.comparisons.get(signal)
        return next((f for f in comparison.features if f.name == signal), None) if comparison else None

    @property
    def judged(self) -> int:
        """How many signals were judged."""
        return len(SIGNALS) - len(self.unjudged)

    @property
    def drifted(self) -> tuple[str, ...]:
        """The signals that have drifted."""
        return tuple(signal for signal in SIGNALS if self._drifted(signal))

    def _drifted(self, signal: str) -> bool:
        judged = self.importance if signal == IMPORTANCE else self.feature(signal)
        return judged is not None and judged.drifted

    def findings(self) -> list[Finding]:
        """Return the findings of all comparisons, each once."""
        return list(dict.fromkeys([*self.notes, *(f for c in self.comparisons.values() for f in c.findings)]))

    def to_json(self) -> dict[str, Any]:
        """Return the outcome as JSON, signal by signal."""
        document: dict[str, Any] = {signal: self._signal_to_json(signal) for signal in SIGNALS}
        return {
            "drifted": list(self.drifted),
            **document,
            "findings": [finding.to_json() for finding in self.findings()],
        }

    def _signal_to_json(self, signal: str) -> dict[str, Any]:
        if signal in self.unjudged:
            return {"judged": False, "why": self.unjudged[signal]}
        if signal == IMPORTANCE:
            assert self.importance is not None
            document = self.importance.to_json()
            return {
                "judged": True,
                "score": score(self.importance),
                **document,
                "features": document["features"][:_MOST_MOVED],
            }
        feature = self.feature(signal)
        assert feature is not None
        return {"judged": True, "rows": self.comparisons[signal].rows, **feature.to_json()}


def score(importance: ImportanceDrift) -> float:
    """Return the loss of agreement of the importances over its threshold."""
    return (1.0 - importance.ndcg) / (1.0 - importance.least)


def compare_outputs(reference: OutputReference, window: Window, level: float) -> OutputDrift:
    """Compare a model's outputs in a window with their reference.

    Args:
        reference: frozen with the model.
        window: the window's outputs.
        level: chance of a false alarm of each signal.

    Raises:
        DriftError: a column that is absent.
    """
    check(window.made, [PREDICTION])
    check(window.known, [TARGET, PREDICTION])
    comparisons: dict[str, Comparison] = {}
    unjudged: dict[str, str] = {}
    made, known = finite(window.made, PREDICTION), finite(window.known, TARGET, PREDICTION)
    due = finite(window.known, PREDICTION).height
    # Target and residual need the truth, and so are judged on other rows than the predictions.
    for signals, rows, counted in (
        ([PREDICTION], made, f"{made.height} predictions were made in the window"),
        ([TARGET, RESIDUAL], known, f"the truth of {known.height} of {due} predictions that fell due is known"),
    ):
        if rows.height < LEAST_ROWS:
            unjudged |= dict.fromkeys(signals, f"{counted}; at least {LEAST_ROWS} are needed")
            continue
        # Not `whole`: target and residual are judged apart from the predictions, which the rows hold too.
        compared = compare(restrict(reference.profile, signals), rows, rate=len(signals) * level, whole=False)
        comparisons |= dict.fromkeys(signals, compared)
    notes = _left_out(window.made.height - made.height, window.made.height)
    importance = _compare_importances(reference.importances, window.explained, level)
    if isinstance(importance, str):
        return OutputDrift(comparisons, None, {**unjudged, IMPORTANCE: importance}, reference.importances, notes)
    return OutputDrift(comparisons, importance, unjudged, reference.importances, notes)


def _left_out(count: int, rows: int) -> tuple[Finding, ...]:
    if not count:
        return ()
    return (Finding("warning", PREDICTION, f"{count} of {rows} predictions are missing or infinite, and left out"),)


def _compare_importances(
    reference: ImportanceProfile | None, explained: tuple[NDArray[np.int64], Floats] | str, level: float
) -> ImportanceDrift | str:
    if isinstance(explained, str):
        return explained
    if reference is None:
        return "no feature contributed anything when the model was trained"
    times, contributions = explained
    if len(times) < (least := min(LEAST_ROWS, reference.per_block)):
        return f"{len(times)} predictions can be explained; at least {least} are needed"
    try:
        return reference.compare(times, contributions, level)
    except DriftError as error:
        return str(error)

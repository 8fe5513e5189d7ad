"""What a model gives out in a window: prediction, truth, residual, and what it leans on, against what is frozen.

reference = freeze(out_of_fold, time="timestamp")           # with the model, as a part of its reference.json
reference = read_outputs(Path("reference.json"))
found = compare_outputs(reference, Window(made, known, explained), level=0.005)
found.drifted, found.to_json()
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from almanac.core.errors import DriftError
from almanac.drift.comparison import LEAST_ROWS, Comparison, FeatureDrift, compare
from almanac.drift.findings import Finding
from almanac.drift.histogram import Floats
from almanac.drift.importance import ImportanceDrift
from almanac.drift.importance_profile import Attribution
from almanac.drift.merging import restrict
from almanac.drift.output_reference import (
    IMPORTANCE,
    PREDICTION,
    SIGNALS,
    TARGET,
    OutputReference,
    check,
    finite,
    freeze,
    read_outputs,
)
from almanac.drift.profile_pass import RESIDUAL

__all__ = ["OutputDrift", "OutputReference", "Window", "compare_outputs", "freeze", "read_outputs"]

#: Features of which a document tells the importance: those whose share moved most.
_TOLD = 20


@dataclass(frozen=True)
class Window:
    """What a model gave out in a window.

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
    """What came of comparing a model's outputs in a window.

    Attributes:
        comparisons: by signal, the comparison that judges it; target and residual share one.
        importance: the importances, compared.
        unjudged: by signal, why it was not judged.
        attribution: what the importances were compared with.
        notes: what was left out.
    """

    comparisons: dict[str, Comparison]
    importance: ImportanceDrift | None
    unjudged: dict[str, str]
    attribution: Attribution | None = None
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
        found = self.importance if signal == IMPORTANCE else self.feature(signal)
        return found is not None and found.drifted

    def findings(self) -> list[Finding]:
        """Return what is no matter of degree, each once."""
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
                "features": document["features"][:_TOLD],
            }
        found = self.feature(signal)
        assert found is not None
        return {"judged": True, "rows": self.comparisons[signal].rows, **found.to_json()}


def score(found: ImportanceDrift) -> float:
    """Return the loss of agreement of the importances over its threshold."""
    return (1.0 - found.ndcg) / (1.0 - found.least)


def compare_outputs(
    reference: OutputReference, window: Window, level: float, now: datetime | None = None
) -> OutputDrift:
    """Compare a model's outputs in a window with their reference.

    Args:
        reference: frozen with the model.
        window: the window's outputs.
        level: chance of a false alarm that is given to each signal.
        now: what to write as the time of the comparison; the present when None.

    Raises:
        DriftError: a column that is absent.
    """
    check(window.made, [PREDICTION])
    check(window.known, [TARGET, PREDICTION])
    comparisons: dict[str, Comparison] = {}
    unjudged: dict[str, str] = {}
    made, known = finite(window.made, PREDICTION), finite(window.known, TARGET, PREDICTION)
    due = finite(window.known, PREDICTION).height
    for signals, rows, what in (
        ([PREDICTION], made, f"{made.height} predictions were made in the window"),
        ([TARGET, RESIDUAL], known, f"the truth of {known.height} of {due} predictions that fell due is known"),
    ):
        if rows.height < LEAST_ROWS:
            unjudged |= dict.fromkeys(signals, f"{what}; at least {LEAST_ROWS} are needed")
            continue
        found = compare(restrict(reference.profile, signals), rows, now=now, rate=len(signals) * level)
        comparisons |= dict.fromkeys(signals, found)
    notes = _left_out(window.made.height - made.height, window.made.height)
    compared = _compare_importances(reference.attribution, window.explained, level)
    if isinstance(compared, str):
        return OutputDrift(comparisons, None, {**unjudged, IMPORTANCE: compared}, reference.attribution, notes)
    return OutputDrift(comparisons, compared, unjudged, reference.attribution, notes)


def _left_out(count: int, rows: int) -> tuple[Finding, ...]:
    if not count:
        return ()
    return (Finding("warning", PREDICTION, f"{count} of {rows} predictions are missing or infinite, and left out"),)


def _compare_importances(
    reference: Attribution | None, explained: tuple[NDArray[np.int64], Floats] | str, level: float
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

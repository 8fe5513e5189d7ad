"""Means of an entity's past events that fade with every event."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from almanac.features.events.kind import Asked, EventDeclaration, EventKind, Events, Past

#: Half-lives that are looked back on: older events weigh less than a thousandth.
_LIVES = 10


class Fading(EventDeclaration):
    """A mean of past events, whose weights halve with each half-life: `home_runs_for_fading_20`."""

    kind: Literal["fading"]
    columns: Annotated[list[str], Field(min_length=1)]
    """Outcomes, other numeric columns, or sides."""
    half_lives: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)]
    """Numbers of events after which a weight is a half."""

    def asked(self, events: Events) -> Asked:
        """Return a mean of each column for each half-life."""
        self.check_columns(events, self.columns)
        names = tuple(f"{column}_fading_{life}" for life in self.half_lives for column in self.columns)
        columns = tuple(self.columns)
        weights = tuple(0.5 ** (np.arange(_LIVES * life - 1, -1, -1) / life) for life in self.half_lives)
        return Asked(columns, names, partial(_fading, columns, weights))


def _fading(columns: Sequence[str], weights: Sequence[npt.NDArray[np.float64]], past: Past) -> list[float]:
    values = past.columns(columns, max(map(len, weights)))
    result: list[float] = []
    for weight in weights:
        rows = values[max(len(values) - len(weight), 0) :]
        present = ~np.isnan(rows)
        # The newest event has the last weight.
        factor = weight[len(weight) - len(rows) :, None]
        total = (np.where(present, rows, 0.0) * factor).sum(axis=0)
        with np.errstate(invalid="ignore"):
            result += (total / (present * factor).sum(axis=0)).tolist()
    return result


KIND = EventKind(
    Fading,
    [{"kind": "fading", "of": "team", "columns": ["scored", "allowed"], "half_lives": [2, 10], "difference": True}],
)

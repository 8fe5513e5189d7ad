"""How much of the history that a prediction looks back on is there."""

import numpy as np
import numpy.typing as npt

from serving.features.records import EntityRequest
from serving.runtime.errors import stale

TOLD = 0.5
"""Share of known rows below which an answer says how many there are."""
REFUSED = 0.1
"""Share of known rows below which stored history is not enough for an answer."""


def check_coverage(rows: npt.NDArray[np.float64], moment: EntityRequest, witness: int | None) -> str | None:
    """Return what to tell about the rows looked back on, shape (k, n); None where half of them or more are known.

    Args:
        rows: the raw rows, all NaN where there is none.
        moment: what is asked; a history that the request brings is told about, and never refused.
        witness: place of a column that has a value in every row there is; None has all columns looked at.

    Raises:
        HTTPError: fewer than a tenth of the stored rows are known.
    """
    count = rows.shape[1]
    known = count - (_missing(rows) if witness is None else int(np.count_nonzero(np.isnan(rows[witness]))))
    if known >= TOLD * count:
        return None
    told = f"only {known} of the {count} rows looked back on are known"
    if moment.history is None and known < REFUSED * count:
        raise stale(f"{moment.place}: {told}, fewer than {REFUSED:.0%}; see :ingest")
    return f"{moment.place}: {told}"


def _missing(rows: npt.NDArray[np.float64]) -> int:
    # A row with any value is there; one column alone usually proves that of all.
    absent = np.isnan(rows[0])
    return int(np.count_nonzero(np.isnan(rows[:, absent]).all(axis=0))) if absent.any() else 0

"""Coverage of the history that a prediction looks back on."""

import numpy as np
import numpy.typing as npt

from serving.features.records import EntityRequest
from serving.runtime.errors import stale

#: Share of known rows below which the answer has a warning.
WARNED = 0.5
#: Share of known rows below which stored history is refused.
#: Without this, a single known row would be history enough for an answer.
REFUSED = 0.1


def check_coverage(rows: npt.NDArray[np.float64], request: EntityRequest, complete_column: int | None) -> str | None:
    """Return a warning if fewer than half of the raw rows, shape (k, n), are known; None otherwise.

    Args:
        rows: the raw rows, all NaN where there is none.
        request: the request; a history that it brings is never refused.
        complete_column: position of a column that has a value in every existing row; None to check all columns.

    Raises:
        HTTPError: fewer than a tenth of the stored rows are known.
    """
    count = rows.shape[1]
    known = count - (
        _missing(rows) if complete_column is None else int(np.count_nonzero(np.isnan(rows[complete_column])))
    )
    if known >= WARNED * count:
        return None
    message = f"only {known} of the {count} rows looked back on are known"
    if request.history is None and known < REFUSED * count:
        raise stale(f"{request.location}: {message}, fewer than {REFUSED:.0%}; see :ingest")
    return f"{request.location}: {message}"


def _missing(rows: npt.NDArray[np.float64]) -> int:
    # A row with any value exists; the first column usually proves that of all rows, so the others are rarely read.
    absent = np.isnan(rows[0])
    return int(np.count_nonzero(np.isnan(rows[:, absent]).all(axis=0))) if absent.any() else 0

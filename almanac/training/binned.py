"""LightGBM's binned copies of training rows, kept from one trial to the next: only their labels differ."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from almanac.core.files import sha256_bytes

if TYPE_CHECKING:
    import lightgbm

#: Parameters that growing trees reads and binning does not; any other one makes a copy of its own.
_OF_TREES = frozenset(
    {"objective", "alpha", "learning_rate", "num_leaves", "min_child_samples", "colsample_bytree", "subsample"}
    | {"subsample_freq", "extra_trees", "reg_alpha", "reg_lambda", "max_depth", "seed"}
)
#: Values of all kept copies together, of a byte each or two.
_MOST = 1 << 28


class BinnedRows:
    """Binned copies of the rows of one matrix, each lent to one thread at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: dict[str, list[lightgbm.Dataset]] = {}
        self._kept = 0

    @contextmanager
    def lend(
        self,
        rows: npt.NDArray[np.intp],
        columns: int,
        label: npt.NDArray[np.float64],
        parameters: dict[str, Any],
        make: Callable[[], "lightgbm.Dataset"],
    ) -> Iterator["lightgbm.Dataset"]:
        """Yield a copy of the rows with these labels: one that is idle, or the one that `make` returns.

        Args:
            rows: positions of the rows, shape (m,).
            columns: number of features.
            label: the labels, shape (m,).
            parameters: LightGBM's, of the training.
            make: returns a new copy, with the labels.
        """
        binning = {name: value for name, value in parameters.items() if name not in _OF_TREES}
        key = sha256_bytes(rows.tobytes() + json.dumps(binning, sort_keys=True, default=str).encode())
        with self._lock:
            idle = self._idle.get(key)
            data = idle.pop() if idle else None
        new = data is None
        data = make() if data is None else data.set_label(label)
        yield data
        size = len(rows) * columns
        with self._lock:
            # What does not fit is binned again, as if nothing had been kept.
            if not new or self._kept + size <= _MOST:
                self._kept += size if new else 0
                self._idle.setdefault(key, []).append(data)

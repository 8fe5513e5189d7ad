"""One row through LightGBM's cached single-row call.

`LGBM_BoosterPredictForMatSingleRowFastInit` parses the parameters and builds the predictor once; the call itself then
only walks the trees. A configuration must not be used by two threads at a time, so every thread has its own.
"""

import ctypes
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from almanac.model.engine import booster as lightgbm


class _Configuration:
    """A FastConfig with the buffers that it reads and writes; belongs to one thread."""

    def __init__(self, booster: lightgbm.Booster, kind: int) -> None:
        self._library: Any = lightgbm.library()
        self._booster = booster  # the configuration points into it, so it must live as long
        self._handle = ctypes.c_void_p()
        lightgbm.check(
            self._library.LGBM_BoosterPredictForMatSingleRowFastInit(
                booster.handle,
                kind,
                0,
                -1,
                lightgbm.type_float64,
                ctypes.c_int32(booster.num_features),
                lightgbm.parameters,
                ctypes.byref(self._handle),
            )
        )
        self.row = np.zeros(booster.num_features)
        self._out = ctypes.c_double()
        self._length = ctypes.c_int64()
        self._call = self._library.LGBM_BoosterPredictForMatSingleRowFast
        self._arguments = (
            self._handle,
            ctypes.c_void_p(self.row.ctypes.data),
            ctypes.byref(self._length),
            ctypes.byref(self._out),
        )

    def __del__(self) -> None:
        if self._handle:
            self._library.LGBM_FastConfigFree(self._handle)

    def __call__(self) -> float:
        code = self._call(*self._arguments)
        if code != 0:
            lightgbm.check(code)
        return self._out.value


class SingleRow:
    """Predictions of one row at a time, from any thread.

    Args:
        booster: the model.
        kind: `predict_normal`, or `predict_raw` for the score before the link function.
    """

    def __init__(self, booster: lightgbm.Booster, kind: int = lightgbm.predict_normal) -> None:
        self._booster = booster
        self._kind = kind
        self._threads = threading.local()

    def __call__(self, x: NDArray[np.float64]) -> float:
        """Return the prediction for the row `x`, shape (f,), float64.

        Raises:
            ValueError: `x` has another width than the model.
        """
        configuration: _Configuration | None = getattr(self._threads, "configuration", None)
        if configuration is None:
            configuration = self._threads.configuration = _Configuration(self._booster, self._kind)
        if x.shape != configuration.row.shape:
            raise ValueError(f"a row has shape {x.shape}; the model takes ({self._booster.num_features},)")
        # A copy, because LightGBM was given the address of this buffer once.
        configuration.row[:] = x
        return configuration()

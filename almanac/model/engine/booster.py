"""LightGBM's C library without its Python package.

`import lightgbm` brings pandas, scikit-learn and SciPy along: seconds at a cold start and more than 100 MB for a
worker. The wheel's shared library has everything that serving needs, so it is called directly. The
functions and constants are those of LightGBM's `c_api.h`, version 4.
"""

import ctypes
import importlib.util
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from almanac.core.errors import ModelError, ServingError
from almanac.model.engine.text_checks import check_text

type_float64 = 1
predict_normal, predict_raw, predict_contributions = 0, 1, 3
# One thread a call: workers and threads of the server share the cores, OpenMP teams inside them only fight.
# The shape check is left on, so that a row of the wrong width is an error and not a wrong number.
parameters = b"num_threads=1 verbosity=-1"

_LOG_CALLBACK = ctypes.CFUNCTYPE(None, ctypes.c_char_p)
_library_lock = threading.Lock()
_loaded: dict[str, Any] = {}
# The server's standard output is its own: log lines are dropped, errors come back as return codes.
_swallow_log = _LOG_CALLBACK(lambda message: None)


def library() -> Any:
    """Return LightGBM's C library, loaded once per process.

    Raises:
        ServingError: the lightgbm wheel is not installed, or holds no shared library.
    """
    with _library_lock:
        if "library" not in _loaded:
            loaded = _loaded["library"] = ctypes.CDLL(str(_library_path()))
            # Without a result type ctypes takes the pointer for a C int and cuts it.
            loaded.LGBM_GetLastError.restype = ctypes.c_char_p
            loaded.LGBM_RegisterLogCallback(_swallow_log)
        return _loaded["library"]


def _library_path() -> Path:
    spec = importlib.util.find_spec("lightgbm")
    folders = [Path(folder) for folder in (spec.submodule_search_locations or [])] if spec else []
    for folder in folders:
        for path in sorted((folder / "lib").glob("lib_lightgbm.*")) + sorted((folder / "bin").glob("lib_lightgbm.*")):
            return path
    raise ServingError("the shared library of LightGBM was not found; install the lightgbm wheel")


def check(code: int) -> None:
    """Raise ModelError with LightGBM's own words if a C call returned an error `code`."""
    if code != 0:
        raise ModelError(f"LightGBM: {cast(bytes, library().LGBM_GetLastError()).decode(errors='replace')}")


class Booster:
    """A LightGBM model in LightGBM's own library, the reference for every faster path.

    Args:
        text: the model as LightGBM writes it (`Booster.save_model`).
        name: name of the model in error messages, such as its path.

    Raises:
        ModelError: LightGBM cannot read `text`.
    """

    def __init__(self, text: bytes, name: str = "model.bst") -> None:
        self._free: Callable[[ctypes.c_void_p], int] = library().LGBM_BoosterFree
        self.handle = ctypes.c_void_p()
        if not text.startswith(b"tree\n"):
            raise ModelError(
                f"{name}: not a LightGBM model; expected its text format, which begins with the line 'tree'"
            )
        check_text(text, name)
        iterations = ctypes.c_int()
        code = library().LGBM_BoosterLoadModelFromString(text, ctypes.byref(iterations), ctypes.byref(self.handle))
        if code != 0:
            raise ModelError(
                f"{name}: not a LightGBM model: {cast(bytes, library().LGBM_GetLastError()).decode(errors='replace')}"
            )
        self.num_iterations = iterations.value
        self.num_features = self._count("LGBM_BoosterGetNumFeature")
        self.num_classes = self._count("LGBM_BoosterGetNumClasses")

    def __del__(self) -> None:
        if self.handle:
            self._free(self.handle)

    def _count(self, function: str) -> int:
        value = ctypes.c_int()
        check(getattr(library(), function)(self.handle, ctypes.byref(value)))
        return value.value

    def predict(self, X: NDArray[np.float64], kind: int = predict_normal) -> NDArray[np.float64]:
        """Return the output of `Booster.predict`, computed on one thread.

        Args:
            X: feature matrix (n, f), float64.
            kind: `predict_normal` or `predict_raw` for shape (n,), `predict_contributions` for (n, f + 1) whose last
                column is the expected value.

        Raises:
            ModelError: `X` has another width than the model.
        """
        X = np.ascontiguousarray(X, dtype=np.float64)
        rows, columns = X.shape
        out = np.empty((rows, self.num_features + 1) if kind == predict_contributions else rows)
        if rows:
            self._predict_into(X, kind, columns, out)
        return out

    def _predict_into(self, X: NDArray[np.float64], kind: int, columns: int, out: NDArray[np.float64]) -> None:
        length = ctypes.c_int64()
        check(
            library().LGBM_BoosterPredictForMat(
                self.handle,
                ctypes.c_void_p(X.ctypes.data),
                type_float64,
                ctypes.c_int32(len(X)),
                ctypes.c_int32(columns),
                # Row by row (1), and below all iterations (-1) from the first (0).
                1,
                kind,
                0,
                -1,
                parameters,
                ctypes.byref(length),
                ctypes.c_void_p(out.ctypes.data),
            )
        )
        if length.value != out.size:
            raise ModelError(f"LightGBM returned {length.value} values; expected {out.size}")

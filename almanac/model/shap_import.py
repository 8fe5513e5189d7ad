"""Imports of shap and statsforecast where numba is not installed, as in the image of the components.

Both compile functions with numba when they are imported. Those that are used here, shap's explainer of trees and the
models of statsforecast, are in C++: they give the same bytes without numba, whose compiler is a fifth of an image.
"""

import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from types import ModuleType
from typing import Any

# Importing them touches the table of modules and the warning filters, which all threads share.
_IMPORT = threading.Lock()


def shap_package() -> Any:
    """Return the package shap, imported without numba where that is missing and without warnings of its own."""
    with without_numba(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import shap
    return shap


@contextmanager
def without_numba() -> Iterator[None]:
    """Import modules that decorate functions with numba's njit as plain Python where numba is missing."""
    with _IMPORT:
        if find_spec("numba") is not None:
            yield
            return
        numba: Any = ModuleType("numba")
        numba.njit, numba.typed = _njit, ModuleType("numba.typed")
        sys.modules.update({"numba": numba, "numba.typed": numba.typed})
        try:
            yield
        finally:
            # A module without a spec would make the next `find_spec` raise ValueError.
            del sys.modules["numba"], sys.modules["numba.typed"]


def _njit(function: Callable[..., Any] | None = None, **_: Any) -> Callable[..., Any]:
    return (lambda decorated: decorated) if function is None else function

"""Exact TreeSHAP by the compiled kernels; shap.c describes the method."""

import ctypes

import numpy as np
from numpy.typing import NDArray

from almanac.model.engine.model_text import Forest, UnsupportedModelError
from almanac.model.engine.trees import CompiledTrees


class CompiledExplainer:
    """Path-dependent SHAP values of the trees' sum, before link and offset; safe to call from any thread.

    Args:
        trees: the model's compiled form, kept alive by this object.
        f: the same trees.

    Raises:
        UnsupportedModelError: a path with more than 64 different features, or a feature that is read in two ways in
            one tree.
    """

    def __init__(self, trees: CompiledTrees, f: Forest) -> None:
        self._trees = trees
        self._pointer = ctypes.byref(trees.model)
        self.base = expected_value(f)
        if trees.library.almanac_prepare_paths(self._pointer) != 0:
            raise UnsupportedModelError("its paths have over 64 different features, or memory is short")

    def __del__(self) -> None:
        self._trees.library.almanac_release_paths(self._pointer)

    def explain(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the contributions (n, f) to the score of the rows of `X` (n, f), float64 and contiguous."""
        out = np.empty(X.shape)
        rows = ctypes.c_int64(len(X))
        pointers = ctypes.c_void_p(X.ctypes.data), rows, ctypes.c_void_p(out.ctypes.data)
        if self._trees.library.almanac_explain(self._pointer, *pointers) != 0:
            raise MemoryError(f"no memory to explain {len(X)} rows")
        return out


def expected_value(f: Forest) -> float:
    """Return the mean of the trees' sum over the training rows, by the leaves' counts."""
    if not len(f.leaf_value):
        return 0.0
    starts = f.leaf_start[:-1]
    weighted = np.add.reduceat(f.leaf_value * f.leaf_count, starts)
    rows = np.add.reduceat(f.leaf_count, starts)
    # LightGBM takes a tree of a single leaf at its value, whatever its count.
    constant = np.diff(f.leaf_start) == 1
    means = np.where(constant, f.leaf_value[starts], weighted / np.where(rows == 0, 1, rows))
    return float(means.sum())

"""Exact SHAP values of fitted boosters (TreeSHAP; Lundberg et al., 2020, doi:10.1038/s42256-019-0138-9)."""

import re
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    # LightGBM takes a second to import, and who only asks whether there is a model need not wait for it.
    import lightgbm

Array = npt.NDArray[np.float64]


def of_booster(booster: "lightgbm.Booster", X: Array, threads: int = 1) -> tuple[Array, Array]:
    """Return a booster's contributions, shape (n, f), and their base, shape (n,)."""
    both = np.asarray(booster.predict(X, pred_contrib=True, num_threads=threads), dtype=np.float64)
    return both[:, :-1].copy(), both[:, -1].copy()


def leaves(booster: "lightgbm.Booster") -> int:
    """Return the leaves of all trees of a booster: what explaining a row costs."""
    return sum(map(int, re.findall(r"^num_leaves=(\d+)$", booster.model_to_string(), flags=re.MULTILINE)))

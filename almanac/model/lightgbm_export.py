"""Export of scikit-learn's HistGradientBoosting to LightGBM's text format, so that one engine serves all trees.

Both learners split the same way: `x <= threshold` goes left, and a missing value goes where the split says. The sum is
the same, term by term: the baseline is a first tree of a single leaf.
"""

from typing import Any

import lightgbm
import numpy as np
import numpy.typing as npt

from almanac.core.arrays import Array
from almanac.core.errors import TrainingError
from almanac.model.lightgbm_merge import assemble
from almanac.model.skops_io import margin

#: LightGBM's decision type: missing values are NaN, and which way they go.
_NAN, _DEFAULT_LEFT = 8, 2
#: An open threshold parts the present from the missing. LightGBM's text knows no infinity.
_LARGEST = float(np.finfo(np.float64).max)
_TOLERANCE = 1e-9

Nodes = npt.NDArray[np.void]


def booster_of(estimator: Any, template: str, X: Array) -> str:
    """Return the text of a booster with the trees of a fitted HistGradientBoosting.

    Args:
        estimator: the fitted regressor, or classifier of two classes.
        template: text of any booster of the same features.
        X: rows, shape (n, f), on which both are compared.

    Raises:
        TrainingError: the estimator has other trees, or the booster predicts other values.
    """
    name = type(estimator).__name__
    try:
        # scikit-learn has no public access to the trees, so another version of it may fail here.
        baseline = float(np.ravel(estimator._baseline_prediction)[0])
        forests = [grown for (grown,) in estimator._predictors]
    except (AttributeError, ValueError) as error:
        raise TrainingError(f"{name}: its trees cannot be read ({error})") from error
    text = assemble(template, [_leaf(baseline), *(_tree(grown.nodes) for grown in forests)])
    difference = np.abs(
        lightgbm.Booster(model_str=text).predict(X, raw_score=True, num_threads=1) - margin(estimator)(X)
    )
    if (worst := float(difference.max(initial=0.0))) > _TOLERANCE:
        raise TrainingError(
            f"{name}: its trees in LightGBM's format differ by {worst:g}; expected at most {_TOLERANCE:g}"
        )
    return text


def _leaf(value: float) -> str:
    return _block({"num_leaves": [1], "num_cat": [0], "leaf_value": [value]})


def _tree(nodes: Nodes) -> str:
    """Return the lines of a tree whose nodes are ordered with parents before children, the root first."""
    # scikit-learn stores sets of categories as bitsets of another layout than LightGBM.
    if nodes["is_categorical"].any():
        raise TrainingError("a split by categories has no translation; give the column's code as a number")
    leaf = nodes["is_leaf"].astype(bool)
    if leaf[0]:
        return _leaf(float(nodes["value"][0]))
    # A child is the number of a split, or the complement of a leaf's.
    number = np.where(leaf, ~(np.cumsum(leaf) - 1), np.cumsum(~leaf) - 1)
    splits, leaves = nodes[~leaf], nodes[leaf]
    return _block(
        {
            "num_leaves": [leaves.size],
            "num_cat": [0],
            "split_feature": splits["feature_idx"],
            "split_gain": splits["gain"],
            "threshold": np.minimum(splits["num_threshold"], _LARGEST),
            "decision_type": np.where(splits["missing_go_to_left"], _NAN | _DEFAULT_LEFT, _NAN),
            "left_child": number[splits["left"]],
            "right_child": number[splits["right"]],
            "leaf_value": leaves["value"],
            "leaf_weight": leaves["count"],
            "leaf_count": leaves["count"],
            "internal_value": splits["value"],
            "internal_weight": splits["count"],
            "internal_count": splits["count"],
        }
    )


def _block(fields: dict[str, Any]) -> str:
    # repr gives the shortest digits that read back as the same float64.
    lines = [
        f"{name}={' '.join(repr(value) for value in np.asarray(values).tolist())}" for name, values in fields.items()
    ]
    # A shrinkage of 1, because scikit-learn's leaf values have the learning rate in them already.
    return "\n".join([*lines, "is_linear=0", "shrinkage=1", "", "", ""])

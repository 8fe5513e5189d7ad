"""LightGBM's text format: the header, and the trees as flat arrays."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from almanac.core.errors import ModelError

_LINKS = {
    "regression": "identity",
    "regression_l1": "identity",
    "huber": "identity",
    "fair": "identity",
    "quantile": "identity",
    "mape": "identity",
    "binary": "logit",
    "cross_entropy": "logit",
    "poisson": "log",
    "gamma": "log",
    "tweedie": "log",
}


@dataclass(frozen=True)
class Header:
    """The header of a model, the lines before its trees.

    Attributes:
        names: features in order.
        link: "identity", "logit", "log", or "other" for a transformation that only LightGBM itself applies.
        sigmoid: the factor of the logistic link: 1 / (1 + exp(-sigmoid · score)).
        averaged: whether the trees' outputs are averaged (random forests) and not summed.
    """

    names: list[str]
    link: str
    sigmoid: float
    averaged: bool


def header(text: bytes, name: str = "model.bst") -> Header:
    """Return the header of a model in LightGBM's text format.

    Raises:
        ModelError: the text has no header.
    """
    # Only the first kilobytes are decoded: a model has megabytes of trees.
    end = text.find(b"\nTree=")
    values = fields(text[:end] if end >= 0 else text)
    if "feature_names" not in values:
        raise ModelError(f"{name}: not a LightGBM model; expected its text format with a line 'feature_names'")
    words = values.get("objective", "").split()
    options = dict(word.partition(":")[::2] for word in words[1:])
    return Header(
        names=values["feature_names"].split(),
        link=_link(words),
        sigmoid=float(options.get("sigmoid", 1.0)),
        averaged="average_output" in values,
    )


def _link(objective: list[str]) -> str:
    if not objective:
        return "identity"
    if objective[0] == "regression" and "sqrt" in objective[1:]:
        return "other"
    return _LINKS.get(objective[0], "other")


@dataclass(frozen=True)
class Forest:
    """All trees, one after the other, in the order in which their outputs are added.

    A child >= 0 is a split of the same tree, ~child a leaf of it. Splits of one tree have parents before children.

    Attributes:
        split_start, leaf_start: (trees + 1,) first split and first leaf of each tree.
        feature, threshold, decision, left, right, split_count: one value a split; a split's count is its training rows.
        leaf_value, leaf_count: one value a leaf.
        sets: (split) to the bitset words of a categorical split.
    """

    split_start: NDArray[np.int32]
    leaf_start: NDArray[np.int32]
    feature: NDArray[np.int32]
    threshold: NDArray[np.float64]
    decision: NDArray[np.int32]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    split_count: NDArray[np.float64]
    leaf_value: NDArray[np.float64]
    leaf_count: NDArray[np.float64]
    sets: dict[int, tuple[int, ...]]

    @property
    def categorical(self) -> NDArray[np.bool_]:
        """Whether each split is one of categories."""
        bit: NDArray[np.bool_] = (self.decision & 1) == 1
        return bit

    @property
    def default_left(self) -> NDArray[np.bool_]:
        """Whether a missing value goes left."""
        bit: NDArray[np.bool_] = (self.decision & 2) == 2
        return bit

    @property
    def missing_rule(self) -> NDArray[np.int32]:
        """Missing-value rule of each split: 0 none (NaN reads as 0), 1 zero and NaN, 2 NaN."""
        return (self.decision >> 2) & 3


class UnsupportedModelError(ModelError):
    """A model that only LightGBM itself can predict."""


def forest(text: bytes) -> Forest:
    """Return the trees of a model in LightGBM's text format.

    Raises:
        UnsupportedModelError: linear leaves, or fields that do not fit together.
    """
    try:
        return _forest(text)
    # np.fromstring stops at text that is no number with a DeprecationWarning, which is an exception under an error
    # filter; elsewhere `_check_shape` finds the missing values.
    except (KeyError, IndexError, ValueError, DeprecationWarning) as error:
        raise UnsupportedModelError(f"the trees cannot be read: {error}") from error


def _forest(text: bytes) -> Forest:
    blocks = [fields(block) for block in tree_blocks(text)]
    splits = [int(block["num_leaves"]) - 1 for block in blocks]
    if any(block.get("is_linear", "0") != "0" for block in blocks):
        raise UnsupportedModelError("the model has linear leaves")
    # A tree has one leaf more than splits, hence the starts of its leaves from those of its splits.
    starts = np.concatenate([[0], np.cumsum(splits, dtype=np.int64)])
    trees = Forest(
        split_start=starts.astype(np.int32),
        leaf_start=(starts + np.arange(len(starts))).astype(np.int32),
        feature=_integers(blocks, "split_feature"),
        threshold=_floats(blocks, "threshold"),
        decision=_integers(blocks, "decision_type"),
        left=_integers(blocks, "left_child"),
        right=_integers(blocks, "right_child"),
        split_count=_floats(blocks, "internal_count"),
        leaf_value=_floats(blocks, "leaf_value"),
        leaf_count=_floats(blocks, "leaf_count"),
        sets={},
    )
    _check_shape(trees)
    _read_sets(blocks, trees)
    return trees


def tree_blocks(text: bytes) -> list[bytes]:
    """Return the texts of the trees, each from its number on."""
    end = text.find(b"\nend of trees")
    return text[: end if end >= 0 else len(text)].split(b"\nTree=")[1:]


def fields(block: bytes) -> dict[str, str]:
    """Return the lines of a part of the text, each a name and its value."""
    # Not by splitlines, for which other characters end a line than for the library.
    return dict(line.partition("=")[::2] for line in block.decode().split("\n"))


def _floats(blocks: list[dict[str, str]], name: str) -> NDArray[np.float64]:
    return np.fromstring(" ".join(block.get(name, "") for block in blocks), sep=" ")


def _integers(blocks: list[dict[str, str]], name: str) -> NDArray[np.int32]:
    return np.fromstring(" ".join(block.get(name, "") for block in blocks), sep=" ", dtype=np.int32)


def _check_shape(f: Forest) -> None:
    """Refuse trees that would send a kernel out of bounds.

    Every child must be a later split or a leaf of its own tree.
    """
    splits, leaves = int(f.split_start[-1]), int(f.leaf_start[-1])
    per_split = (f.feature, f.threshold, f.decision, f.left, f.right, f.split_count)
    if any(len(a) != splits for a in per_split) or any(len(a) != leaves for a in (f.leaf_value, f.leaf_count)):
        raise UnsupportedModelError("the trees' arrays have unequal lengths")
    sizes = np.diff(f.split_start)
    size = np.repeat(sizes, sizes)
    place = np.arange(splits) - np.repeat(f.split_start[:-1], sizes)
    for child in (f.left, f.right):
        if not np.where(child >= 0, (child > place) & (child < size), ~child <= size).all():
            raise UnsupportedModelError("a tree's children are not later splits or leaves of the same tree")


def _read_sets(blocks: list[dict[str, str]], f: Forest) -> None:
    for tree, block in enumerate(blocks):
        if block.get("num_cat", "0") == "0":
            continue
        bounds = [int(word) for word in block["cat_boundaries"].split()]
        words = [int(word) for word in block["cat_threshold"].split()]
        for split in range(f.split_start[tree], f.split_start[tree + 1]):
            if f.decision[split] & 1:
                which = int(f.threshold[split])
                f.sets[split] = tuple(words[bounds[which] : bounds[which + 1]])

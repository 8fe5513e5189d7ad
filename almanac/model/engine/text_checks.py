"""Checks of LightGBM's text format before its library reads it.

The library trusts a text: where an array is too short it ends the process, and a child or a feature out of range leads
it to foreign memory. A model directory may come from anywhere, and its digests only say that it is as it was made.
"""

import re

import numpy as np

from almanac.core.arrays import Array
from almanac.core.errors import ModelError
from almanac.model.engine.model_text import fields, tree_blocks

#: Arrays of a tree with one number a split, and with one more, for each leaf.
_SPLITS = ("split_feature", "threshold", "decision_type", "left_child", "right_child")
_LEAVES = ("leaf_value",)
#: Those that a text may lack.
_MORE_SPLITS = ("split_gain", "internal_value", "internal_weight", "internal_count")
_MORE_LEAVES = ("leaf_weight", "leaf_count")
_WHOLE = (
    *("split_feature", "decision_type", "left_child", "right_child", "cat_boundaries", "cat_threshold"),
    *("num_features", "leaf_features"),
)
_WHOLE_NUMBERS = re.compile(r"[-0-9 ]*")
#: Python also reads numbers such as 1_0, of which the library takes the 1, and longer ones, which overflow there.
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,9}")
_LARGEST = 2**32 - 1
#: Decision types of LightGBM: bits for a category, the default side and how missing values are treated.
_DECISIONS = 16
# Other white space ends a line or a number for Python, and not for the library.
_LINE = re.compile(rb"[a-z_]+=[\x20-\x7e]*")
_NAMED = re.compile(rb"[a-z_]+=[^\r]*")


def check_text(text: bytes, name: str) -> None:
    """Refuse a model whose trees do not hold together.

    Args:
        text: the model in LightGBM's text format.
        name: name of the model in error messages, such as its path.

    Raises:
        ModelError: sizes, lengths, children, features or categories that do not fit.
    """
    try:
        start = text.find(b"\nTree=") + 1
        head = _header(text[:start] if start else text)
        features = _whole(head, "max_feature_idx") + 1
        _check_classes(head)
        blocks = tree_blocks(text)
        if "tree_sizes" in head:
            _check_sizes(text, start, head["tree_sizes"].split(), len(blocks))
        for block in blocks:
            _check_tree(_values(block), features)
    # A text that is no number gives a DeprecationWarning of np.fromstring, which a filter may make an error.
    except (KeyError, ValueError, DeprecationWarning) as error:
        raise ModelError(f"{name}: not a LightGBM model: {error}") from None


def _header(text: bytes) -> dict[str, str]:
    for line in filter(None, text.split(b"\n")):
        if not _NAMED.fullmatch(line) and line not in (b"tree", b"average_output"):
            raise ValueError(f"header: the line {line[:40]!r} is not of the form name=value")
    return fields(text)


def _check_classes(head: dict[str, str]) -> None:
    """Compare the numbers of classes: the library has room for the first, and writes as many as the others say."""
    classes = _whole(head, "num_class")
    options = dict(word.partition(":")[::2] for word in head.get("objective", "").split())
    for values, name in ((head, "num_tree_per_iteration"), (options, "num_class")):
        if name in values and _whole(values, name) != classes:
            raise ValueError(f"{name} is {values[name]} with {classes} classes")


def _check_sizes(text: bytes, place: int, sizes: list[str], trees: int) -> None:
    """Compare the sizes by which the library finds the trees with their places."""
    for tree, size in enumerate(sizes):
        named = _WHOLE_NUMBER.fullmatch(size) and int(size) > 0
        if not named or not text.startswith(b"Tree=%d\n" % tree, place):
            raise ValueError(f"tree_sizes: tree {tree} is not where they say")
        place += int(size)
    # Trees after the line that ends them would be read all the same.
    if len(sizes) != trees:
        raise ValueError(f"tree_sizes: {len(sizes)} of them for {trees} trees")
    if place > len(text):
        raise ValueError("tree_sizes: they go beyond the end")


def _values(block: bytes) -> dict[str, str]:
    # An empty line ends a tree.
    number, *lines = block.rstrip(b"\n").split(b"\n")
    values = fields(block)
    # Of two equal names Python would take the last, and the library one among its first lines.
    if not all(map(_LINE.fullmatch, lines)) or len(values.keys() - {""}) != len(lines) + 1:
        raise ValueError(f"tree {number[:10]!r}: has a line twice, or one that is not of the form name=values")
    return values


def _check_tree(values: dict[str, str], features: int) -> None:
    leaves = _whole(values, "num_leaves")
    splits = leaves - 1
    if splits < 0:
        raise ValueError(f"num_leaves is {leaves}")
    arrays = {name: _array(values, name, splits) for name in _SPLITS} | {
        name: _array(values, name, leaves) for name in _LEAVES
    }
    for names, count in ((_MORE_SPLITS, splits), (_MORE_LEAVES, leaves)):
        for name in names:
            if values.get(name):
                _array(values, name, count)
    place = np.arange(splits)
    for name in ("left_child", "right_child"):
        child = arrays[name]
        if not np.where(child >= 0, (child > place) & (child < splits), -child <= leaves).all():
            raise ValueError(f"{name}: not later splits or leaves of the same tree")
    children = np.sort(np.concatenate([arrays["left_child"], arrays["right_child"]]))
    # Each has one parent: of shared ones the library would walk every path.
    if splits and not np.array_equal(children, np.concatenate([np.arange(-leaves, 0), np.arange(1, splits)])):
        raise ValueError("right_child: a split or a leaf is the child of several splits, or of none")
    _check_features(arrays["split_feature"], "split_feature", features)
    decision = arrays["decision_type"]
    if not ((decision >= 0) & (decision < _DECISIONS)).all():
        raise ValueError("decision_type: none of LightGBM's")
    _check_categories(values, arrays["threshold"][decision % 2 == 1])
    if values.get("is_linear", "0") != "0":
        _check_linear(values, leaves, features)


def _check_features(found: Array, name: str, features: int) -> None:
    if not ((found >= 0) & (found < features)).all():
        raise ValueError(f"{name}: beyond the {features} features of the model")


def _check_linear(values: dict[str, str], leaves: int, features: int) -> None:
    """Check the regressions in the leaves of a linear tree."""
    _array(values, "leaf_const", leaves)
    counts = _array(values, "num_features", leaves)
    if (counts < 0).any():
        raise ValueError("num_features: negative")
    _check_features(_array(values, "leaf_features", int(counts.sum())), "leaf_features", features)
    _array(values, "leaf_coeff", int(counts.sum()))


def _check_categories(values: dict[str, str], sets: Array) -> None:
    count = _whole(values, "num_cat")
    if count == 0 and not sets.size:
        return
    bounds = _array(values, "cat_boundaries", count + 1)
    if bounds[0] != 0 or (np.diff(bounds) < 0).any() or not ((sets >= 0) & (sets < count)).all():
        raise ValueError(f"cat_boundaries: not those of {count} sets of categories")
    _array(values, "cat_threshold", int(bounds[-1]))


def _whole(values: dict[str, str], name: str) -> int:
    if not _WHOLE_NUMBER.fullmatch(values[name]):
        raise ValueError(f"{name}: expected a whole number; got {values[name][:40]!r}")
    return int(values[name])


def _array(values: dict[str, str], name: str, count: int) -> Array:
    text = values[name]
    found: Array = np.fromstring(text, sep=" ") if text.strip() else np.zeros(0)
    # The library counts the words, of which one may be no number.
    whole = name not in _WHOLE or (_WHOLE_NUMBERS.fullmatch(text) and (np.abs(found) <= _LARGEST).all())
    if len(found) != count or len(text.split()) != count or not whole:
        raise ValueError(f"{name}: expected {count} numbers")
    return found

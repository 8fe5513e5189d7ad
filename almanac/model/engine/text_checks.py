"""Checks of LightGBM's text format before its library reads it.

The library trusts a text: where an array is too short it ends the process, and a child or a feature out of range leads
it to foreign memory. A model directory may come from anywhere, and its digests only say that it is as it was made.
"""

import re

import numpy as np
from numpy.typing import NDArray

from almanac.core.errors import ModelError
from almanac.model.engine.model_text import fields, tree_blocks

Array = NDArray[np.float64]

#: Arrays of a tree with one number a split, and with one more, for each leaf.
_SPLITS = ("split_feature", "threshold", "decision_type", "left_child", "right_child")
_LEAVES = ("leaf_value",)
#: Those that a text may lack.
_MORE_SPLITS = ("split_gain", "internal_value", "internal_weight", "internal_count")
_MORE_LEAVES = ("leaf_weight", "leaf_count")
_WHOLE = ("split_feature", "decision_type", "left_child", "right_child", "cat_boundaries", "cat_threshold")
_WHOLE_NUMBERS = re.compile(r"[-0-9 ]*")
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
        _check_sizes(text, start, [int(word) for word in head.get("tree_sizes", "").split()])
        for block in tree_blocks(text):
            _check_tree(_values(block), int(head["max_feature_idx"]) + 1)
    # A text that is no number gives a DeprecationWarning of np.fromstring, which a filter may make an error.
    except (KeyError, ValueError, DeprecationWarning) as error:
        raise ModelError(f"{name}: not a LightGBM model: {error}") from None


def _header(text: bytes) -> dict[str, str]:
    for line in filter(None, text.split(b"\n")):
        if not _NAMED.fullmatch(line) and line not in (b"tree", b"average_output"):
            raise ValueError(f"header: the line {line[:40]!r} is not of the form name=value")
    return fields(text)


def _check_sizes(text: bytes, place: int, sizes: list[int]) -> None:
    """Compare the sizes by which the library finds the trees with their places."""
    for tree, size in enumerate(sizes):
        if size <= 0 or not text.startswith(b"Tree=%d\n" % tree, place):
            raise ValueError(f"tree_sizes: tree {tree} is not where they say")
        place += size
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
    leaves = int(values["num_leaves"])
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
    feature = arrays["split_feature"]
    if not ((feature >= 0) & (feature < features)).all():
        raise ValueError(f"split_feature: beyond the {features} features of the model")
    _check_categories(values, arrays["threshold"][arrays["decision_type"].astype(np.int64) % 2 == 1])


def _check_categories(values: dict[str, str], sets: Array) -> None:
    count = int(values["num_cat"])
    if count == 0 and not sets.size:
        return
    bounds = _array(values, "cat_boundaries", count + 1)
    if bounds[0] != 0 or (np.diff(bounds) < 0).any() or not ((sets >= 0) & (sets < count)).all():
        raise ValueError(f"cat_boundaries: not those of {count} sets of categories")
    _array(values, "cat_threshold", int(bounds[-1]))


def _array(values: dict[str, str], name: str, count: int) -> Array:
    text = values[name]
    found: Array = np.fromstring(text, sep=" ") if text.strip() else np.zeros(0)
    # The library counts the words, of which one may be no number.
    if len(found) != count or len(text.split()) != count or (name in _WHOLE and not _WHOLE_NUMBERS.fullmatch(text)):
        raise ValueError(f"{name}: expected {count} numbers")
    return found

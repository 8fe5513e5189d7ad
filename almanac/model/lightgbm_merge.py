"""Merging of LightGBM boosters to one: their weighted sum, tree by tree, in LightGBM's text format.

LightGBM has no call for it. A model's text lists its trees; a sum of models has the trees of all of them, and a weight
multiplies each leaf's value.
"""

import re

import lightgbm

from almanac.core.errors import TrainingError

_TREE = re.compile(r"^Tree=\d+$", re.MULTILINE)
_VALUES = re.compile(r"^(leaf_value|internal_value)=(.*)$", re.MULTILINE)


def merge(boosters: list[tuple[float, lightgbm.Booster]]) -> str:
    """Return the text of one booster whose raw output is the weighted sum of the boosters'.

    Raises:
        TrainingError: the boosters differ in features, or one of them is no plain sum of trees.
    """
    if not boosters:
        raise TrainingError("there is no booster to merge")
    texts = [(weight, booster.model_to_string(num_iteration=-1)) for weight, booster in boosters]
    trees: list[str] = []
    for weight, text in texts:
        if _feature_names(text) != _feature_names(texts[0][1]):
            raise TrainingError("boosters of different features cannot be merged")
        if re.search(r"^(average_output|is_linear=1)$", text, re.MULTILINE):
            raise TrainingError("a random forest or a linear tree cannot be merged with other boosters")
        trees.extend(_scaled(tree, weight) for tree in _trees(text))
    return assemble(texts[0][1], trees)


def assemble(template: str, trees: list[str]) -> str:
    """Return the text of a booster of these trees, which come without their numbers, with the header of `template`."""
    blocks = [f"Tree={index}\n{tree}" for index, tree in enumerate(trees)]
    # LightGBM finds each tree by these sizes, which are in bytes.
    sizes = " ".join(str(len(block.encode())) for block in blocks)
    text = re.sub(r"^tree_sizes=.*$", f"tree_sizes={sizes}", _header(template), flags=re.MULTILINE)
    text += "".join(blocks) + "end of trees\n\n" + _tail(template)
    # LightGBM reads and writes it once, so that the importances that it derives are those of these trees.
    return str(lightgbm.Booster(model_str=text).model_to_string(num_iteration=-1))


def _header(text: str) -> str:
    match = _TREE.search(text)
    if match is None:
        raise TrainingError("a booster without a single tree cannot be merged")
    return text[: match.start()]


def _trees(text: str) -> list[str]:
    """Return each tree's lines, without the line that numbers it."""
    body = text[len(_header(text)) : text.index("end of trees")]
    return [tree.removeprefix("\n") for tree in _TREE.split(body)[1:]]


def _tail(text: str) -> str:
    return text[text.index("\nfeature_importances:") + 1 :]


def _scaled(tree: str, weight: float) -> str:
    if weight == 1.0:
        return tree
    return _VALUES.sub(lambda match: f"{match[1]}={_times(match[2], weight)}", tree)


def _times(values: str, weight: float) -> str:
    # repr gives the shortest digits that read back as the same float64.
    return " ".join(repr(float(value) * weight) for value in values.split())


def _feature_names(text: str) -> str:
    match = re.search(r"^feature_names=(.*)$", text, re.MULTILINE)
    return match[1] if match else ""

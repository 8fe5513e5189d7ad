"""Decides at load whether the compiled kernels answer for a model, or LightGBM itself."""

import logging
from dataclasses import dataclass

from almanac.core.errors import AlmanacError
from almanac.model.engine.build import load_library
from almanac.model.engine.model_text import Header, UnsupportedModelError, forest
from almanac.model.engine.parity import explains_equally, predicts_exactly
from almanac.model.engine.reference import Reference
from almanac.model.engine.shap import CompiledExplainer
from almanac.model.engine.trees import CompiledTrees

_log = logging.getLogger("almanac.engine")


@dataclass(frozen=True)
class Compiled:
    """What is compiled of a model; None where LightGBM answers."""

    trees: CompiledTrees | None
    explainer: CompiledExplainer | None


def compile_model(text: bytes, head: Header, reference: Reference, name: str) -> Compiled:
    """Return the compiled forms that proved equal to `reference`; logs one warning where one is missing, and why."""
    try:
        f = forest(text)
        trees = CompiledTrees(load_library(), f, head, reference)
    except (AlmanacError, MemoryError) as error:
        _log.warning("%s is served by LightGBM, several times slower: %s", name, error)
        return Compiled(None, None)
    if not predicts_exactly(trees, reference, f):
        _log.warning("%s is served by LightGBM, several times slower: the compiled trees differ from it", name)
        return Compiled(None, None)
    try:
        explainer = CompiledExplainer(trees, f)
    except UnsupportedModelError as error:
        _log.warning("%s is explained by LightGBM, several times slower: %s", name, error)
        return Compiled(trees, None)
    if not explains_equally(explainer, reference.booster, f):
        _log.warning("%s is explained by LightGBM, several times slower: the compiled values differ from it", name)
        return Compiled(trees, None)
    return Compiled(trees, explainer)

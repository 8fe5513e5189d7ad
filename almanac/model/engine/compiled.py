"""The choice at load between the compiled kernels and LightGBM itself."""

import logging
from dataclasses import dataclass

from almanac.core.errors import ModelError, NoCompilerError
from almanac.model.engine.model_text import Header, UnsupportedModelError, forest
from almanac.model.engine.parity import explains_equally, predicts_exactly
from almanac.model.engine.reference import Reference
from almanac.model.engine.shap import CompiledExplainer
from almanac.model.engine.trees import CompiledTrees
from almanac.native.libraries import TREES

_log = logging.getLogger("almanac.engine")


@dataclass(frozen=True)
class Compiled:
    """The compiled forms of a model; None where LightGBM answers."""

    trees: CompiledTrees | None = None
    explainer: CompiledExplainer | None = None


def compile_model(text: bytes, head: Header, reference: Reference, name: str) -> Compiled:
    """Return the compiled forms that proved equal to `reference`; a warning names the reason where one is missing."""
    try:
        library = TREES.load()
    except NoCompilerError:  # which the library has logged, once for all models
        return Compiled()
    try:
        f = forest(text)
        trees = CompiledTrees(library, f, head, reference)
    except (ModelError, MemoryError) as error:
        _log.warning("%s is served by LightGBM, several times slower: %s", name, error)
        return Compiled()
    # A compiler may break a kernel, and no test of another machine would show it: each load compares.
    if not predicts_exactly(trees, reference, f):
        _log.warning("%s is served by LightGBM, several times slower: the compiled trees differ from it", name)
        return Compiled()
    try:
        explainer = CompiledExplainer(trees, f)
    except UnsupportedModelError as error:
        _log.warning("%s is explained by LightGBM, several times slower: %s", name, error)
        return Compiled(trees)
    if not explains_equally(explainer, reference.booster, f):
        _log.warning("%s is explained by LightGBM, several times slower: the compiled values differ from it", name)
        return Compiled(trees)
    return Compiled(trees, explainer)

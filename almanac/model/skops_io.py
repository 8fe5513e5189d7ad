"""scikit-learn estimators as skops archives: only types on a closed list are built, and nothing is unpickled."""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from almanac.core.arrays import Array
from almanac.core.errors import ModelError

#: The types of HistGradientBoosting that skops does not trust by itself.
TRUSTED = ("sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",)

_SCHEMA = "schema.json"
#: One time for all files of an archive, so that its digest depends on the estimator only.
_EPOCH = (1980, 1, 1, 0, 0, 0)


def read_estimator(data: bytes, place: Path) -> Any:
    """Return the estimator in the skops archive `data`.

    Raises:
        ModelError: not a skops archive, or one with a type outside `TRUSTED`, which is named.
    """
    try:
        import skops.io
    except ImportError as error:
        raise ModelError(f"{place}: needs the packages scikit-learn and skops; install them here") from error
    try:
        return skops.io.loads(data, trusted=list(TRUSTED))
    except Exception as error:
        raise ModelError(f"{place}: refused ({error})") from error


def margin(estimator: Any) -> Callable[[Array], Array]:
    """Return the function for an estimator's raw output: its value, or the log-odds of a classifier."""
    raw: Callable[[Array], Array] = getattr(estimator, "decision_function", estimator.predict)
    return raw


def tree_contributions(estimator: Any, X: Array) -> tuple[Array, float]:
    """Return the contributions of an estimator of trees, shape (n, f), and their base value.

    Raises:
        ModelError: shap cannot explain the estimator.
    """
    from almanac.model.shap_import import shap_package

    shap = shap_package()
    try:
        both = shap.TreeExplainer(estimator)(X)
    except Exception as error:
        raise ModelError(f"{type(estimator).__name__} cannot be explained ({error})") from error
    return np.array(both.values, dtype=np.float64), float(np.ravel(both.base_values)[0]) if len(X) else 0.0


def write_estimator(estimator: Any) -> bytes:
    """Return the skops archive of an estimator, the same bytes for the same estimator.

    Raises:
        ModelError: the estimator needs a type outside `TRUSTED`, so it could not be read again.
    """
    import skops.io

    data = _canonical(skops.io.dumps(estimator))
    if unknown := sorted(set(skops.io.get_untrusted_types(data=data)) - set(TRUSTED)):
        raise ModelError(f"{type(estimator).__name__} needs {unknown[0]}, which is not on the list of trusted types")
    return data


def _canonical(data: bytes) -> bytes:
    """Return a skops archive with its objects numbered in order, because skops names them by their memory address."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(files.pop(_SCHEMA))
    numbers: dict[int, int] = {}
    names: dict[str, str] = {}
    _number(schema, numbers, names)
    renamed = {names.get(name, name): content for name, content in files.items()}
    renamed[_SCHEMA] = json.dumps(schema, indent=1).encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(renamed):
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), renamed[name], zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _number(node: Any, numbers: dict[int, int], names: dict[str, str]) -> None:
    """Replace every `__id__` and every `file` below `node` by its number in order of appearance."""
    if isinstance(node, list):
        for item in node:
            _number(item, numbers, names)
    elif isinstance(node, dict):
        if isinstance(node.get("__id__"), int):
            # An object that occurs twice keeps one number, because skops restores it as one object.
            node["__id__"] = numbers.setdefault(node["__id__"], len(numbers) + 1)
        if isinstance(node.get("file"), str):
            suffix = Path(node["file"]).suffix
            node["file"] = names.setdefault(node["file"], f"{len(names) + 1:06d}{suffix}")
        for item in node.values():
            _number(item, numbers, names)

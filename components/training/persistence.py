"""scikit-learn bodies by skops: types on a closed list alone are ever built, nothing is unpickled."""

from pathlib import Path
from typing import Any

from components.common.errors import ModelError

#: The types of HistGradientBoosting and the linear pipelines that skops does not trust by itself.
TRUSTED = (
    "sklearn._loss.link.HalfLogitLink",
    "sklearn._loss.link.IdentityLink",
    "sklearn._loss.link.Interval",
    "sklearn._loss.link.LogitLink",
    "sklearn._loss.loss.HalfBinomialLoss",
    "sklearn._loss.loss.HalfSquaredError",
    "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
)


def read_estimator(data: bytes, place: Path) -> Any:
    """Return the estimator in the skops archive `data`.

    Raises:
        ModelError: not a skops archive, or one that asks for a type outside `TRUSTED`, which is named.
    """
    import skops.io

    try:
        return skops.io.loads(data, trusted=list(TRUSTED))
    except Exception as error:
        raise ModelError(f"{place}: refused ({error})") from error


def write_estimator(estimator: Any) -> bytes:
    """Return the skops archive of an estimator, the same bytes for the same estimator.

    Raises:
        ModelError: the estimator needs a type outside `TRUSTED`, so it could not be read again.
    """
    import skops.io

    data: bytes = skops.io.dumps(estimator)
    if unknown := sorted(set(skops.io.get_untrusted_types(data=data)) - set(TRUSTED)):
        raise ModelError(f"{type(estimator).__name__} needs {unknown[0]}, which is not on the list of trusted types")
    return data

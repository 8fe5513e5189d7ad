"""The model directory: one reader for evaluation, monitoring, drift, serving and batch prediction.

    from almanac.model import load_bundle

    bundle = load_bundle(Path("runs/demand/latest"))
    predictions = bundle.targets["demand_1h"].predict(X)

`directory` verifies the files, `bodies` has one module for each kind of model body, `model` adds intervals, decisions
and explanations, and `bundle` joins the targets of a use case.
"""

from almanac.model.bundle import Bundle, load_bundle
from almanac.model.model import Model, load_model
from almanac.model.predictor import BodyKind, Predictor, RowCall, Rows

__all__ = ["BodyKind", "Bundle", "Model", "Predictor", "RowCall", "Rows", "load_bundle", "load_model"]

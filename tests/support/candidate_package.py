"""A package with a candidate and a body of its own: the value of the same hour a day before the target."""

CODE = '''
import json
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from almanac.core.errors import ModelError
from almanac.model.offset import Offset
from almanac.model.predictor import BodyKind
from almanac.training.fitted_model import SavedForm
from almanac.usecase.training_section import Learner


class DayBefore(Learner):
    """The value of the same hour a day before the target."""

    kind: Literal["day_before"]


@dataclass(frozen=True)
class DayBeforePredictor:
    history: int
    fallback: float
    offset: Offset
    names: Any
    kind: str = "day_before"
    leaves: int = 0

    def raw(self, rows):
        return np.where(np.isfinite(rows.past[:, 0]), rows.past[:, 0], self.fallback)

    def predict(self, rows):
        return self.offset.apply(self.raw(rows), rows.X)

    def row_call(self, low, high):
        raise ModelError("a day_before model needs a history")

    def explain(self, rows):
        return None

    def to_files(self):
        document = json.dumps({"history": self.history, "fallback": self.fallback})
        return {"day_before.json": document.encode(), "offset.json": self.offset.to_bytes(self.names)}


def read(files, names, directory):
    document = json.loads(files["day_before.json"])
    offset = Offset.from_json(json.loads(files["offset.json"]), names)
    return DayBeforePredictor(document["history"], document["fallback"], offset, names)


@dataclass(frozen=True)
class Fitted:
    predictor: DayBeforePredictor
    leaves: int = 0

    @property
    def linear(self):
        return self.predictor.offset

    def raw(self, problem, rows):
        X = np.empty((len(rows), 0))
        return self.predictor.raw(problem.history().rows(X, rows, self.predictor.history))

    def saved(self, problem, offset):
        return SavedForm("day_before", replace(self.predictor, offset=offset, names=problem.names).to_files())

    def contributions(self, X):
        return None


class Kind:
    name = "day_before"
    declaration = DayBefore
    cost = 0
    blendable = False

    def parameters(self):
        return {"shrink": ("shrinkage",)}

    def fit(self, declared, parameters, data, seed):
        day = 24 - data.problem.steps_ahead + 1
        return Fitted(DayBeforePredictor(day, float(data.y.mean()), Offset(), data.problem.names))


KIND = Kind()
BODY = BodyKind("day_before", read, ("day_before.json", "offset.json"))
'''
ENTRY_POINTS = """
[almanac.candidates]
day_before = yesterday:KIND

[almanac.bodies]
day_before = yesterday:BODY
"""
CANDIDATE = {"name": "yesterday", "kind": "day_before"}

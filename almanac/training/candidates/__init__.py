"""Candidates: one module for each kind, with its declaration, parameters, fit, cost and saved form.

A new kind is one module of this folder, or of another package that registers its `KIND` as an entry point of the group
`almanac.candidates`. Reading a use case file imports every kind, so a module imports its library inside of `fit`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, cast

from almanac.training.fitted_model import FittedModel
from almanac.training.problem import TrainingRows
from almanac.usecase.training_section import CANDIDATES, Learner

__all__ = ["Candidate", "candidate_kind"]


class Candidate(Protocol):
    """A kind of model that a use case file may ask for.

    Attributes:
        name: its name in the field `kind` of a candidate.
        declaration: section of the use case file, with the field `kind` as `Literal[name]`.
        cost: relative duration of a fit; the most expensive candidates are tuned first, so that no core idles at the
            end.
        blendable: whether its fitted models are `AdditiveModel`s, which can be weighted and summed into one.
    """

    name: str
    declaration: type[Learner]
    cost: int
    blendable: bool

    def parameters(self) -> Mapping[str, Sequence[str]]:
        """Return the aliases of each parameter, by its own name; empty where the library is not installed."""

    def fit(self, declared: Any, parameters: dict[str, Any], data: TrainingRows, seed: int) -> FittedModel:
        """Return the model fitted to the rows.

        Args:
            declared: the candidate's section, an instance of `declaration`.
            parameters: the fixed parameters and those of the trial.
            data: the training rows.
            seed: random seed; the same seed, rows and parameters must give the same model.

        Raises:
            ValueError, TypeError: a parameter or the data are refused; the caller adds candidate and target.
        """


def candidate_kind(declared: Learner) -> Candidate:
    """Return the registered kind of a candidate."""
    return cast(Candidate, CANDIDATES[declared.kind])

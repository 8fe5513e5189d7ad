"""Fitting of a candidate in one thread and from a fixed seed, so that its bytes are the same on every machine."""

from typing import Any

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from almanac.core.errors import AlmanacError, TrainingError
from almanac.training.candidates import candidate_kind
from almanac.training.fitted_model import FittedModel
from almanac.training.level_learner import LevelLearner, usual
from almanac.training.problem import TrainingRows
from almanac.usecase.training_section import Learner


def fit(candidate: Learner, parameters: dict[str, Any], data: TrainingRows, seed: int) -> FittedModel:
    """Return the candidate fitted to the rows.

    Raises:
        TrainingError: the candidate refuses a parameter or the data; its message is passed on.
    """
    try:
        # One thread each: sums in a fixed order, and jobs that run side by side do not fight over the cores. OpenMP
        # keeps its limit by thread, so it is set here, where the learner runs.
        with threadpool_limits(1):
            rows = usual(candidate, data) if isinstance(candidate, LevelLearner) else data
            return candidate_kind(candidate).fit(candidate, parameters, rows, seed)
    except AlmanacError:
        raise
    except (ValueError, TypeError) as error:
        raise TrainingError(f"candidate {candidate.name}, target {data.problem.target.name}: {error}") from error

"""A use case with some of its targets."""

from collections.abc import Sequence
from typing import Any

from almanac.usecase import UseCase
from almanac.usecase.training_section import Target


def with_targets(case: UseCase, targets: Sequence[Target]) -> UseCase:
    """Return a use case with these targets; candidates compete for those of their own that are left."""
    names = [target.name for target in targets]
    known: list[Any] = case.training.candidates
    candidates = [
        candidate.model_copy(update={"targets": [name for name in candidate.targets if name in names]})
        if getattr(candidate, "targets", None)
        else candidate
        for candidate in known
    ]
    training = case.training.model_copy(update={"candidates": candidates})
    return case.model_copy(update={"targets": list(targets), "training": training})

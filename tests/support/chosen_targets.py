"""A use case with some of its targets."""

from collections.abc import Sequence
from typing import Any

from almanac.usecase import UseCase
from almanac.usecase.training_section import Target


def with_targets(case: UseCase, targets: Sequence[Target]) -> UseCase:
    """Return a use case with these targets; candidates compete for those of their own that are left."""
    names = [target.name for target in targets]
    left: list[Any] = []
    for candidate in case.training.candidates:
        own = getattr(candidate, "targets", None)
        kept = None if own is None else [name for name in own if name in names]
        if kept != []:
            left.append(candidate if kept is None else candidate.model_copy(update={"targets": kept}))
    known = [candidate.name for candidate in left]
    candidates = [
        candidate.model_copy(update={"of": [name for name in candidate.of if name in known]})
        if candidate.kind == "blend"
        else candidate
        for candidate in left
    ]
    training = case.training.model_copy(update={"candidates": candidates})
    return case.model_copy(update={"targets": list(targets), "training": training})

"""Rules on the candidates of a training, and on the choice among them."""

import difflib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from almanac.usecase.training_section import CANDIDATES, Blend, CandidateKind, Choice, Learner

if TYPE_CHECKING:
    from almanac.usecase.model import UseCase


def repeated(field: str, names: list[str]) -> Iterator[str]:
    """Yield the fault of names that are declared twice."""
    if twice := sorted({name for name in names if names.count(name) > 1}):
        yield f"{field}: declared twice: {', '.join(twice)}"


def blends(usecase: "UseCase") -> Iterator[str]:
    """Yield the faults of the candidates' names, and members of blends that are not declared."""
    names = [candidate.name for candidate in usecase.training.candidates]
    yield from repeated("training.candidates", names)
    for candidate in usecase.training.candidates:
        # Sorted, since a set of names has another order in each process.
        if isinstance(candidate, Blend) and (unknown := sorted(set(candidate.of) - set(names))):
            yield f"training.candidates.{candidate.name}.of: no candidate named {', '.join(unknown)}"


def candidates(usecase: "UseCase") -> Iterator[str]:
    """Yield the faults of parameters, searches and blends; `blends` has found none."""
    kinds = {candidate.name: CANDIDATES[candidate.kind] for candidate in usecase.training.candidates}
    for candidate in usecase.training.candidates:
        field = f"training.candidates.{candidate.name}"
        if isinstance(candidate, Blend):
            yield from (f"{field}.of: {why}" for why in _blend(candidate, kinds))
        elif isinstance(candidate, Learner):
            yield from (f"{field}.{why}" for why in _parameters(candidate, kinds[candidate.name]))
            yield from (f"{field}{why}" for why in _search(candidate))
            yield from _differences(usecase, candidate)
            if unknown := sorted(set(candidate.targets or []) - {target.name for target in usecase.targets}):
                yield f"{field}.targets: no target named {', '.join(unknown)}"
    learners = [one for one in usecase.training.candidates if isinstance(one, Learner)]
    for target in usecase.targets:
        if learners and not any(one.competes(target.name) for one in learners):
            yield f"training.candidates: none competes for the target {target.name}; see their field 'targets'"


def _blend(blend: Blend, kinds: Mapping[str, CandidateKind]) -> Iterator[str]:
    for name in blend.of:
        if not kinds[name].blendable:
            *others, last = (kind for kind in CANDIDATES if CANDIDATES[kind].blendable)
            allowed = f"{', '.join(others)} and {last}"
            yield f"{name} is of kind {kinds[name].name}; a blend is made of kinds {allowed}"


def _parameters(candidate: Learner, kind: CandidateKind) -> Iterator[str]:
    """Check the names of parameters: a library would train with a misspelt one as if it were not there."""
    named = [(section, name) for section in ("fixed", "search") for name in getattr(candidate, section)]
    # Asked only when there is a name to check, since a library may take time to load.
    parameters = kind.parameters() if named else {}
    aliases = [alias for names in parameters.values() for alias in names]
    for section, name in named:
        # There are none to compare with where the library is not installed.
        if parameters and name not in parameters and name not in aliases:
            close = [*difflib.get_close_matches(name, parameters, 1), *difflib.get_close_matches(name, aliases, 1)]
            hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(sorted(parameters))}"
            yield f"{section}.{name}: is no parameter of {kind.name}; {hint}"


def _differences(usecase: "UseCase", candidate: Learner) -> Iterator[str]:
    if getattr(candidate, "predict", None) != "difference":
        return
    for target in usecase.targets:
        if target.task == "classification" and candidate.competes(target.name):
            yield (
                f"training.candidates.{candidate.name}.predict: the classification {target.name} has no difference "
                "from the last known value; name the regressions in 'targets', or leave it out"
            )


def _search(candidate: Learner) -> Iterator[str]:
    starts = candidate.start if isinstance(candidate.start, list) else [candidate.start]
    if both := sorted(candidate.fixed.keys() & candidate.search.keys()):
        yield f": {', '.join(both)} is both fixed and searched"
    if unsearched := sorted({name for start in starts for name in start} - candidate.search.keys()):
        yield f".start: {', '.join(unsearched)} is not searched; give it in 'fixed'"
    for name, search in candidate.search.items():
        if isinstance(search, Choice):
            continue
        if search.low > search.high:
            yield f".search.{name}: low {search.low} is above high {search.high}"
        if search.log and search.low <= 0:
            yield f".search.{name}: low {search.low} has no logarithm; it must be above zero"


def choice(usecase: "UseCase") -> Iterator[str]:
    """Yield the faults of the rule that chooses among the candidates."""
    names = [candidate.name for candidate in usecase.training.candidates]
    # A misspelt preference would be passed over in silence.
    if strange := sorted(set(usecase.training.choose.prefer) - set(names)):
        yield f"training.choose.prefer: no candidate named {', '.join(strange)}; known: {', '.join(names)}"
    if usecase.training.choose.then is not None and (usecase.entity is None or usecase.events is not None):
        yield "training.choose.then: mase_median compares the entities of a grid; leave it out"
    if usecase.training.choose.metric == "log_loss" and any(one.task == "regression" for one in usecase.targets):
        yield "training.choose.metric: log_loss belongs to a classification; use rmse or mae"

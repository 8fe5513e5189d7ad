"""Review of a use case before its training."""

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from almanac.core.errors import AlmanacError
from almanac.usecase import UseCase
from almanac.usecase.fold_lengths import fold_length
from almanac.usecase.types import to_duration, to_timedelta
from orchestration.retraining.plan import retraining
from orchestration.statements_check import check_draft

if TYPE_CHECKING:
    import polars as pl

#: Measured on one core of a small machine: seconds of a fit for a row, a feature and a tree, and for a row and a
#: feature of a linear model. An estimate within a factor of three is enough to decide whether to wait.
_TREE_SECONDS, _LINEAR_SECONDS = 4e-9, 1e-7
#: Tables of features that training holds at once, 8 bytes a value, and what its libraries take besides.
_COPIES, _LIBRARIES = 4, 350_000_000
_SHOWN = 3


@dataclass
class Review:
    """Findings on a use case.

    Attributes:
        errors: What cannot work, each with its field.
        warnings: What works, and deserves a look.
        facts: Figures for a program: rows, features, fits, seconds, bytes, as far as they are known.
    """

    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)


def review(usecase: UseCase) -> Review:
    """Return the findings on features, retraining window and statements."""
    result = Review()
    # A retraining is checked here rather than at the first breach.
    for rule in (_features, lambda case, _: retraining(case).apply(case), _statements):
        try:
            rule(usecase, result)
        except AlmanacError as error:
            result.errors.append(str(error))
    return result


def review_table(usecase: UseCase, base: Path, cache: Path, result: Review) -> None:
    """Add the findings of the table: its checks, split and folds, and the cost of a training."""
    from tempfile import TemporaryDirectory

    import polars as pl

    from almanac.data.ingest import ingest
    from almanac.data.validate import run_checks

    with TemporaryDirectory() as folder:
        path = Path(folder) / "table.parquet"
        try:
            ingest(usecase, base, cache, path)
            outcome = run_checks(pl.read_parquet(path), usecase, None)
        except AlmanacError as error:
            result.errors.append(str(error))
            return
    for finding in outcome.findings:
        listed = result.errors if finding.severity == "error" else result.warnings
        listed.append(finding.message())
    if outcome.table is None:
        return
    times = outcome.table[usecase.time.column]
    result.facts |= {"rows": times.len(), "from": str(times.min()), "to": str(times.max())}
    _spans(usecase, outcome.table, result)
    _cost(usecase, result)


def _features(usecase: UseCase, result: Review) -> None:
    # Reads the kinds of features, which the schema of a use case alone does not need.
    from almanac.features.spec import FeatureSpec

    specification = FeatureSpec.of(usecase)
    result.facts |= {"features": len(specification.names), "history": specification.history}
    # Events look back on histories of any length.
    if usecase.events is None:
        result.facts["look_back"] = to_duration(specification.history * to_timedelta(usecase.time.frequency))


def _statements(usecase: UseCase, result: Review) -> None:
    missing = check_draft(usecase)
    result.facts["not_stated"] = missing
    if missing:
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        result.warnings.append(
            f"governance: a draft; not stated are {', '.join(missing[:_SHOWN])}{more} (almanac statements FILE)"
        )


def _spans(usecase: UseCase, table: "pl.DataFrame", result: Review) -> None:
    """Check that split and folds lie inside the data and have rows."""
    from almanac.features.split import train_test
    from orchestration.review_spans import length_faults, target_faults

    times = table[usecase.time.column]
    micros = times.to_physical().to_numpy()
    train, test = train_test(usecase, times)
    spans = {"training": train.rows(micros), "test": test.rows(micros)}
    in_train, in_test = (int(rows.sum()) for rows in spans.values())
    result.facts |= {"rows_train": in_train, "rows_test": in_test}
    span = f"the data go from {times.min()!s} to {times.max()!s}"
    if not in_test:
        result.errors.append(f"split: the test span lies outside the data; {span}")
    if not in_train:
        result.errors.append(f"split: the training span lies outside the data; {span}")
    if not (in_train and in_test):
        return
    result.errors += target_faults(usecase, table, spans)
    if "look_back" in result.facts:
        length = timedelta(microseconds=int(micros.max() - micros.min()))
        result.warnings += length_faults(usecase, length, to_timedelta(result.facts["look_back"]))
    start = max(int(micros.min()), train.start or int(micros.min()))
    window = timedelta(microseconds=int(train.stop or 0) - start)
    folds = usecase.training.folds
    taken = folds.count * fold_length(usecase, window) + usecase.longest_wait
    if taken >= window:
        result.errors.append(
            f"training.folds: {folds.count} folds of {folds.length or 'the shortest length'} take {taken}, and the "
            f"training span has {window}; give fewer or shorter folds, or a shorter split.test"
        )


def _cost(usecase: UseCase, result: Review) -> None:
    rows, features = result.facts.get("rows_train", result.facts["rows"]), result.facts.get("features", 0)
    fits, seconds = 0, 0.0
    for candidate in usecase.training.candidates:
        search = getattr(candidate, "search", {})
        trials = (getattr(candidate, "trials", None) or usecase.training.budget.trials) if search else 1
        # Each trial is fitted on every fold, and the chosen one once more on everything.
        count = (trials * usecase.training.folds.count + 1) * len(usecase.targets)
        fixed = getattr(candidate, "fixed", {})
        trees = fixed.get("n_estimators", fixed.get("num_iterations", 100))
        each = rows * features * (_LINEAR_SECONDS if candidate.kind == "linear" else _TREE_SECONDS * trees)
        fits, seconds = fits + count, seconds + count * each
    seconds = min(seconds, usecase.training.budget.seconds * len(usecase.targets))
    memory = _LIBRARIES + _COPIES * 8 * rows * (features + len(usecase.columns))
    result.facts |= {"fits": fits, "seconds_estimated": round(seconds, 1), "bytes_estimated": memory}

"""The newest window of a table against the reference that was frozen with the model in production."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from almanac.core.errors import DriftError
from almanac.drift import Comparison, Profile, compare, profile, read, restrict
from almanac.drift.outputs import OutputDrift
from almanac.model.directory import REFERENCE
from almanac.usecase import UseCase
from almanac.usecase.types import to_timedelta
from monitoring.windows import false_alarm_budget
from monitoring.windows.output_drift import judge_produced
from monitoring.windows.outputs import Span, WatchedModel, read_watched

NOTHING_REGISTERED = "no registered model"


@dataclass(frozen=True)
class Outcome:
    """What came of it.

    Attributes:
        comparison: the columns, compared.
        reference: what the window was compared with: a registry address, or `training span`.
        version: version of the model that the reference belongs to, None where there is none.
        outputs: by target, the model's outputs, compared, or why they were not.
        signals: what counts towards the alarm.
    """

    comparison: Comparison
    reference: str
    version: int | None
    outputs: dict[str, OutputDrift | str] = field(default_factory=dict)
    signals: tuple[str, ...] = ("columns",)

    @property
    def drifted(self) -> bool:
        """Whether anything has drifted that counts."""
        columns = "columns" in self.signals and self.comparison.drifted
        return columns or any(signal in self.signals for _, signal in self.drifted_outputs)

    @property
    def drifted_outputs(self) -> list[tuple[str, str]]:
        """The outputs that have drifted, as target and signal, whether they count or not."""
        judged = [(name, found) for name, found in self.outputs.items() if not isinstance(found, str)]
        return [(name, signal) for name, found in judged for signal in found.drifted]


def detect(usecase: UseCase, table: Path, registry: str = "", now: datetime | None = None) -> Outcome:
    """Compare the newest window of a table with the reference of the model in production.

    Before a model is in production, the training span is the reference, and there are no outputs to compare.

    Args:
        usecase: the use case; its section `drift` names the columns, the window, the rate, and what counts.
        table: the validated table, or a feature table, as Parquet.
        registry: address of the model registry; none is asked when empty.
        now: what to write as the time of the comparison; the present when None.

    Raises:
        DriftError: a table without rows, without time, or shorter than a window.
        RegistryError: a registered model that does not verify.
    """
    frame, now = _read(usecase, table), now or datetime.now(UTC)
    newest = datetime.fromisoformat(str(frame[usecase.time.column].max()))
    stop = newest + to_timedelta(usecase.time.frequency)
    span = Span(stop - to_timedelta(usecase.drift.window), stop)
    registered = _registered(usecase, registry)
    reference = registered.inputs if registered else _training_span(usecase, frame)
    watched = registered.watched if registered else {t.name: NOTHING_REGISTERED for t in usecase.targets}
    expected = _expected(usecase, reference, frame)
    models = {name: model for name, model in watched.items() if isinstance(model, WatchedModel)}
    level = false_alarm_budget.of_drift(usecase, len(expected), len(models))
    current = frame.filter(span.holds(usecase.time.column))
    comparison = compare(restrict(reference, expected), current, now=now, rate=_rate(level, len(expected)))
    produced = judge_produced(usecase, frame, models, span, level, now)
    outputs = {name: produced.get(name, model) for name, model in watched.items()}
    return Outcome(
        comparison=comparison,
        reference=registered.address if registered else "training span",
        version=registered.version if registered else None,
        outputs={name: found for name, found in outputs.items() if not isinstance(found, WatchedModel)},
        signals=tuple(usecase.drift.signals),
    )


def _read(usecase: UseCase, table: Path) -> pl.DataFrame:
    frame, time = pl.read_parquet(table), usecase.time.column
    if time not in frame.columns:
        raise DriftError(f"{table} has no time column {time!r}; it has {', '.join(frame.columns)}")
    if not frame.height:
        raise DriftError(f"{table} has no rows; there is nothing to compare")
    return frame.with_columns(pl.col(time).cast(pl.Datetime("us")))


def _rate(level: float, columns: int) -> float:
    """Return the chance for some columns together; what does not count is given as much as what does."""
    return min(0.5, level * columns)


@dataclass(frozen=True)
class _Registered:
    inputs: Profile
    watched: dict[str, WatchedModel | str]
    address: str
    version: int


def _registered(usecase: UseCase, registry: str) -> _Registered | None:
    """Return what was frozen with the model in production, or None where there is none."""
    if not registry:
        return None
    from governance.registry import Registry, resolve

    version = Registry(registry).current(usecase.name)
    if version is None:
        return None
    address = f"registry:{usecase.name}/{version.number}"
    directory = resolve(address, registry)
    # Every target has the same profile of the inputs; one that is new in the use case has none yet.
    files = [directory / target.name / REFERENCE for target in usecase.targets]
    inputs = read(next((file for file in files if file.exists()), files[0]))
    return _Registered(inputs, read_watched(usecase, directory, version.number), address, version.number)


def _training_span(usecase: UseCase, frame: pl.DataFrame) -> Profile:
    time, split = pl.col(usecase.time.column), usecase.split
    inside = time < pl.lit(split.test_from).cast(pl.Datetime("us"))
    if split.train_from is not None:
        inside &= time >= pl.lit(split.train_from).cast(pl.Datetime("us"))
    elif split.train_window is not None:
        start = pl.lit(split.test_from).cast(pl.Datetime("us")) - to_timedelta(split.train_window)
        inside &= time >= start
    return profile(
        frame.filter(inside),
        columns=[name for name in usecase.drift.columns or usecase.columns if name in frame.columns] or None,
        time=usecase.time.column,
        entity=usecase.entity,
        season=usecase.drift.season,
        window=usecase.drift.window,
        false_alarm_rate=usecase.drift.false_alarm_rate,
    )


def _expected(usecase: UseCase, reference: Profile, frame: pl.DataFrame) -> list[str]:
    """Return the columns of the reference that this table has, or should have.

    A raw table must have all raw columns that are watched; a feature table has other columns, and none of these.
    """
    raw = usecase.drift.columns or list(usecase.columns)
    is_raw = any(name in frame.columns for name in raw)
    return [name for name in reference.features if name in frame.columns or (is_raw and name in raw)]

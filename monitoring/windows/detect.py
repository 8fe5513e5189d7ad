"""Drift of the newest window of a table, compared with the reference frozen with the model in production."""

import dataclasses
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from almanac.core.errors import DriftError
from almanac.drift import Comparison, Profile, compare, profile, read, restrict
from almanac.drift.outputs import OutputDrift
from almanac.features.split import train_test
from almanac.model.directory import REFERENCE
from almanac.usecase import UseCase
from almanac.usecase.types import to_timedelta
from monitoring.windows.false_alarm_budget import drift_level
from monitoring.windows.output_drift import judge_models
from monitoring.windows.outputs import Span, WatchedModel, outputs_to_json, read_watched_models

NOTHING_REGISTERED = "no registered model"


@dataclass(frozen=True)
class DriftOutcome:
    """The drift of the newest window.

    Attributes:
        comparison: the columns, compared.
        reference: the reference: a registry address, or `training span`.
        version: first version with the model that the reference belongs to, None where there is none.
        outputs: by target, the comparison of the model's outputs, or the reason why there is none.
        signals: the signals that count towards the alarm.
    """

    comparison: Comparison
    reference: str
    version: int | None
    outputs: dict[str, OutputDrift | str] = field(default_factory=dict)
    signals: tuple[str, ...] = ("columns",)

    @property
    def drifted(self) -> bool:
        """Whether a signal that counts has drifted."""
        columns = "columns" in self.signals and self.comparison.drifted
        return columns or any(signal in self.signals for _, signal in self.drifted_outputs)

    @property
    def drifted_outputs(self) -> list[tuple[str, str]]:
        """The outputs that have drifted, as target and signal, whether they count or not."""
        judged = [(name, output) for name, output in self.outputs.items() if not isinstance(output, str)]
        return [(name, signal) for name, output in judged for signal in output.drifted]

    def to_json(self, usecase: UseCase) -> dict[str, Any]:
        """Return drift.json: the comparison of the columns, and under `outputs` that of each target's model."""
        return {
            **self.comparison.to_json(),
            "drifted": self.drifted,
            "use_case": usecase.name,
            "against": self.reference,
            "version": self.version,
            "signals": list(self.signals),
            "drifted_outputs": [f"{name} {signal}" for name, signal in self.drifted_outputs],
            "outputs": outputs_to_json(self.outputs),
        }

    def summary(self) -> str:
        """Return the outcome in one line."""
        if not self.drifted:
            return f"quiet, against {self.reference}"
        columns = [feature.name for feature in self.comparison.features if feature.drifted]
        drifted = [f"{len(columns)} of {len(self.comparison.features)} columns drifted"]
        if outputs := [f"{name} {signal}" for name, signal in self.drifted_outputs]:
            drifted.append(f"and {', '.join(outputs)}")
        return f"{', '.join(drifted)}, against {self.reference}"


def detect(usecase: UseCase, table: Path, registry: str = "", now: datetime | None = None) -> DriftOutcome:
    """Compare the newest window of a table with the reference of the model in production.

    Before a model is in production, the training span is the reference, and there are no outputs to compare.

    Args:
        usecase: the use case; its section `drift` names the columns, the window, the rate, and the signals that count.
        table: the validated table, or a feature table, as Parquet.
        registry: address of the model registry; no model is looked for when empty.
        now: what to write as the time of the comparison, by the wall clock; the present when None.

    Raises:
        DriftError: a table without rows, without time, or shorter than a window.
        RegistryError: a registered model that does not verify.
    """
    frame = _read(usecase, table)
    newest = datetime.fromisoformat(str(frame[usecase.time.column].max()))
    stop = newest + to_timedelta(usecase.time.frequency)
    span = Span(stop - to_timedelta(usecase.drift.window), stop)
    registered = _registered(usecase, registry)
    reference = registered.inputs if registered else _training_span(usecase, frame)
    watched = registered.watched if registered else {t.name: NOTHING_REGISTERED for t in usecase.targets}
    expected = _expected(usecase, reference, frame)
    models = {name: model for name, model in watched.items() if isinstance(model, WatchedModel)}
    # Columns and outputs share one rate of false alarms, so that more outputs do not mean more alarms.
    level = drift_level(usecase, len(expected), len(models))
    current = frame.filter(span.holds(usecase.time.column))
    # Not `whole`: which columns are watched is the use case's choice, and others are not missed.
    comparison = compare(restrict(reference, expected), current, now=now, rate=_rate(level, len(expected)), whole=False)
    judged = judge_models(usecase, frame, models, span, level)
    outputs = {name: judged.get(name, model) for name, model in watched.items()}
    return DriftOutcome(
        comparison=comparison,
        reference=registered.address if registered else "training span",
        version=registered.version if registered else None,
        outputs={name: output for name, output in outputs.items() if not isinstance(output, WatchedModel)},
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
    """Return the chance for some columns together, whether they count or not."""
    return min(0.5, level * columns)


@dataclass(frozen=True)
class _Registered:
    inputs: Profile
    watched: dict[str, WatchedModel | str]
    address: str
    version: int


def _registered(usecase: UseCase, registry: str) -> _Registered | None:
    """Return the references frozen with the model in production, or None without one."""
    if not registry:
        return None
    from governance.registry import Registry, resolve

    reader = Registry(registry)
    current = reader.current(usecase.name)
    if current is None:
        return None
    # The references came with the model, and an edited statement measures nothing anew.
    version = reader.origin(usecase.name, current)
    address = f"registry:{usecase.name}/{version.number}"
    directory = resolve(address, registry)
    # Every target has the same profile of the inputs; one that is new in the use case has none yet.
    files = [directory / target.name / REFERENCE for target in usecase.targets]
    inputs = read(next((file for file in files if file.exists()), files[0]))
    return _Registered(inputs, read_watched_models(usecase, directory, version.number), address, version.number)


def _training_span(usecase: UseCase, frame: pl.DataFrame) -> Profile:
    time = frame[usecase.time.column]
    # The span that a training would use now: the first model is to be compared with what it will learn from. It knows
    # the rows of the gap, too: only their targets lie in the test span.
    train, test = train_test(usecase, time)
    inside = dataclasses.replace(train, stop=test.start).rows(time.to_physical().to_numpy())
    return profile(
        frame.filter(pl.Series(inside)),
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

"""The newest window of a table against the reference that was frozen with the model in production."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from components.common.errors import DriftError
from components.usecase import UseCase
from components.usecase.base import to_timedelta
from monitoring.drift import Comparison, Profile, compare, profile, read, restrict


@dataclass(frozen=True)
class Outcome:
    """What came of it.

    Attributes:
        comparison: the comparison.
        reference: what the window was compared with: a registry address, or `training span`.
        version: version of the model that the reference belongs to, None where there is none.
    """

    comparison: Comparison
    reference: str
    version: int | None


def detect(usecase: UseCase, table: Path, registry: str = "", now: datetime | None = None) -> Outcome:
    """Compare the newest window of a table with the reference of the model in production.

    Before a model is in production, the training span is the reference.

    Args:
        usecase: the use case; its section `drift` names the columns, the window and the rate.
        table: the validated table, or a feature table, as Parquet.
        registry: address of the model registry; none is asked when empty.
        now: what to write as the time of the comparison; the present when None.

    Raises:
        DriftError: a table without rows, without time, or shorter than a window.
        RegistryError: a registered model that does not verify.
    """
    frame = pl.read_parquet(table)
    time = usecase.time.column
    if time not in frame.columns:
        raise DriftError(f"{table} has no time column {time!r}; it has {', '.join(frame.columns)}")
    if not frame.height:
        raise DriftError(f"{table} has no rows; there is nothing to compare")
    current = frame.filter(pl.col(time) > pl.col(time).max() - to_timedelta(usecase.drift.window))
    reference, address, version = _registered(usecase, registry) or (
        _training_span(usecase, frame),
        "training span",
        None,
    )
    expected = _expected(usecase, reference, frame)
    comparison = compare(restrict(reference, expected), current, now=now or datetime.now(UTC))
    return Outcome(comparison, address, version)


def _registered(usecase: UseCase, registry: str) -> tuple[Profile, str, int] | None:
    """Return the reference of the model in production, its address and version, or None where there is none."""
    if not registry:
        return None
    from governance.registry import Registry, resolve

    version = Registry(registry).current(usecase.name)
    if version is None:
        return None
    address = f"registry:{usecase.name}/{version.number}"
    directory = resolve(address, registry)
    return read(directory / usecase.targets[0].name / "reference.json"), address, version.number


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

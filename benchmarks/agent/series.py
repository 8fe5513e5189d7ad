"""Evidence of windows of the real series: by the product's own checks, monitoring and figures."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zlib import crc32

import numpy as np
import polars as pl

from almanac.core.errors import TableError
from almanac.data.validate import refuse_errors, run_checks
from almanac.drift import profile
from almanac.features.batch import compute
from almanac.features.spec import FeatureSpec
from almanac.usecase import UseCase
from almanac.usecase.types import to_timedelta
from benchmarks.agent.faults import FAULTS, Case, inject
from benchmarks.policy_series import Series
from monitoring.windows.join import with_truth
from monitoring.windows.judge import Monitored, judge
from operations.agent.evidence import Evidence
from operations.agent.evidence.failures import failure_figures
from operations.agent.evidence.release import error_ratio, worse
from operations.agent.evidence.table import staleness, table_figures
from operations.agent.evidence.windows import window_figures

#: Rows that are validated and compared; the look-back of features and of seasons is in them.
_VALIDATED = timedelta(days=400)
TARGETS = ("pm25_6h", "pm25_24h")


@dataclass(frozen=True)
class Example:
    """The evidence of one window, and the cause that is right; empty for a clean window."""

    fault: str
    cause: str
    stop: datetime
    evidence: Evidence


class World:
    """A model in production with the one before it, and the windows that neither has learned from.

    Args:
        usecase: the use case.
        table: the validated table.
        trained: when the model in production was trained; the one before it learned half a year less.
    """

    def __init__(self, usecase: UseCase, table: pl.DataFrame, trained: datetime) -> None:
        policy = usecase.drift.policy.model_copy(update={"of": 1, "breaches": 1})
        drift = usecase.drift.model_copy(update={"policy": policy})
        targets = [usecase.target(name) for name in TARGETS]
        self.usecase = usecase.model_copy(update={"targets": targets, "drift": drift})
        self.table, self.trained, self.before = table, trained, trained - timedelta(days=182)
        self.series = Series(self.usecase, table, None)
        self.watch = self.series.watch(trained)
        self._spec = FeatureSpec.of(self.usecase)
        first: Any = table[usecase.time.column].min()
        # A model that has learned the first 45 days, and no other season.
        self._early = first + timedelta(days=45)

    def evidence(self, case: Case, rng: np.random.Generator) -> Evidence:
        """Return the evidence that the agent has of a window."""
        usecase, age = self.usecase, staleness(self.usecase, case.table, case.stop)
        columns, units = table_figures(usecase, case.table)
        figures = {"stale": age}
        message = self._refusal(case)
        if message is None:
            figures |= self._judged(case, rng)
        else:
            figures |= failure_figures("validation", message)
        targets = tuple({target.column for target in usecase.targets})
        return Evidence(figures=figures, columns=columns, units=units, target=targets)

    def _refusal(self, case: Case) -> str | None:
        """Return the message of a validation that refuses the table, None where it takes it."""
        rules = self.usecase.validation.model_copy(update={"min_rows": 1000, "staleness": None})
        usecase = self.usecase.model_copy(update={"validation": rules})
        table = case.table.filter(pl.col("timestamp") >= case.stop - _VALIDATED)
        try:
            refuse_errors(run_checks(table, usecase, None), usecase)
        except TableError as error:
            return str(error)
        return None

    def _judged(self, case: Case, rng: np.random.Generator) -> dict[str, float]:
        time, usecase = self.series.time, self.usecase
        newest: Any = case.table[time].max()
        stop = newest + to_timedelta(usecase.time.frequency)
        start = stop - to_timedelta(usecase.drift.window) - 2 * self.series.gap
        # The longest look-back of a feature is a week.
        recent = case.table.filter(pl.col(time) >= start - timedelta(days=9))
        rows = compute(self._spec, recent).filter(pl.col(time) >= start)
        ours = self._forecasts(rows, self.trained, case.bad_release, rng)
        theirs = self._forecasts(rows, self.before, None, rng)
        reference = self._opposite(case.stop) if case.other_season else self.watch.reference
        joined = with_truth(usecase, case.table, ours)
        monitored = Monitored(
            usecase, case.table, joined, reference, {}, self.watch.ranges, case.stop, self.watch.outputs
        )
        document = {"windows": [window.document for window in judge(monitored)]}
        return window_figures(document, {target.column for target in usecase.targets}) | self._release(
            case, ours, theirs, stop
        )

    def _forecasts(
        self, rows: pl.DataFrame, trained: datetime, spoiled: str | None, rng: np.random.Generator
    ) -> pl.DataFrame:
        X, time, parts = rows.select(self.series.names).to_numpy(), self.series.time, []
        order = rng.permutation(X.shape[1])
        for target in self.usecase.targets:
            last = rows[target.column].to_numpy()
            booster = self.series.model(self._early if spoiled == "few rows" else trained)[target.name]
            made = np.asarray(booster.predict(X[:, order] if spoiled == "shuffled" else X)) + last
            if spoiled == "scaled":
                made = made * 1.5
            if spoiled == "late":
                made = np.concatenate([np.full(12, np.nan), made[:-12]])
            lower, upper = self.watch.intervals[target.name].apply(last, made)
            figures = {"prediction": made, "lower": lower, "upper": upper}
            parts.append(pl.DataFrame({time: rows[time], "target": [target.name] * len(rows), **figures}))
        return pl.concat(parts).with_columns(version=pl.lit(2, pl.Int64))

    def _release(self, case: Case, ours: pl.DataFrame, theirs: pl.DataFrame, stop: datetime) -> dict[str, float]:
        ratios = []
        for target in self.usecase.targets:
            longest, length = self.series.gap, to_timedelta(self.usecase.drift.window)
            errors = []
            for made in (ours, theirs):
                known = with_truth(self.usecase, case.table, made.filter(pl.col("target") == target.name))
                inside = known.filter(
                    pl.col(self.series.time).is_between(stop - longest - length, stop - longest, closed="left")
                )
                errors.append(inside.select(pl.col("prediction") - pl.col("y")).to_series())
            ratios.append(error_ratio(*errors))
        known_ratios = [ratio for ratio in ratios if np.isfinite(ratio)]
        return {"release.worse": worse(max(known_ratios))} if known_ratios else {}

    def _opposite(self, stop: datetime) -> Any:
        """Return the profile of the columns in the summers, for a window of winter, or in the winters."""
        drift, middle = self.usecase.drift, stop - timedelta(days=15)
        months = [12, 1, 2] if middle.month in range(4, 11) else [6, 7, 8]
        rows = self.table.filter((pl.col("timestamp") < self.trained) & pl.col("timestamp").dt.month().is_in(months))
        return profile(
            rows,
            columns=list(self.usecase.columns),
            time="timestamp",
            season="none",
            window=drift.window,
            false_alarm_rate=drift.false_alarm_rate,
        )


def examples(
    world: World, faults: list[str], first: datetime, last: datetime, step: timedelta, seed: int
) -> Iterator[Example]:
    """Yield the evidence of each fault, and of the clean window, at each end of a window in a span.

    Args:
        world: the models.
        faults: names of faults; `clean` for none.
        first: end of the first window.
        last: end of the last window.
        step: between two windows.
        seed: of the sizes of the faults.
    """
    stop = first
    while stop <= last:
        for fault in faults:
            # By name, so that a fault added later changes no other one.
            rng = np.random.default_rng([seed, stop.toordinal(), crc32(fault.encode())])
            case = inject(fault, world.table, stop, rng)
            yield Example(fault, FAULTS[fault][1] if fault != "clean" else "", stop, world.evidence(case, rng))
        stop += step

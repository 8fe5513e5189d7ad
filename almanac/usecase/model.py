"""The use case as a whole, with the references between its sections."""

from datetime import UTC, datetime
from itertools import pairwise
from typing import Annotated, Self

from pydantic import Field, model_validator

from almanac.usecase.data_section import CHECKS, Column, Source, TimeGrid, Validation
from almanac.usecase.features_section import Features
from almanac.usecase.operations_section import Drift, Governance, Schedule, Serving
from almanac.usecase.rules import check
from almanac.usecase.training_section import (
    GATE_RULES,
    Blend,
    Evaluation,
    GateRule,
    Split,
    Target,
    Training,
)
from almanac.usecase.types import Name, Section, steps, to_timedelta, to_utc


class UseCase(Section):
    """One forecasting problem, from its sources to its governance facts."""

    name: Name
    """Name of the use case; runs, models and pipelines carry it."""
    title: str
    """Title of reports and documents."""
    description: str
    """What is forecast, and for whom."""
    time: TimeGrid
    """The time column."""
    entity: Name | None = None
    """Column that tells several series apart."""
    sources: Annotated[list[Source], Field(min_length=1)]
    """Sources; the first one sets the rows, the others join it."""
    columns: dict[Name, Column]
    """Every column of the joined table besides time and entity."""
    validation: Validation = Field(default_factory=Validation)
    """Rules for the table as a whole."""
    features: Features
    """Features."""
    targets: Annotated[list[Target], Field(min_length=1)]
    """Targets."""
    split: Split
    """Training and test span."""
    training: Training
    """Candidates and tuning."""
    evaluation: Evaluation
    """Judgement."""
    gates: Annotated[list[GateRule], Field(min_length=1)]
    """Rules that a model must pass to be registered."""
    drift: Drift = Drift()
    """Drift."""
    serving: Serving = Serving()
    """Serving."""
    governance: Governance
    """Facts that people supply."""
    schedule: Schedule = Schedule()
    """Schedules."""

    @model_validator(mode="after")
    def _joins(self) -> Self:
        if self.sources[0].join is not None:
            raise ValueError("sources.0.join: the first source sets the rows and has no join")
        for index, source in enumerate(self.sources[1:], start=1):
            if source.join is None:
                raise ValueError(f"sources.{index}.join: a further source needs a join with a tolerance")
        _unique("sources", [source.name for source in self.sources])
        return self

    def now(self) -> datetime:
        """Return the current time in naive UTC, or the declared one of an archive (`validation.staleness.as_of`)."""
        staleness = self.validation.staleness
        if staleness is None or staleness.as_of == "now":
            return datetime.now(UTC).replace(tzinfo=None, microsecond=0)
        return to_utc(staleness.as_of)

    @model_validator(mode="after")
    def _targets_exist(self) -> Self:
        _unique("targets", [target.name for target in self.targets])
        for target in self.targets:
            if self._column(f"targets.{target.name}.column", target.column).type == "category":
                raise ValueError(f"targets.{target.name}.column: {target.column} is a category; a target is a number")
            try:
                ahead = steps(target.horizon, self.time.frequency)
            except ValueError as error:
                raise ValueError(f"targets.{target.name}.horizon: {error}") from error
            if ahead < 1:
                raise ValueError(f"targets.{target.name}.horizon: must be at least one step of {self.time.frequency}")
        return self

    @model_validator(mode="after")
    def _gap_covers_horizons(self) -> Self:
        longest = max((target.horizon for target in self.targets), key=to_timedelta)
        if self.split.gap is not None and to_timedelta(self.split.gap) < to_timedelta(longest):
            raise ValueError(f"split.gap: {self.split.gap} is shorter than the longest horizon, {longest}")
        return self

    @model_validator(mode="after")
    def _candidates_exist(self) -> Self:
        names = [candidate.name for candidate in self.training.candidates]
        _unique("training.candidates", names)
        for candidate in self.training.candidates:
            if isinstance(candidate, Blend) and (unknown := sorted(set(candidate.of) - set(names))):
                raise ValueError(f"training.candidates.{candidate.name}.of: no candidate named {', '.join(unknown)}")
        return self

    @model_validator(mode="after")
    def _references_exist(self) -> Self:
        for index, gate in enumerate(self.gates):
            for problem in GATE_RULES[gate.rule].problems(gate, self):
                raise ValueError(f"gates.{index}.{problem}")
        for index, rule in enumerate(self.validation.checks):
            for problem in CHECKS[rule.rule].problems(rule, self):
                raise ValueError(f"validation.checks.{index}.{problem}")
        for group in self.evaluation.groups:
            if group.column is not None and group.column != self.entity:
                self._column(f"evaluation.groups.{group.name}.column", group.column)
        for column in self.drift.columns or []:
            self._column("drift.columns", column)
        return self

    @model_validator(mode="after")
    def _bands_ascend(self) -> Self:
        bands = self.evaluation.bands
        if any(low >= high for low, high in pairwise(bands.edges)):
            raise ValueError("evaluation.bands.edges: must ascend")
        if bands.names is not None and len(bands.names) != len(bands.edges) + 1:
            raise ValueError(f"evaluation.bands.names: {len(bands.edges)} edges need {len(bands.edges) + 1} names")
        return self

    @model_validator(mode="after")
    def _sections_agree(self) -> Self:
        check(self)
        return self

    def target(self, name: str) -> Target:
        """Return the target called `name`.

        Raises:
            KeyError: there is none.
        """
        return {target.name: target for target in self.targets}[name]

    def _column(self, field: str, name: str) -> Column:
        if name not in self.columns:
            raise ValueError(f"{field}: no column named {name}; known: {', '.join(sorted(self.columns))}")
        return self.columns[name]


def _unique(field: str, names: list[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{field}: declared twice: {', '.join(twice)}")

"""The use case as a whole, with the references between its sections."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from almanac.usecase.cluster_section import Cluster
from almanac.usecase.column_section import Column
from almanac.usecase.data_section import Source, TimeGrid
from almanac.usecase.defaults import complete
from almanac.usecase.evaluation_section import Evaluation
from almanac.usecase.events_section import Events
from almanac.usecase.features_section import Features
from almanac.usecase.gate_section import GateRule
from almanac.usecase.operations_section import Drift, Governance, Schedule, Serving
from almanac.usecase.rules import check
from almanac.usecase.split_section import Split
from almanac.usecase.tracking_section import Tracking
from almanac.usecase.training_section import Target, Training
from almanac.usecase.types import Name, Section, absent, to_microseconds, to_timedelta, to_utc
from almanac.usecase.validation_section import Validation


class UseCase(Section):
    """One forecasting problem, from its sources to its governance facts."""

    name: Name
    """Name of the use case; runs, models and pipelines carry it."""
    title: str
    """Title of reports and documents."""
    description: str
    """Purpose of the forecast."""
    time: TimeGrid
    """The time column."""
    entity: Name | None = None
    """Column that identifies the series, if there are several."""
    # Left out of a dump when absent, so that the digests of use cases of grids stay as they were.
    events: Annotated[Events | None, absent(None)] = None
    """Where the rows are events without a regular step: their entities, and when their outcomes are known."""
    sources: Annotated[list[Source], Field(min_length=1)]
    """Sources; the first one determines the rows, the others join it."""
    columns: dict[Name, Column]
    """Every column of the joined table except time and entity."""
    # Made with each use case, because on import the registry of checks, which it lists, cannot be read yet.
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
    tracking: Annotated[Tracking | None, absent(None)] = None
    """Where trainings are logged to, in addition to the archive for Comet."""
    evaluation: Evaluation
    """Evaluation on the held-out span."""
    gates: Annotated[list[GateRule], Field(min_length=1)]
    """Rules that a model must pass to be registered."""
    drift: Drift = Drift()
    """Drift."""
    serving: Serving = Serving()
    """Serving."""
    governance: Governance
    """Facts supplied by people."""
    schedule: Schedule = Schedule()
    """Schedules."""
    cluster: Cluster = Cluster()
    """Pods of the pipelines' tasks."""

    @model_validator(mode="before")
    @classmethod
    def _whole(cls, data: Any) -> Any:
        return complete(data)

    @model_validator(mode="after")
    def _sections_agree(self) -> Self:
        check(self)
        return self

    @property
    def keys(self) -> list[str]:
        """The columns that identify a row: the entity, if there is one, and the time."""
        return [*([self.entity] if self.entity else []), self.time.column]

    @property
    def longest_horizon(self) -> str:
        """The longest horizon of the targets, such as 24h."""
        return max((target.horizon for target in self.targets), key=to_timedelta)

    @property
    def longest_wait(self) -> timedelta:
        """The longest time from a prediction to the time that it forecasts, closed days included."""
        return timedelta(microseconds=self.time.grid.longest(to_microseconds(self.longest_horizon)))

    @property
    def archive_as_of(self) -> str | None:
        """The declared present of an archive (`validation.staleness.as_of`); None where the data go on."""
        staleness = self.validation.staleness
        return None if staleness is None or staleness.as_of == "now" else staleness.as_of

    def now(self) -> datetime:
        """Return the present of the data's clock in naive UTC: the declared one of an archive, or the wall clock's."""
        if self.archive_as_of is None:
            return datetime.now(UTC).replace(tzinfo=None, microsecond=0)
        return to_utc(self.archive_as_of)

    def target(self, name: str) -> Target:
        """Return the target called `name`.

        Raises:
            KeyError: there is none.
        """
        return {target.name: target for target in self.targets}[name]

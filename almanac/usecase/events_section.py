"""The events section: rows without a regular step, each with an outcome that is known some time after it."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from almanac.usecase.types import Duration, Name, Section, absent


class EventEntity(Section):
    """A kind of entity that has a history: a team in two roles, a park, or all events together."""

    name: Name
    """Name by which features ask for its history."""
    column: Name | None = None
    """Column that identifies it, where an event has one such entity; without `column` and `roles` all events share one
    history."""
    roles: dict[Name, Name] | None = None
    """Or its column in each role, such as {home: home_team, away: away_team}."""

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if self.column is not None and self.roles is not None:
            raise ValueError("give either 'column' or 'roles'")
        return self


class Residual(Section):
    """Difference of an event's outcome from a number of its histories, such as a price's distance from the usual one.

    Its means over other entities, such as all cards of a set, are an index that a change of what is sold does not move.
    """

    column: Name
    """Outcome."""
    feature: Name
    """Feature of a kind of events, such as log_price_median_5, as it stood when the event was predicted."""
    limit: Annotated[float | None, Field(gt=0), absent(None)] = None
    """Largest distance from 0; a residual beyond it counts as the limit."""


class Events(Section):
    """Events: one row is an event with a time of its own, and its outcome is known later."""

    known_after: Duration
    """How long after an event its outcome is known; histories hold no outcome before."""
    outcomes: Annotated[list[Name], Field(min_length=1)]
    """Columns that are known only then; all others are known at the prediction time, which is the event's time less
    the cutoff."""
    roles: list[Name] = []
    """Roles of an entity that appears several times in an event, in the order of differences: the first less the
    second."""
    entities: Annotated[list[EventEntity], Field(min_length=1)]
    """Kinds of entities with a history; the first is the one whose newest outcome is the last known value."""
    sides: dict[Name, dict[Name, Name]] = {}
    """Values as each role sees them: a name, and for each role the column, such as
    runs_for: {home: home_runs, away: away_runs}."""
    residuals: Annotated[dict[Name, Residual], absent({})] = {}
    """Further outcomes, which features ask of any entity: another outcome less what the histories said of it."""

    def entity(self, name: str) -> EventEntity:
        """Return a kind of entity.

        Raises:
            ValueError: there is none of this name.
        """
        for one in self.entities:
            if one.name == name:
                return one
        raise ValueError(
            f"no entity named {name} in events.entities; known: {', '.join(e.name for e in self.entities)}"
        )

    def roles_of(self, entity: EventEntity) -> list[str]:
        """Return the roles of an entity, in order; one without a name where it has none."""
        return [""] if entity.roles is None else self.roles

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [one.name for one in self.entities]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"entities: declared twice: {', '.join(twice)}")
        for one in self.entities:
            if one.roles is not None and set(one.roles) != set(self.roles):
                raise ValueError(f"entities.{one.name}.roles: expected the roles {', '.join(self.roles) or '(none)'}")
        for name, side in self.sides.items():
            if set(side) != set(self.roles):
                raise ValueError(f"sides.{name}: expected a column for each of {', '.join(self.roles) or '(no roles)'}")
        return self

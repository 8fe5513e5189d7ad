"""An event kind: numbers that are asked of an entity's past events.

A module of `almanac.features.kinds` declares what the use case file says, and gives the numbers by a function of the
past alone, so that it can see nothing else:

    class Count(EventDeclaration):
        kind: Literal["event_count"]

        def asked(self, events: Events) -> Asked:
            return Asked((), ("events",), _count)

    def _count(past: Past) -> list[float]:
        return [float(len(past.times))]

    KIND = EventKind(Count, [{"kind": "event_count", "of": "team"}])
"""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from almanac.features.compiler.formula import Inputs
from almanac.features.events.ledger import Past
from almanac.features.kind import Context, Declaration, Feature, FeatureKind, Value
from almanac.usecase.events_section import EventEntity, Events
from almanac.usecase.types import Name

__all__ = ["Asked", "EventDeclaration", "EventKind", "Events", "Past", "Running"]


@dataclass(frozen=True)
class Running:
    """A number that each entity carries from event to event, such as a rating.

    Attributes:
        name: name of the ledger's column that holds it after each event.
        start: its value before the first event.
        update: takes each role's number before the event and the days since its last one (NaN before the first), and
            the event's values of `Asked.columns` as the first role sees them; returns each role's number after it.
    """

    name: str
    start: float
    update: Callable[[Sequence[float], Sequence[float], Sequence[float]], Sequence[float]]


@dataclass(frozen=True)
class Asked:
    """The numbers that a declaration asks of the past of an entity.

    Attributes:
        columns: columns or sides that the ledger must hold.
        names: names of the numbers, without role.
        compute: returns the numbers; NaN where the past does not give one.
        running: a number carried along, whose column `compute` may read.
        joint: name and function of a further number, from the numbers of all roles; None without any.
    """

    columns: tuple[str, ...]
    names: tuple[str, ...]
    compute: Callable[[Past], Sequence[float]]
    running: Running | None = None
    joint: tuple[str, Callable[[Sequence[Sequence[float]]], float]] | None = None


class EventDeclaration(Declaration):
    """The declaration of features of past events; a kind adds `kind: Literal[...]` and its own fields."""

    of: Name
    """Kind of entity whose past is asked, of events.entities."""
    difference: bool = False
    """Whether to add the difference of the first role and the second."""

    @abstractmethod
    def asked(self, events: Events) -> Asked:
        """Return the numbers that are asked of the past.

        Raises:
            ValueError: the declaration does not fit the use case; the message says what would.
        """

    def features(self, context: Context) -> Iterator[Feature]:
        """Yield the numbers as features, in the order of `columns_of`."""
        if context.events is None:
            raise ValueError(f"{self.kind} is a kind of events; the use case has no section 'events'")
        yield from (Feature(name, _newest, (name,)) for name in columns_of(self, context.events))

    def check_columns(self, events: Events, columns: Sequence[str]) -> None:
        """Raise ValueError unless the entity has these columns: its sides, or columns of the event."""
        entity = events.entity(self.of)
        for name in columns:
            if name in events.sides and entity.roles is None:
                raise ValueError(f"{name} is a side, which {entity.name} has not: it has no roles")


@dataclass(frozen=True)
class EventKind(FeatureKind):
    """A kind of features of past events.

    Attributes:
        declaration: what a use case file says of it.
        example: declarations that the property tests run on games: entities are `team`, in the roles home and away,
            `park`, and `league`; sides are `scored` and `allowed`, and `margin` is an outcome.
    """


def columns_of(declaration: EventDeclaration, events: Events) -> list[str]:
    """Return the columns that a declaration adds to an event's row, in order: by role, then differences.

    Raises:
        ValueError: the declaration does not fit the use case.
    """
    entity, asked = events.entity(declaration.of), declaration.asked(events)
    roles = events.roles_of(entity)
    names = [f"{prefix(events, entity, role)}{name}" for role in roles for name in asked.names]
    if declaration.difference:
        if len(roles) < 2:
            raise ValueError(f"difference: {entity.name} has no two roles")
        own = prefix(events, entity, "")
        names += [f"{own}{name}_difference" for name in asked.names]
    if asked.joint is not None:
        names.append(f"{prefix(events, entity, '')}{asked.joint[0]}")
    return names


def prefix(events: Events, entity: EventEntity, role: str) -> str:
    """Return the beginning of the names of an entity's numbers; the first entity of a use case goes without a name."""
    parts = [part for part in (role, "" if entity == events.entities[0] else entity.name) if part]
    return "".join(f"{part}_" for part in parts)


def _newest(inputs: Inputs, column: str) -> Value:
    return inputs.column(column).values


#: The example of an event kind.
Example = Sequence[Mapping[str, Any]]

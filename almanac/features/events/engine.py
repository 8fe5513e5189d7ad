"""The engine of events: learns outcomes in order of time, and computes an event's features from those known before it.

    engine = EventEngine(spec)
    engine.learn(past_event)
    x = engine.row(event)

The same engine serves training, which sends it every event of a table, and the server, which sends it events as they
end. A ledger only grows, so that the features of an earlier time can be asked for as well.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np

from almanac.core.arrays import Array
from almanac.core.errors import FeatureError
from almanac.core.levels import codes_of
from almanac.features.events.kind import Asked, EventDeclaration, columns_of
from almanac.features.events.ledger import Ledger, Past
from almanac.features.online import OnlineEngine
from almanac.features.spec import FeatureSpec
from almanac.usecase.events_section import EventEntity, Events
from almanac.usecase.types import to_microseconds

_DAY = 86_400_000_000
_NAN = float("nan")


@dataclass(frozen=True, slots=True)
class Event:
    """An event, or one that is to be predicted.

    Attributes:
        time: its time, µs since the epoch.
        key: value of the use case's entity; with the time it identifies the event.
        texts: entities and categories by column; a missing one may be left out or None.
        numbers: numeric columns; a missing one may be left out or NaN.
    """

    time: int
    key: str
    texts: Mapping[str, str | None]
    numbers: Mapping[str, float]


@dataclass
class _Book:
    """The ledgers of a kind of entity, and the declarations that ask them."""

    entity: EventEntity
    roles: list[str]
    places: dict[str, int]
    asked: list[tuple[EventDeclaration, Asked]]
    empty: Ledger
    ledgers: dict[str, Ledger] = field(default_factory=dict)

    def names(self, event: Event) -> list[str | None]:
        """Return the entity in each role."""
        if self.entity.roles is not None:
            return [event.texts.get(self.entity.roles[role]) for role in self.roles]
        return ["" if self.entity.column is None else event.texts.get(self.entity.column)]

    def pasts(self, event: Event, until: int) -> list[Past]:
        """Return the events known up to the time `until` of the entity in each role."""
        return [
            (self.empty if name is None else self.ledgers.get(name, self.empty)).past(
                until, event.time, role, self.places
            )
            for role, name in enumerate(self.names(event))
        ]


class EventEngine:
    """Computes the features of events; for one thread at a time.

    Args:
        spec: the specification, of a use case with events.
        compiled: whether to use the compiled kernel where there is one.

    Attributes:
        names: ordered feature names.
        states: columns that the histories give, in order.
    """

    def __init__(self, spec: FeatureSpec, compiled: bool = True) -> None:
        if spec.events is None:
            raise FeatureError("the specification has no events; its features are those of a grid")
        self.spec, self.events = spec, spec.events
        self.names = list(spec.names)
        self.states = list(spec.states)
        self._cutoff = to_microseconds(spec.cutoff)
        self._known_after = to_microseconds(spec.events.known_after)
        self._online = OnlineEngine(spec, compiled)
        self._known = [name for name in spec.columns if name not in set(spec.states)]
        self._codes = {name: codes_of(table) for name, table in spec.categories.items()}
        self._books = {entity.name: _book(entity, spec) for entity in self.events.entities}
        self._items = [(item, item.asked(self.events)) for item in spec.items if isinstance(item, EventDeclaration)]
        self._residuals = [(name, one, *self._asked(one.feature)) for name, one in self.events.residuals.items()]
        self._newest: tuple[int, str] | None = None

    @property
    def newest(self) -> int | None:
        """Time of the newest event that was learned, µs since the epoch."""
        return None if self._newest is None else self._newest[0]

    def learn(self, event: Event) -> None:
        """Add an event with its outcome to the histories.

        Raises:
            FeatureError: it does not come after the events before it, in order of time and key.
        """
        place = (event.time, event.key)
        if self._newest is not None and place <= self._newest:
            raise FeatureError(
                f"the event {event.key} of {_text(event.time)} does not come after {self._newest[1]} of "
                f"{_text(self._newest[0])}; events are learned in order of time, each once"
            )
        if self._residuals:
            event = replace(event, numbers={**event.numbers, **self._residuals_of(event)})
        self._newest = place
        for book in self._books.values():
            if book.places or book.asked:
                self._enter(book, event)

    def last(self, event: Event, column: str) -> float:
        """Return the newest known value of a column, of the first role of the first entity; NaN without any."""
        book = next(iter(self._books.values()))
        name = book.names(event)[0]
        if name is None or name not in book.ledgers or column not in book.places:
            return _NAN
        past = book.ledgers[name].past(self._until(event), event.time, 0, book.places)
        return float(past.values[-1, book.places[column]]) if len(past.times) else _NAN

    def state(self, event: Event) -> list[float]:
        """Return the columns that the histories give, in the order of `states`."""
        until = self._until(event)
        pasts = {name: book.pasts(event, until) for name, book in self._books.items()}
        return [value for item, asked in self._items for value in _numbers(item, asked, pasts[item.of])]

    def row(self, event: Event, state: list[float] | None = None) -> Array:
        """Return the features (f,), float64, NaN where missing.

        Args:
            event: the event, of which only what is known at its prediction time is read.
            state: what `state` returned for it, where it was asked before.
        """
        values = dict(zip(self.states, self.state(event) if state is None else state, strict=True))
        block = np.empty((len(self.spec.columns), 1))
        for at, name in enumerate(self.spec.columns):
            block[at, 0] = values[name] if name in values else self._value(event, name)
        # No -0 and no infinity, as the batch engine of grids reads its columns.
        with np.errstate(invalid="ignore"):
            block += block - block
        return self._online.row(block, event.time).copy()

    def _value(self, event: Event, name: str) -> float:
        if name in self._codes:
            text = event.texts.get(name)
            return _NAN if text is None else self._codes[name].get(text, _NAN)
        return event.numbers.get(name, _NAN)

    def _asked(self, feature: str) -> tuple[EventDeclaration, Asked, int]:
        """Return the declaration that gives a number of the histories, and the number's place in it."""
        found = ((item, asked, columns_of(item, self.events)) for item, asked in self._items)
        item, asked, names = next(one for one in found if feature in one[2])
        return item, asked, names.index(feature)

    def _residuals_of(self, event: Event) -> dict[str, float]:
        """Return the residuals of an event from its histories at prediction time; NaN where a value is missing."""
        until, values = self._until(event), {}
        for name, residual, item, asked, place in self._residuals:
            said = _numbers(item, asked, self._books[item.of].pasts(event, until))[place]
            value = event.numbers.get(residual.column, _NAN) - said
            # Comparisons with NaN are false, and leave it as it is.
            if residual.limit is not None and abs(value) > residual.limit:
                value = residual.limit if value > 0 else -residual.limit
            values[name] = value
        return values

    def _until(self, event: Event) -> int:
        """Return the time of the newest event whose outcome is known at the prediction time."""
        return event.time - self._cutoff - self._known_after

    def _enter(self, book: _Book, event: Event) -> None:
        names = book.names(event)
        ledgers = [None if name is None else book.ledgers.setdefault(name, Ledger(len(book.places))) for name in names]
        rows = [[_NAN] * len(book.places) for _ in names]
        for column, place in book.places.items():
            for role, row in zip(book.roles, rows, strict=True):
                source = self.events.sides[column][role] if column in self.events.sides else column
                row[place] = event.numbers.get(source, _NAN)
        for _, asked in book.asked:
            if asked.running is not None:
                place = book.places[asked.running.name]
                before = [_before(ledger, place, asked.running.start) for ledger in ledgers]
                gaps = [_gap(ledger, event.time) for ledger in ledgers]
                seen = [rows[0][book.places[column]] for column in asked.columns]
                for row, after in zip(rows, asked.running.update(before, gaps, seen), strict=True):
                    row[place] = after
        for which, (ledger, row) in enumerate(zip(ledgers, rows, strict=True)):
            if ledger is not None:
                ledger.append(event.time, which, row)


def _book(entity: EventEntity, spec: FeatureSpec) -> _Book:
    events = cast(Events, spec.events)
    items = [item for item in spec.items if isinstance(item, EventDeclaration) and item.of == entity.name]
    asked = [(item, item.asked(events)) for item in items]
    names = dict.fromkeys(column for _, one in asked for column in one.columns)
    names |= dict.fromkeys(one.running.name for _, one in asked if one.running is not None)
    if entity == events.entities[0]:
        names |= dict.fromkeys(spec.last)
    places = {name: place for place, name in enumerate(names)}
    return _Book(entity, events.roles_of(entity), places, asked, Ledger(len(places)))


def _numbers(item: EventDeclaration, asked: Asked, pasts: list[Past]) -> list[float]:
    """Return the numbers of a declaration, in the order of `columns_of`."""
    by_role = [asked.compute(past) for past in pasts]
    values = [value for numbers in by_role for value in numbers]
    if item.difference:
        values += [first - second for first, second in zip(by_role[0], by_role[1], strict=True)]
    if asked.joint is not None:
        values.append(asked.joint[1](by_role))
    return values


def _before(ledger: Ledger | None, place: int, start: float) -> float:
    newest = None if ledger is None else ledger.newest()
    return start if newest is None else float(newest[1][place])


def _gap(ledger: Ledger | None, time: int) -> float:
    newest = None if ledger is None else ledger.newest()
    return _NAN if newest is None else (time - newest[0]) / _DAY


def needed(spec: FeatureSpec) -> tuple[list[str], list[str]]:
    """Return the text columns and the numeric columns that the features read, outcomes included."""
    events = spec.events
    if events is None:
        raise FeatureError("the specification has no events")
    texts = dict.fromkeys([str(spec.entity)])
    for entity in events.entities:
        texts |= dict.fromkeys(entity.roles.values() if entity.roles else [entity.column] if entity.column else [])
    texts |= dict.fromkeys(name for name in spec.columns if name in spec.categories)
    numbers = dict.fromkeys(name for name in spec.columns if name not in spec.categories and name not in spec.states)
    numbers |= dict.fromkeys([*events.outcomes, *(c for side in events.sides.values() for c in side.values())])
    return list(texts), list(numbers)


def _text(time: int) -> str:
    return str(np.datetime64(time, "us").astype("datetime64[s]"))

"""Ledgers: the outcomes of one entity, in order of time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from almanac.core.arrays import Array, Integers


@dataclass(frozen=True, slots=True)
class Past:
    """The part of a ledger that is known when an event is predicted.

    Attributes:
        at: the event's time, µs since the epoch.
        role: place of the role in which the entity appears in it.
        times: times of the known events, ascending, shape (n,).
        roles: places of the roles in which the entity appeared in them, shape (n,).
        values: their values, shape (n, columns).
        places: place of each column.
        ledger: the whole ledger.
        until: time up to which its events are known.
    """

    at: int
    role: int
    times: Integers
    roles: Integers
    values: Array
    places: Mapping[str, int]
    ledger: "Ledger"
    until: int

    def columns(self, names: Sequence[str], most: int) -> Array:
        """Return some columns of at most so many newest events, oldest first, shape (events, names)."""
        places = [self.places[name] for name in names]
        start = max(len(self.times) - most, 0)
        # Neighbours need no copy, which a window of days over a large ledger would make of thousands of values.
        if places == list(range(places[0], places[0] + len(places))):
            return self.values[start:, places[0] : places[0] + len(places)]
        return self.values[start:, places]

    def in_role(self) -> "Past":
        """Return the events in which the entity had the same role."""
        return self.ledger.in_role(self.role).past(self.until, self.at, self.role, self.places)

    def since(self, length: int) -> int:
        """Return how many of the events lie in the last `length` µs before the event that is predicted."""
        return len(self.times) - int(np.searchsorted(self.times, self.at - length, side="left"))


class Ledger:
    """Times, roles and values of one entity's events; rows are only ever appended.

    Args:
        width: number of columns.
    """

    def __init__(self, width: int) -> None:
        self.size = 0
        self._times = np.empty(8, dtype=np.int64)
        self._roles = np.empty(8, dtype=np.int64)
        # A column is contiguous, since windows are asked for column by column.
        self._values = np.empty((width, 8))
        #: Ledgers of single roles, for those that are asked for, and how many events each has seen.
        self._in_role: dict[int, tuple[Ledger, int]] = {}

    def append(self, time: int, role: int, values: Sequence[float] | Array) -> None:
        """Add an event, which is no earlier than those before it."""
        if self.size == len(self._times):
            self._times = np.concatenate([self._times, np.empty_like(self._times)])
            self._roles = np.concatenate([self._roles, np.empty_like(self._roles)])
            self._values = np.concatenate([self._values, np.empty_like(self._values)], axis=1)
        self._times[self.size], self._roles[self.size], self._values[:, self.size] = time, role, values
        self.size += 1

    def past(self, until: int, at: int, role: int, places: Mapping[str, int]) -> Past:
        """Return the events up to and including the time `until`, for an entity in the event of time `at`; views."""
        known = int(np.searchsorted(self._times[: self.size], until, side="right"))
        values = self._values[:, :known].T
        return Past(at, role, self._times[:known], self._roles[:known], values, places, self, until)

    def in_role(self, role: int) -> "Ledger":
        """Return the ledger of the events in which the entity had a role."""
        own, seen = self._in_role.get(role) or (Ledger(len(self._values)), 0)
        for row in (seen + np.flatnonzero(self._roles[seen : self.size] == role)).tolist():
            own.append(int(self._times[row]), role, self._values[:, row])
        self._in_role[role] = own, self.size
        return own

    def newest(self) -> tuple[int, Array] | None:
        """Return time and values of the newest event; None without any."""
        return None if not self.size else (int(self._times[self.size - 1]), self._values[:, self.size - 1])

"""Append-only, numbered, hash-chained events, one object each.

An event is stored as the canonical JSON of its fields. `digest` is the sha256 of the other fields, and `previous` is
the digest of the preceding event: an event shows that it was edited, and the next event shows that it was replaced.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from almanac.core.errors import RegistryError
from almanac.core.files import canonical_json, sha256_bytes
from governance.registry.stores import Store

FIRST = "0" * 64
#: Types of the fields that are not strings.
_TYPES = {"number": int, "version": int, "detail": dict}
KINDS = ("registered", "documented", "approved", "rejected", "promoted", "demoted", "rolled_back")


@dataclass(frozen=True)
class Event:
    """A change of one of a use case's versions.

    Attributes:
        number: 1, 2, 3 … without a gap.
        use_case: name of the use case.
        kind: one of KINDS.
        version: number of the version.
        who: who did it.
        when: ISO 8601 in UTC.
        why: the reason given.
        previous: digest of the preceding event, FIRST for the first.
        id: unique to the attempt, by which a writer recognises its own event after a lost response.
        detail: further fields of the kind: stage, manifest digest, documents digest …
    """

    number: int
    use_case: str
    kind: str
    version: int
    who: str
    when: str
    why: str
    previous: str
    id: str
    detail: dict[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """The sha256 of the event's fields."""
        return sha256_bytes(canonical_json(asdict(self)))

    def to_bytes(self) -> bytes:
        """Return the stored form."""
        return canonical_json(self.to_dict()) + b"\n"

    def to_dict(self) -> dict[str, Any]:
        """Return the fields and the digest."""
        return {**asdict(self), "digest": self.digest}


def event_key(use_case: str, number: int) -> str:
    """Return the store's key of an event."""
    return f"use_cases/{use_case}/events/{number:08d}.json"


def parse_event(data: bytes, location: str) -> Event:
    """Return the event in `data`.

    Raises:
        RegistryError: not the exact bytes that `Event.to_bytes` wrote; the message names `location`.
    """
    try:
        values = json.loads(data)
        recorded = values.pop("digest")
        event = Event(**{entry.name: _typed(entry.name, values.pop(entry.name)) for entry in fields(Event)})
        intact = not values and event.kind in KINDS and event.digest == recorded and event.to_bytes() == data
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RegistryError(f"{location}: not an event of this registry ({type(error).__name__}: {error})") from error
    if not intact:
        raise RegistryError(
            f"{location}: the event was edited; its bytes do not match its digest {str(recorded)[:12]}…"
        )
    return event


def _typed(name: str, value: Any) -> Any:
    expected = _TYPES.get(name, str)
    if type(value) is not expected:  # not isinstance, for which a bool is an int
        raise TypeError(f"{name} is {value!r}; expected a value of type {expected.__name__}")
    return value


def read_events(store: Store, use_case: str, after: Event | None = None) -> Iterator[Event]:
    """Yield the events after `after` (all events for None), each checked against its predecessor.

    Costs one read of an absent key if there are no new events.

    Raises:
        RegistryError: an edited event, or one that does not continue the chain.
    """
    number, previous = (after.number + 1, after.digest) if after else (1, FIRST)
    while True:
        key = event_key(use_case, number)
        try:
            data = store.read(key)
        except FileNotFoundError:
            return
        event = parse_event(data, f"{store.url}/{key}")
        if (event.number, event.previous, event.use_case) != (number, previous, use_case):
            raise RegistryError(
                f"{store.url}/{key}: does not continue the chain (it says number {event.number} of {event.use_case} "
                f"after {event.previous[:12]}…; expected {number} of {use_case} after {previous[:12]}…)"
            )
        yield event
        number, previous = number + 1, event.digest


def append_event(store: Store, event: Event) -> bool:
    """Create the event's object; return False if another event has its number."""
    key = event_key(event.use_case, event.number)
    data = event.to_bytes()
    try:
        store.create(key, data)
    except FileExistsError:
        # A put whose response was lost may have succeeded, and the client library's retry finds the key taken.
        return store.read(key) == data
    except OSError as error:
        try:
            if store.read(key) == data:
                return True
        except OSError:
            pass
        raise RegistryError(f"{store.url}/{key}: could not be written: {error}") from error
    return True


def head_key(use_case: str) -> str:
    """Return the store's key of the record of the newest event."""
    return f"use_cases/{use_case}/head.json"


def write_head(store: Store, event: Event) -> None:
    """Record the newest event outside the chain, so that readers notice a truncated log."""
    head = read_head(store, event.use_case)
    if head is None or head["number"] < event.number:
        value = {"number": event.number, "digest": event.digest}
        store.replace(head_key(event.use_case), canonical_json(value) + b"\n")


def read_head(store: Store, use_case: str) -> dict[str, Any] | None:
    """Return the recorded head, None before the first event.

    Raises:
        RegistryError: not the exact bytes that `write_head` wrote.
    """
    key = head_key(use_case)
    try:
        data = store.read(key)
    except FileNotFoundError:
        return None
    try:
        value = json.loads(data)
        if set(value) == {"number", "digest"} and canonical_json(value) + b"\n" == data:
            return {"number": int(value["number"]), "digest": str(value["digest"])}
    except (ValueError, TypeError) as error:
        raise RegistryError(f"{store.url}/{key}: unreadable ({error})") from error
    raise RegistryError(f"{store.url}/{key}: edited; expected number and digest")


def check_head(store: Store, use_case: str, head: dict[str, Any] | None, digests: dict[int, str]) -> None:
    """Refuse a chain that ends before the recorded head, or that has another event in its place.

    Args:
        store: the registry's store.
        use_case: name of the use case.
        head: the recorded head, read before the events: a later one may record an event that was not read.
        digests: number -> digest of every event read.

    Raises:
        RegistryError: a truncated or rewritten log.
    """
    if head is None:
        # A writer that dies between its event and the head leaves one event without a head; a chain may also begin now.
        if len(digests) > 1 and read_head(store, use_case) is None:
            raise RegistryError(f"{store.url}/{head_key(use_case)}: missing, though {len(digests)} events are there")
        return
    digest = digests.get(head["number"])
    if digest is None:
        raise RegistryError(
            f"{store.url}/{event_key(use_case, head['number'])}: missing; the log was truncated "
            f"(head.json records event {head['number']}, the chain ends at {max(digests, default=0)})"
        )
    if digest != head["digest"]:
        raise RegistryError(
            f"{store.url}/{event_key(use_case, head['number'])}: another event than head.json records; "
            "one of them was rewritten"
        )

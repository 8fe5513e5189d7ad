"""Events: append-only, numbered, hash-chained, one object each.

An event's bytes are the canonical JSON of its fields. `digest` is the sha256 of the other fields, and `previous` is
the digest of the event before it, so that a changed byte is seen in the event itself and a replaced event in the next.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from almanac.core.errors import RegistryError
from almanac.core.files import canonical_json, sha256_bytes
from governance.registry.stores import Store

FIRST = "0" * 64
#: What each field of an event may hold; `detail` an object with keys of its kind.
_TYPES = {"number": int, "version": int, "detail": dict}
KINDS = ("registered", "documented", "approved", "rejected", "promoted", "demoted", "rolled_back")


@dataclass(frozen=True)
class Event:
    """One thing that happened to a use case's versions.

    Attributes:
        number: 1, 2, 3 … without a gap.
        use_case: the use case whose chain this is.
        kind: one of KINDS.
        version: the version that it is about.
        who: who did it.
        when: ISO 8601 in UTC.
        why: the reason given.
        previous: digest of the event before, FIRST for the first.
        id: unique to the attempt, so that a writer recognises its own event after a lost answer.
        detail: what the kind needs: stage, manifest digest, documents digest …
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
        """Return the object that is stored."""
        return canonical_json({**asdict(self), "digest": self.digest}) + b"\n"

    def to_dict(self) -> dict[str, Any]:
        """Return the fields and the digest, for JSON output."""
        return {**asdict(self), "digest": self.digest}


def event_key(use_case: str, number: int) -> str:
    """Return the key of an event."""
    return f"use_cases/{use_case}/events/{number:08d}.json"


def parse_event(data: bytes, place: str) -> Event:
    """Return the event in `data`, byte for byte what `Event.to_bytes` wrote.

    Raises:
        RegistryError: altered or unreadable; the message names `place`.
    """
    try:
        values = json.loads(data)
        stated = values.pop("digest")
        event = Event(**{entry.name: _typed(entry.name, values.pop(entry.name)) for entry in fields(Event)})
        whole = not values and event.kind in KINDS and event.digest == stated and event.to_bytes() == data
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RegistryError(f"{place}: not an event of this registry ({type(error).__name__}: {error})") from error
    if not whole:
        raise RegistryError(f"{place}: the event was edited; its bytes do not match its digest {str(stated)[:12]}…")
    return event


def _typed(name: str, value: Any) -> Any:
    wanted = _TYPES.get(name, str)
    if type(value) is not wanted:  # a bool is an int to isinstance
        raise TypeError(f"{name} is {value!r}; right would be a value of type {wanted.__name__}")
    return value


def read_events(store: Store, use_case: str, after: Event | None = None) -> Iterator[Event]:
    """Yield the events that follow `after` (all of them for None), each checked against the one before.

    One read of an absent key is what it costs when nothing is new.

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
                f"after {event.previous[:12]}…; right would be {number} of {use_case} after {previous[:12]}…)"
            )
        yield event
        number, previous = number + 1, event.digest


def append_event(store: Store, event: Event) -> bool:
    """Create the event's object; return False if its number is taken by another event.

    A put whose answer was lost may have succeeded, and a retry inside the client library is then told "taken": the
    object itself says whose it is.
    """
    key = event_key(event.use_case, event.number)
    data = event.to_bytes()
    try:
        store.create(key, data)
    except FileExistsError:
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
    """Return the key of the witness of the newest event."""
    return f"use_cases/{use_case}/head.json"


def write_head(store: Store, event: Event) -> None:
    """Note the newest event beside the chain, so that a log with its tail cut off is noticed."""
    noted = read_head(store, event.use_case)
    if noted is None or noted["number"] < event.number:
        value = {"number": event.number, "digest": event.digest}
        store.replace(head_key(event.use_case), canonical_json(value) + b"\n")


def read_head(store: Store, use_case: str) -> dict[str, Any] | None:
    """Return the noted head, or None where there is none yet.

    Raises:
        RegistryError: a head that is not what `write_head` wrote.
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
    raise RegistryError(f"{store.url}/{key}: edited; it must hold number and digest alone")


def check_head(store: Store, use_case: str, head: dict[str, Any] | None, digests: dict[int, str]) -> None:
    """Refuse a chain that ends before the noted head, or that has another event in its place.

    Args:
        store: the registry's store.
        use_case: whose chain.
        head: the noted head, read before the events: one read after them may note an event that came meanwhile.
        digests: number -> digest of every event read.

    Raises:
        RegistryError: a truncated or rewritten log.
    """
    if head is None:
        # A writer killed between its event and the head leaves one event without it; and a chain may begin meanwhile.
        if len(digests) > 1 and read_head(store, use_case) is None:
            raise RegistryError(f"{store.url}/{head_key(use_case)}: missing, though {len(digests)} events are there")
        return
    found = digests.get(head["number"])
    if found is None:
        raise RegistryError(
            f"{store.url}/{event_key(use_case, head['number'])}: missing; the log was truncated "
            f"(head.json notes event {head['number']}, the chain ends at {max(digests, default=0)})"
        )
    if found != head["digest"]:
        raise RegistryError(
            f"{store.url}/{event_key(use_case, head['number'])}: another event than head.json notes; "
            "one of them was rewritten"
        )

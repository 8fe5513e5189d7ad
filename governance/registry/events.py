"""Events of a registry: the changes of a use case's versions, as a chain."""

from dataclasses import dataclass, field
from typing import Any

from almanac.core.errors import RegistryError
from governance.registry.chain import Chain, Record
from governance.registry.stores import Store


@dataclass(frozen=True)
class Event(Record):
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

    KINDS = ("registered", "documented", "approved", "rejected", "promoted", "demoted", "rolled_back")
    FOLDER = "use_cases/{}/events"
    NOUN = "event"
    ERROR = RegistryError

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


def event_chain(store: Store, use_case: str) -> Chain[Event]:
    """Return the chain of a use case's events."""
    return Chain(store, use_case, Event)

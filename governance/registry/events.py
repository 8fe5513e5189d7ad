"""Events of a registry: the changes of a use case's versions, labels and policy, as a chain."""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from almanac.core.errors import RegistryError
from governance.registry.chain import Chain, Record
from governance.registry.store import Store

#: Kinds of the first release, whose registries have no policy of their own.
FIRST_KINDS = ("registered", "documented", "approved", "rejected", "promoted", "demoted", "rolled_back")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)


@dataclass(frozen=True)
class Event(Record):
    """A change of one of a use case's versions, or of the use case itself.

    Attributes:
        number: 1, 2, 3 … without a gap.
        use_case: name of the use case.
        kind: one of KINDS.
        version: number of the version; 0 for events of the whole use case, such as those of its policy.
        who: who did it.
        when: ISO 8601 in UTC, to the millisecond.
        why: the reason given.
        previous: digest of the preceding event, FIRST for the first.
        id: unique to the attempt, by which a writer recognises its own event after a lost response.
        detail: further fields of the kind: stage, manifest digest, documents digest, identity …
    """

    KINDS = (
        *FIRST_KINDS,
        *("policy_set", "policy_proposed", "policy_approved"),
        *("aliased", "unaliased", "tagged", "untagged", "described"),
    )
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

    @property
    def time(self) -> datetime:
        """The time of the event.

        Raises:
            RegistryError: `when` is not a time in the form of events.
        """
        try:
            # fromisoformat takes many forms, events are written in one.
            if _TIME.fullmatch(self.when):
                return datetime.fromisoformat(self.when)
        except ValueError:
            pass
        raise RegistryError(f"{self.kind}: when is {self.when!r}; expected a time such as 2026-01-31T09:30:00.000Z")


def time_text(time: datetime) -> str:
    """Return a time in the form of events."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def event_chain(store: Store, use_case: str) -> Chain[Event]:
    """Return the chain of a use case's events."""
    return Chain(store, use_case, Event)

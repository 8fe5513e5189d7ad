"""The audit log of retrainings: a chain in the store of the model registry.

A writer that loses the race for a number reads the winning entry, checks the rules again and tries the next number, so
that one of two simultaneous approvals or executions is accepted.
"""

import random
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar

from almanac.core.errors import RemediationError
from almanac.core.texts import printable
from governance.registry.chain import Chain, Record
from governance.registry.stores import open_store

_PATIENCE_SECONDS = 60.0
#: Pause before an entry is proposed again; each further one is twice as long, up to the second number.
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.02, 1.0


@dataclass(frozen=True)
class Entry(Record):
    """An entry of the log.

    Attributes:
        number: 1, 2, 3 … without a gap.
        use_case: name of the use case.
        kind: one of KINDS.
        plan: digest of its plan; empty for stopped and released.
        who: name of the person or program.
        when: ISO 8601 in UTC.
        why: the reason given.
        previous: digest of the entry before, zeros for the first.
        id: unique to the attempt to write it.
        detail: further values of its kind.
    """

    KINDS: ClassVar[tuple[str, ...]] = (
        *("proposed", "approved", "rejected", "started", "finished", "failed"),
        *("stopped", "released"),
    )
    FOLDER = "remediation/{}/entries"
    NOUN = "entry"
    ERROR = RemediationError

    number: int
    use_case: str
    kind: str
    plan: str
    who: str
    when: str
    why: str
    previous: str
    id: str
    detail: dict[str, Any] = field(default_factory=dict)

    @property
    def time(self) -> datetime:
        """The time, with its zone."""
        return datetime.fromisoformat(self.when)


@dataclass(frozen=True)
class Draft:
    """An entry before it has a number."""

    kind: str
    plan: str
    who: str
    why: str
    detail: dict[str, Any] = field(default_factory=dict)


class AuditLog:
    """The audit log of one use case.

    Args:
        url: address of the model registry.
        use_case: name of the use case.
        clock: returns the present; tests give their own.
    """

    RECORD: ClassVar[type[Entry]] = Entry

    def __init__(self, url: str, use_case: str, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.store = open_store(url)
        self.use_case = use_case
        self.clock = clock
        self._chain = Chain(self.store, use_case, self.RECORD)

    def entries(self) -> list[Entry]:
        """Return all entries, oldest first, after checking the chain and its head.

        Raises:
            RemediationError: an edited, replaced or missing entry, named by its key.
        """
        head = self._chain.head()
        entries = list(self._chain.read())
        self._chain.check_head(head, {entry.number: entry.digest for entry in entries})
        return entries

    def head(self) -> str:
        """Return the digest of the newest entry as noted, empty before the first; costs one read and checks nothing."""
        head = self._chain.head()
        return "" if head is None else str(head["digest"])

    def newest(self) -> str:
        """Return an identification of the newest entry; costs two small reads and checks nothing."""
        return self._chain.newest()

    def append(self, propose: Callable[[list[Entry]], Draft | None]) -> Entry | None:
        """Write the proposed entry as the next one; if another writer takes its number, propose again.

        Args:
            propose: returns the entry to add to those so far, or None if nothing is to be done; it raises where the
                rules forbid it.
        """
        deadline, pause = time.monotonic() + _PATIENCE_SECONDS, _FIRST_PAUSE_SECONDS
        while time.monotonic() < deadline:
            entries = self.entries()
            draft = propose(entries)
            if draft is None:
                return None
            entry = self._entry(entries, draft)
            if self._chain.append(entry):
                return entry
            # At random, so that two writers do not meet again and again.
            time.sleep(random.uniform(0.5, 1) * pause)  # noqa: S311
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        raise RemediationError(
            f"{self.store.url}: other writers took every number for {_PATIENCE_SECONDS:.0f} s; retry"
        )

    def write(self, propose: Callable[[list[Entry]], Draft]) -> Entry:
        """Write the proposed entry as `append` does, where the rules allow it or raise."""
        entry = self.append(propose)
        # None is returned only for a draft that is None.
        assert entry is not None
        return entry

    def _entry(self, entries: list[Entry], draft: Draft) -> Entry:
        number, previous = self._chain.next(entries[-1] if entries else None)
        when = self.clock().astimezone(UTC).isoformat(timespec="milliseconds")
        # Without it two writers could write equal bytes, and `append` would take the other's entry for its own.
        attempt = uuid.uuid4().hex
        # Kept for good: a character that a database refuses would stop the history on it.
        why = printable(draft.why)
        return self.RECORD(
            number, self.use_case, draft.kind, draft.plan, draft.who, when, why, previous, attempt, draft.detail
        )

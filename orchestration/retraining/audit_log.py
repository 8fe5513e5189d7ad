"""The audit log of retrainings: append-only, numbered and hash-chained, one create-only object an entry.

It is kept in the store of the model registry. A writer that loses the race for a number reads the winning entry, checks
the rules again and tries the next number, so that one of two simultaneous approvals or executions is accepted.
"""

import json
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import Any

from almanac.core.errors import RemediationError
from almanac.core.files import canonical_json, sha256_bytes
from governance.registry.stores import open_store

FIRST = "0" * 64
KINDS = ("proposed", "approved", "rejected", "started", "finished", "failed", "stopped", "released")
_PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class Entry:
    """An entry of the log.

    Attributes:
        number: 1, 2, 3 … without a gap.
        use_case: name of the use case.
        kind: one of KINDS.
        plan: digest of its plan; empty for stopped and released.
        who: name of the person or program.
        when: ISO 8601 in UTC.
        why: the reason given.
        previous: digest of the entry before, FIRST for the first.
        id: unique to the attempt to write it.
        detail: further values of its kind.
    """

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
    def digest(self) -> str:
        """The sha256 of the entry's fields."""
        return sha256_bytes(canonical_json(asdict(self)))

    @property
    def time(self) -> datetime:
        """The time, with its zone."""
        return datetime.fromisoformat(self.when)

    def to_bytes(self) -> bytes:
        """Return the stored object."""
        return canonical_json({**asdict(self), "digest": self.digest}) + b"\n"


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

    def __init__(self, url: str, use_case: str, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.store = open_store(url)
        self.use_case = use_case
        self.clock = clock

    def entries(self) -> list[Entry]:
        """Return all entries, oldest first, after checking the chain and its head.

        Raises:
            RemediationError: an edited, replaced or missing entry, named by its key.
        """
        entries: list[Entry] = []
        while (data := self._read(self._key(len(entries) + 1))) is not None:
            entries.append(self._parse(data, entries))
        self._check_head(entries)
        return entries

    def append(self, propose: Callable[[list[Entry]], Draft | None]) -> Entry | None:
        """Write the proposed entry as the next one; if another writer takes its number, propose again.

        Args:
            propose: returns the entry to add to those so far, or None if nothing is to be done; it raises where the
                rules forbid it.
        """
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < deadline:
            entries = self.entries()
            draft = propose(entries)
            if draft is None:
                return None
            entry = self._entry(entries, draft)
            try:
                self.store.create(self._key(entry.number), entry.to_bytes())
            except FileExistsError:
                # A retried request may find the object that its first attempt wrote.
                if self._read(self._key(entry.number)) != entry.to_bytes():
                    continue
            self._write_head(entry)
            return entry
        raise RemediationError(
            f"{self.store.url}: other writers took every number for {_PATIENCE_SECONDS:.0f} s; retry"
        )

    def _entry(self, entries: list[Entry], draft: Draft) -> Entry:
        if draft.kind not in KINDS:
            raise RemediationError(f"kind {draft.kind!r} is unknown; expected one of {', '.join(KINDS)}")
        number, previous = (entries[-1].number + 1, entries[-1].digest) if entries else (1, FIRST)
        when = self.clock().astimezone(UTC).isoformat(timespec="milliseconds")
        attempt = uuid.uuid4().hex
        return Entry(
            number, self.use_case, draft.kind, draft.plan, draft.who, when, draft.why, previous, attempt, draft.detail
        )

    def _key(self, number: int) -> str:
        return f"remediation/{self.use_case}/entries/{number:08d}.json"

    @property
    def _head(self) -> str:
        return f"remediation/{self.use_case}/head.json"

    def _read(self, key: str) -> bytes | None:
        try:
            return self.store.read(key)
        except FileNotFoundError:
            return None

    def _parse(self, data: bytes, before: list[Entry]) -> Entry:
        number, previous = (before[-1].number + 1, before[-1].digest) if before else (1, FIRST)
        address = f"{self.store.url}/{self._key(number)}"
        try:
            values = json.loads(data)
            digest = values.pop("digest")
            entry = Entry(**{each.name: values.pop(each.name) for each in fields(Entry)})
            intact = not values and entry.digest == digest and entry.to_bytes() == data
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RemediationError(f"{address}: not an entry of this log ({error})") from error
        if not intact:
            raise RemediationError(f"{address}: the entry was edited; its bytes do not match its digest")
        if (entry.number, entry.previous, entry.use_case) != (number, previous, self.use_case):
            raise RemediationError(f"{address}: does not continue the chain; it was replaced")
        return entry

    def _write_head(self, entry: Entry) -> None:
        """Record the newest entry apart from the chain, which itself cannot show that its end is missing."""
        head = self._read_head()
        if head is None or head["number"] < entry.number:
            self.store.replace(self._head, canonical_json({"number": entry.number, "digest": entry.digest}) + b"\n")

    def _read_head(self) -> dict[str, Any] | None:
        data = self._read(self._head)
        if data is None:
            return None
        try:
            value = json.loads(data)
            return {"number": int(value["number"]), "digest": str(value["digest"])}
        except (ValueError, KeyError, TypeError) as error:
            raise RemediationError(f"{self.store.url}/{self._head}: unreadable ({error})") from error

    def _check_head(self, entries: list[Entry]) -> None:
        head = self._read_head()
        if head is None:
            if len(entries) > 1:  # a writer may be killed between its first entry and the head
                raise RemediationError(f"{self.store.url}/{self._head}: missing, though there are entries")
            return
        if head["number"] > len(entries):
            key = self._key(len(entries) + 1)
            raise RemediationError(
                f"{self.store.url}/{key}: missing; the log was truncated after {len(entries)} entries"
            )
        if entries[head["number"] - 1].digest != head["digest"]:
            key = self._key(head["number"])
            raise RemediationError(f"{self.store.url}/{key}: another entry than {self._head} notes; it was rewritten")

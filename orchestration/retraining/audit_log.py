"""The log of the remediation: append-only, numbered, hash-chained, one create-only object an entry.

It lies in the model registry's store. Whoever loses a number reads what was written, checks again and tries the next,
so that of two approvals at once, or two executions, exactly one is taken.
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
    """One thing that happened.

    Attributes:
        number: 1, 2, 3 … without a gap.
        use_case: whose log this is.
        kind: one of KINDS.
        plan: digest of the plan that it is about; empty for stopped and released.
        who: who did it.
        when: ISO 8601 in UTC.
        why: the reason given.
        previous: digest of the entry before, FIRST for the first.
        id: unique to the attempt.
        detail: what the kind needs.
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
    def moment(self) -> datetime:
        """When, as an aware time."""
        return datetime.fromisoformat(self.when)

    def to_bytes(self) -> bytes:
        """Return the object that is stored."""
        return canonical_json({**asdict(self), "digest": self.digest}) + b"\n"


@dataclass(frozen=True)
class Draft:
    """An entry before it has a number."""

    kind: str
    plan: str
    who: str
    why: str
    detail: dict[str, Any] = field(default_factory=dict)


class Ledger:
    """The log of one use case.

    Args:
        url: address of the model registry.
        use_case: name of the use case.
        clock: returns the present; for tests.
    """

    def __init__(self, url: str, use_case: str, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.store = open_store(url)
        self.use_case = use_case
        self.clock = clock

    def entries(self) -> list[Entry]:
        """Return all entries, oldest first, the chain and its head checked.

        Raises:
            RemediationError: an edited, replaced or missing entry, named by its key.
        """
        found: list[Entry] = []
        while (data := self._read(self._key(len(found) + 1))) is not None:
            found.append(self._parse(data, found))
        self._check_head(found)
        return found

    def append(self, propose: Callable[[list[Entry]], Draft | None]) -> Entry | None:
        """Write the proposed entry as the next one; on losing its number, look again and propose again.

        Args:
            propose: returns the entry that follows from those so far, None where nothing is left to do; it raises
                where the rules forbid it.
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
                if self._read(self._key(entry.number)) != entry.to_bytes():
                    continue
            self._note(entry)
            return entry
        raise RemediationError(
            f"{self.store.url}: other writers took every number for {_PATIENCE_SECONDS:.0f} s; retry"
        )

    def _entry(self, entries: list[Entry], draft: Draft) -> Entry:
        if draft.kind not in KINDS:
            raise RemediationError(f"kind {draft.kind!r} is not known; one of {', '.join(KINDS)}")
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
        place = f"{self.store.url}/{self._key(number)}"
        try:
            values = json.loads(data)
            stated = values.pop("digest")
            entry = Entry(**{each.name: values.pop(each.name) for each in fields(Entry)})
            whole = not values and entry.digest == stated and entry.to_bytes() == data
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RemediationError(f"{place}: not an entry of this log ({error})") from error
        if not whole:
            raise RemediationError(f"{place}: the entry was edited; its bytes do not match its digest")
        if (entry.number, entry.previous, entry.use_case) != (number, previous, self.use_case):
            raise RemediationError(f"{place}: does not continue the chain; it was replaced")
        return entry

    def _note(self, entry: Entry) -> None:
        """Note the newest entry beside the chain, so that a log with its tail cut off is noticed."""
        noted = self._noted()
        if noted is None or noted["number"] < entry.number:
            self.store.replace(self._head, canonical_json({"number": entry.number, "digest": entry.digest}) + b"\n")

    def _noted(self) -> dict[str, Any] | None:
        data = self._read(self._head)
        if data is None:
            return None
        try:
            value = json.loads(data)
            return {"number": int(value["number"]), "digest": str(value["digest"])}
        except (ValueError, KeyError, TypeError) as error:
            raise RemediationError(f"{self.store.url}/{self._head}: unreadable ({error})") from error

    def _check_head(self, entries: list[Entry]) -> None:
        noted = self._noted()
        if noted is None:
            if len(entries) > 1:  # a writer killed between its entry and the head leaves one entry without it
                raise RemediationError(f"{self.store.url}/{self._head}: missing, though there are entries")
            return
        if noted["number"] > len(entries):
            key = self._key(len(entries) + 1)
            raise RemediationError(
                f"{self.store.url}/{key}: missing; the log was truncated after {len(entries)} entries"
            )
        if entries[noted["number"] - 1].digest != noted["digest"]:
            key = self._key(noted["number"])
            raise RemediationError(f"{self.store.url}/{key}: another entry than {self._head} notes; it was rewritten")

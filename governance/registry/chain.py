"""Append-only logs of numbered, hash-chained records, one create-only object each.

A record is stored as the canonical JSON of its fields. `digest` is the sha256 of the other fields, and `previous` is
the digest of the preceding record: a record shows that it was edited, and the next record shows that it was replaced.
The newest record is noted outside the chain, which itself cannot show that its end is missing.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Generic, TypeVar

from almanac.core.errors import AlmanacError
from almanac.core.files import canonical_json, parse_json, sha256_bytes
from governance.registry.store import Store

FIRST = "0" * 64
# As many requests as a client keeps under way at once, a few times over.
_AT_ONCE = 500
#: Types of the fields that are not strings.
_TYPES = {"number": int, "version": int, "detail": dict}


@dataclass(frozen=True)
class Record:
    """Base of the records of a chain; they have the fields number, use_case, kind and previous."""

    #: Kinds of records, folder of a use case's chain, word for messages, and the error of a broken chain.
    KINDS: ClassVar[tuple[str, ...]]
    FOLDER: ClassVar[str]
    NOUN: ClassVar[str]
    ERROR: ClassVar[type[AlmanacError]]

    @property
    def digest(self) -> str:
        """The sha256 of the record's fields."""
        return sha256_bytes(canonical_json(asdict(self)))

    def to_dict(self) -> dict[str, Any]:
        """Return the fields and the digest."""
        return {**asdict(self), "digest": self.digest}

    def to_bytes(self) -> bytes:
        """Return the stored form."""
        return canonical_json(self.to_dict()) + b"\n"


R = TypeVar("R", bound=Record)


class Chain(Generic[R]):
    """The log of one use case.

    Args:
        store: where it is kept.
        use_case: name of the use case.
        record: type of its records.
    """

    def __init__(self, store: Store, use_case: str, record: type[R]) -> None:
        self._store, self._use_case, self._record = store, use_case, record
        self._folder = record.FOLDER.format(use_case)
        self._head = f"{self._folder.rpartition('/')[0]}/head.json"

    def key(self, number: int) -> str:
        """Return the store's key of a record."""
        return f"{self._folder}/{number:08d}.json"

    def read(self, after: R | None = None, newest: int = 0) -> Iterator[R]:
        """Yield the records after `after` (all records for None), each checked against its predecessor.

        Costs one read of an absent key if there are no new records. Up to `newest`, the noted head, they are fetched
        many at a time. Raises the chain's error for an edited record, or one that does not continue the chain.
        """
        number, previous = self.next(after)
        ahead = number
        while True:
            if ahead <= number <= newest:
                ahead = min(number + _AT_ONCE, newest + 1)
                self._store.read_ahead([self.key(each) for each in range(number, ahead)])
            key = self.key(number)
            try:
                data = self._store.read(key)
            except FileNotFoundError:
                return
            record: Any = self._parse(data, key)
            if (record.number, record.previous, record.use_case) != (number, previous, self._use_case):
                raise self._error(
                    key,
                    f"does not continue the chain (it says number {record.number} of {record.use_case} after "
                    f"{record.previous[:12]}…; expected {number} of {self._use_case} after {previous[:12]}…)",
                )
            yield record
            number, previous = number + 1, record.digest

    def next(self, last: Any) -> tuple[int, str]:
        """Return the number and the predecessor's digest of the record that follows."""
        return (last.number + 1, last.digest) if last is not None else (1, FIRST)

    def append(self, record: Any) -> bool:
        """Create the record's object and note it as the newest; return False if another record has its number."""
        key, data = self.key(record.number), record.to_bytes()
        try:
            self._store.create(key, data)
        except FileExistsError:
            # A put whose response was lost may have succeeded, and the client library's retry finds the key taken.
            if self._store.read(key) != data:
                return False
        except OSError as error:
            # The put may have arrived although its response was lost.
            if not self._holds(key, data):
                raise self._error(key, f"could not be written: {error}") from error
        head = self.head()
        # A writer of a later record may have noted it already, and the head must not move back.
        if head is None or head["number"] < record.number:
            value = {"number": record.number, "digest": record.digest}
            self._store.replace(self._head, canonical_json(value) + b"\n")
        return True

    def head(self) -> dict[str, Any] | None:
        """Return number and digest of the newest record as noted, None before the first."""
        try:
            data = self._store.read(self._head)
        except FileNotFoundError:
            return None
        try:
            value = parse_json(data)
            if set(value) == {"number", "digest"} and canonical_json(value) + b"\n" == data:
                return {"number": int(value["number"]), "digest": str(value["digest"])}
        except (ValueError, TypeError) as error:
            raise self._error(self._head, f"unreadable ({error})") from error
        raise self._error(self._head, "edited; expected number and digest")

    def newest(self) -> str:
        """Return an identification of the newest record; costs two small reads and checks nothing."""
        head = self.head()
        number, digest = (head["number"], head["digest"]) if head else (0, FIRST)
        # A writer that died after its record has not noted it.
        return f"{digest}+" if self._is_there(self.key(number + 1)) else str(digest)

    def check_head(self, head: dict[str, Any] | None, digests: Mapping[int, str]) -> None:
        """Refuse a chain that ends before the noted head, or that has another record in its place.

        Args:
            head: the head, read before the records: a later one may note a record that was not read.
            digests: number -> digest of every record read.
        """
        if head is None:
            # A writer that dies between its record and the head leaves one record without; a chain may also begin now.
            if len(digests) > 1 and self.head() is None:
                raise self._error(self._head, f"missing, though {len(digests)} {self._record.NOUN}s are there")
            return
        number, key = head["number"], self.key(head["number"])
        if number not in digests:
            end = f"head.json records {self._record.NOUN} {number}, the chain ends at {max(digests, default=0)}"
            raise self._error(
                key,
                f"missing; the log was truncated ({end})",
            )
        if digests[number] != head["digest"]:
            raise self._error(key, f"another {self._record.NOUN} than head.json records; one of them was rewritten")

    def _parse(self, data: bytes, key: str) -> R:
        try:
            values = parse_json(data)
            digest = values.pop("digest")
            record: Any = self._record(
                **{entry.name: _typed(entry.name, values.pop(entry.name)) for entry in fields(self._record)}
            )
            intact = not values and record.kind in record.KINDS and record.digest == digest
            # The digest is of the values only; other spacing or key order is an edit as well.
            intact = intact and record.to_bytes() == data
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise self._error(
                key, f"not an {self._record.NOUN} of this log ({type(error).__name__}: {error})"
            ) from error
        if not intact:
            raise self._error(
                key, f"the {self._record.NOUN} was edited; its bytes do not match its digest {str(digest)[:12]}…"
            )
        return record  # type: ignore[no-any-return]

    def _is_there(self, key: str) -> bool:
        try:
            self._store.read(key)
        except FileNotFoundError:
            return False
        return True

    def _holds(self, key: str, data: bytes) -> bool:
        try:
            return self._store.read(key) == data
        except OSError:
            return False

    def _error(self, key: str, message: str) -> AlmanacError:
        return self._record.ERROR(f"{self._store.url}/{key}: {message}")


def _typed(name: str, value: Any) -> Any:
    expected = _TYPES.get(name, str)
    if type(value) is not expected:  # not isinstance, for which a bool is an int
        raise TypeError(f"{name} is {value!r}; expected a value of type {expected.__name__}")
    return value

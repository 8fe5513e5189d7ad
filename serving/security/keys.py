"""API keys: shown once, stored as hashes.

A key reads `almanac_<id>_<secret>`. The secret has 256 random bits, so one sha256 protects it at rest as well as a
slow password hash, and takes half a microsecond at each request.
"""

import fcntl
import hashlib
import hmac
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from almanac.core.errors import ServingError
from almanac.core.files import pretty_json, read_json, whole_file

#: Scopes of a key; admin includes all of them.
SCOPES = ("predict", "explain", "ingest", "admin")

_LENGTH = len("almanac_") + 12 + len("_") + 43


@dataclass(frozen=True)
class Key:
    """One key as it is stored.

    Attributes:
        id: public part of the key; logs and metrics name it.
        name: its owner.
        hash: sha256 of the secret, hexadecimal.
        scopes: some of `SCOPES`.
        created: seconds since the epoch.
        rate: own rate limit such as `100/s`; None for the server's.
        previous: hash of the secret before the last rotation.
        previous_until: end of that secret's grace period, in seconds since the epoch.
        revoked: time of the revocation, in seconds since the epoch.
        use_cases: use cases that it is for; None for all.
    """

    id: str
    name: str
    hash: str
    scopes: tuple[str, ...]
    created: float
    rate: str | None = None
    previous: str | None = None
    previous_until: float = 0.0
    revoked: float | None = None
    use_cases: tuple[str, ...] | None = None

    def accepts(self, digest: str, now: float) -> bool:
        """Return whether `digest` is that of the secret, in constant time for a live key."""
        current = hmac.compare_digest(self.hash, digest)
        previous = self.previous is not None and hmac.compare_digest(self.previous, digest)
        return self.revoked is None and (current or (previous and now < self.previous_until))

    def allows(self, scope: str) -> bool:
        """Return whether the key covers `scope`."""
        return scope in self.scopes or "admin" in self.scopes


@dataclass
class KeyRing:
    """The keys by id."""

    keys: dict[str, Key] = field(default_factory=dict)

    def find(self, text: str, now: float) -> Key | None:
        """Return the live key of `text`, or None."""
        # By far most wrong texts have another form, and need no hash.
        if len(text) != _LENGTH or text[:8] != "almanac_" or text[20] != "_":
            return None
        key = self.keys.get(text[8:20])
        digest = _digest(text[21:])
        if key is None:
            hmac.compare_digest(digest, digest)  # an unknown id takes as long as a wrong secret
            return None
        return key if key.accepts(digest, now) else None

    def create(
        self, name: str, scopes: tuple[str, ...], rate: str | None = None, use_cases: tuple[str, ...] | None = None
    ) -> tuple[Key, str]:
        """Add a key; return it with its text, which is not stored.

        Raises:
            ServingError: an unknown scope.
        """
        unknown = sorted(set(scopes) - set(SCOPES))
        if unknown or not scopes:
            raise ServingError(f"scopes {', '.join(unknown) or '(none)'}: give some of {', '.join(SCOPES)}")
        identity, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        key = Key(identity, name, _digest(secret), scopes, time.time(), rate, use_cases=use_cases)
        self.keys[identity] = key
        return key, f"almanac_{identity}_{secret}"

    def rotate(self, identity: str, grace: float) -> str:
        """Give the key a new secret and return its text; the old one is accepted for `grace` seconds more."""
        key, secret = self._live(identity), secrets.token_urlsafe(32)
        until = time.time() + grace
        self.keys[identity] = replace(key, hash=_digest(secret), previous=key.hash, previous_until=until)
        return f"almanac_{identity}_{secret}"

    def revoke(self, identity: str) -> None:
        """Refuse the key from now on."""
        self.keys[identity] = replace(self._live(identity), revoked=time.time())

    def _live(self, identity: str) -> Key:
        key = self.keys.get(identity)
        if key is None or key.revoked is not None:
            raise ServingError(f"no live key {identity}; `python -m serving keys list` shows the keys")
        return key


def _tuples(item: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a stored key that are tuples."""
    use_cases = item.get("use_cases")
    return {"scopes": tuple(item["scopes"]), "use_cases": None if use_cases is None else tuple(use_cases)}


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def load_keys(path: Path) -> KeyRing:
    """Load the key file; a missing one has no keys.

    Raises:
        ServingError: a file that is not a key file, or cannot be read.
    """
    try:
        items: list[dict[str, Any]] = read_json(path)["keys"]
        keys = [Key(**{**item, **_tuples(item)}) for item in items]
    except FileNotFoundError:
        return KeyRing()
    except OSError as error:
        raise ServingError(f"{path}: the keys cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ServingError(f"{path} is not a key file ({error}); `python -m serving keys create` writes one") from error
    return KeyRing({key.id: key for key in keys})


@contextmanager
def changing(path: Path) -> Iterator[KeyRing]:
    """Yield the keys of the file to change them; they are saved if the block does not raise.

    Concurrent changes wait for each other. The lock is on a second file, since the key file itself is replaced.

    Raises:
        ServingError: a file that is not a key file, or cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        ring = load_keys(path)
        yield ring
        save_keys(ring, path)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        os.close(handle)


def _unwritable(path: Path, error: OSError) -> ServingError:
    return ServingError(f"{path}: the keys cannot be saved ({error.strerror}); --keys takes a file that can be written")


def save_keys(ring: KeyRing, path: Path) -> None:
    """Write the key file atomically, readable only by its owner."""
    # Whole or not at all: a server reads the file at any time.
    with whole_file(path, 0o600) as aside:
        aside.write_text(pretty_json({"format": 1, "keys": [asdict(key) for key in ring.keys.values()]}))

"""Keys of the console's users: a file with a digest for each, and links that work once."""

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from almanac.core.errors import ConsoleError
from almanac.core.files import pretty_json, read_json, whole_file
from almanac.core.people import check_person, same_person
from operations.console.roles import ROLES, User

_PREFIX = "almanac-console"
LINK_SECONDS = 900.0


@dataclass(frozen=True)
class Key:
    """A user's key, of which the file holds only the digest."""

    name: str
    role: str
    sha256: str


class Keys:
    """The keys in a file, read again when the file changes.

    Args:
        path: the file; None for a console that only knows links.
    """

    def __init__(self, path: Path | None) -> None:
        self._path, self._read = path, 0
        self._keys: tuple[Key, ...] = ()
        self.keys()

    def keys(self) -> tuple[Key, ...]:
        """Return the keys.

        Raises:
            ConsoleError: the file cannot be read, or is of another form.
        """
        if self._path is not None:
            try:
                changed = self._path.stat().st_mtime_ns
            except OSError as error:
                raise ConsoleError(f"--keys {self._path}: cannot be read ({error.strerror})") from None
            if changed != self._read:
                self._keys, self._read = read_keys(self._path), changed
        return self._keys

    def user(self, key: str) -> User | None:
        """Return the user of a key, None for an unknown one."""
        digest, found = _digest(key), None
        # Every digest is compared, so that the time says nothing about which one came close.
        for each in self.keys():
            if hmac.compare_digest(each.sha256, digest):
                found = User(each.name, each.role, "key")
        return found


class Links:
    """Login links, each good for one login within a quarter of an hour.

    Args:
        clock: monotonic seconds; tests give their own.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._waiting: dict[str, tuple[User, float]] = {}

    def issue(self, name: str, role: str) -> str:
        """Return the token of a new link."""
        token = secrets.token_urlsafe(32)
        self._waiting[_digest(token)] = (User(check_person(name), role, "link"), self._clock() + LINK_SECONDS)
        return token

    def user(self, token: str) -> User | None:
        """Return the user of a link and end the link; None for one that is unknown, used or too old."""
        user, until = self._waiting.pop(_digest(token), (None, 0.0))
        return user if self._clock() < until else None


def read_keys(path: Path) -> tuple[Key, ...]:
    """Return the keys in a file.

    Raises:
        ConsoleError: unreadable, an unknown role, or a name twice.
    """
    try:
        items = read_json(path)["keys"]
        keys = tuple(Key(str(item["name"]), str(item["role"]), str(item["sha256"])) for item in items)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConsoleError(
            f"--keys {path}: not a file of console keys ({error}); `almanac console key` writes one"
        ) from None
    for index, key in enumerate(keys):
        check_person(key.name)
        if key.role not in ROLES:
            raise ConsoleError(f"--keys {path}: {key.name}: role is {key.role!r}; expected {', '.join(ROLES)}")
        if any(same_person(key.name, earlier.name) for earlier in keys[:index]):
            raise ConsoleError(f"--keys {path}: {key.name!r} is named twice; one person has one key")
    return keys


def add_key(path: Path, name: str, role: str) -> str:
    """Add a user to a file of keys, or give a known one a new key, and return that key, which is kept nowhere.

    Raises:
        ConsoleError: an unknown role, or a file that cannot be read or written.
    """
    if role not in ROLES:
        raise ConsoleError(f"--role {role}: expected {', '.join(ROLES)}")
    keys = read_keys(path) if path.exists() else ()
    secret = f"{_PREFIX}_{secrets.token_urlsafe(32)}"
    kept = [key for key in keys if not same_person(key.name, check_person(name))]
    document = {"keys": [asdict(key) for key in (*kept, Key(name, role, _digest(secret)))]}
    try:
        with whole_file(path, 0o600) as aside:
            aside.write_text(pretty_json(document), encoding="utf-8")
    except OSError as error:
        raise ConsoleError(f"--keys {path}: cannot be written ({error.strerror})") from None
    return secret


def _digest(secret: str) -> str:
    # A key has 256 random bits, so that one round of sha256 protects it.
    return hashlib.sha256(secret.encode()).hexdigest()

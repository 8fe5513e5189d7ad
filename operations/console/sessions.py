"""Sessions of the console, kept in the process: a restart logs everybody out, and nothing of them is on disk."""

import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from operations.console.roles import User

COOKIE = "almanac_console"
IDLE_SECONDS, LIFE_SECONDS = 3_600.0, 43_200.0
_MOST = 10_000


@dataclass
class Session:
    """A login.

    Attributes:
        user: who is logged in.
        csrf: token that every form carries.
        begun: when it began, in monotonic seconds.
        seen: when it was last used.
    """

    user: User
    begun: float
    seen: float
    csrf: str = field(default_factory=lambda: secrets.token_urlsafe(32))

    def sent_by_own_page(self, token: str) -> bool:
        """Return whether a form carries this session's token."""
        return hmac.compare_digest(self.csrf.encode(), token.encode())


class Sessions:
    """The sessions by id.

    Args:
        clock: monotonic seconds; tests give their own.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._by_id: dict[str, Session] = {}

    def begin(self, user: User) -> str:
        """Begin a session and return its id."""
        now = self._clock()
        self._by_id = {key: each for key, each in self._by_id.items() if self._lives(each, now)}
        while len(self._by_id) >= _MOST:
            del self._by_id[min(self._by_id, key=lambda key: self._by_id[key].seen)]
        key = secrets.token_urlsafe(32)
        self._by_id[key] = Session(user, now, now)
        return key

    def find(self, key: str) -> Session | None:
        """Return a living session, and note that it was used."""
        session, now = self._by_id.get(key), self._clock()
        if session is None or not self._lives(session, now):
            self._by_id.pop(key, None)
            return None
        session.seen = now
        return session

    def end(self, key: str) -> None:
        """End a session."""
        self._by_id.pop(key, None)

    def _lives(self, session: Session, now: float) -> bool:
        return now - session.seen < IDLE_SECONDS and now - session.begun < LIFE_SECONDS

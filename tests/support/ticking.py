"""A clock for tests that goes on by a second at each look."""

from datetime import UTC, datetime, timedelta


class Ticking:
    """Returns a second more each time; the start lies in the past, as no event may lie in the future."""

    def __init__(self, start: datetime = datetime(2024, 5, 1, tzinfo=UTC)) -> None:
        self.now = start

    def __call__(self) -> datetime:
        """Return the present."""
        self.now += timedelta(seconds=1)
        return self.now

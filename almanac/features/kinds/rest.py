"""Time since an entity's last event, and how many it had lately."""

from functools import partial
from itertools import pairwise
from typing import Literal

from almanac.features.events.kind import Asked, EventDeclaration, EventKind, Events, Past

_DAY = 86_400_000_000


class Rest(EventDeclaration):
    """Days since the newest known event, and since the one before: `home_days_since`, `home_days_between`."""

    kind: Literal["rest"]
    most: int = 30
    """Largest number of days; a longer rest counts as so many."""

    def asked(self, events: Events) -> Asked:
        """Return both distances."""
        return Asked((), ("days_since", "days_between"), partial(_rest, self.most))


def _rest(most: int, past: Past) -> list[float]:
    times = [past.at, *past.times[-2:][::-1].tolist()]
    days = [min((later - earlier) / _DAY, float(most)) for later, earlier in pairwise(times)]
    return [*days, *[float("nan")] * (2 - len(days))]


KIND = EventKind(Rest, [{"kind": "rest", "of": "team", "difference": True}, {"kind": "rest", "of": "park", "most": 3}])

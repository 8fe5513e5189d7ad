"""State of a delivery, by the entries of the journal about it."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

from operations.notifications.settings import Retries
from orchestration.retraining.audit_log import Entry

#: Outcomes in the journal. `sending` is written before the last byte of a message leaves, so that a process which is
#: killed leaves no message that went out without a trace.
SENDING, SENT, FAILED, REFUSED, UNCERTAIN, GIVEN_UP = "sending", "sent", "failed", "refused", "uncertain", "given up"
#: Time after which a `sending` is of a process that died: far above all timeouts of one delivery.
HELD = timedelta(minutes=15)
_LONGEST_REST = timedelta(hours=1)

State = Literal["due", "resting", "held", "lost", "overdue", "done"]


def entries_about(entries: Sequence[Entry], key: str) -> list[Entry]:
    """Return the journal's entries about a delivery, oldest first."""
    return [entry for entry in entries if entry.kind == "notified" and entry.plan == key]


def outcome_of(entry: Entry) -> str:
    """Return the outcome that an entry records."""
    return str(entry.detail.get("outcome", ""))


def state(about: Sequence[Entry], now: datetime, retries: Retries, *, again: bool = False) -> State:
    """Return the state of a delivery.

    Args:
        about: its entries.
        now: the present.
        retries: the policy.
        again: whether what was refused, given up or is uncertain may be sent again.

    Returns:
        due: to be sent now; resting: not before its next attempt; held: under way in another process; lost: under way
        in a process that died, so that nobody knows whether it arrived; overdue: to be given up; done: nothing to do.
    """
    if not about:
        return "due"
    last, outcome = about[-1], outcome_of(about[-1])
    if outcome == SENDING:
        return "held" if now - last.time < HELD else "lost"
    if outcome == FAILED:
        # Counted from the last time that somebody asked for it anew.
        series = _since_settled(about)
        if now - series[0].time > timedelta(hours=retries.give_up_hours):
            return "overdue"
        rest = min(timedelta(minutes=retries.rest_minutes) * 2 ** min(len(series) - 1, 20), _LONGEST_REST)
        return "due" if again or now - last.time >= rest else "resting"
    return "due" if again and outcome in (REFUSED, UNCERTAIN, GIVEN_UP) else "done"


def _since_settled(about: Sequence[Entry]) -> list[Entry]:
    series: list[Entry] = []
    for entry in about:
        if outcome_of(entry) == FAILED:
            series.append(entry)
        elif outcome_of(entry) != SENDING:
            series = []
    return series

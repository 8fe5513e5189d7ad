"""Delivery of a message to one recipient: once, with retries, and with a trace in the journal."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from almanac.core.errors import AlmanacError
from operations.journal import Journal
from operations.notifications import ledger
from operations.notifications.channels import CHANNELS, NotSentError, Parcel, RefusedMessageError, UncertainError
from operations.notifications.message import Message
from operations.notifications.settings import Channel, Settings
from orchestration.retraining.audit_log import Draft, Entry

_WHO = "almanac"
_LONGEST_REASON = 300


@dataclass(frozen=True)
class Delivery:
    """A message on its way to one recipient.

    Attributes:
        message: the message.
        name: name of the channel in the settings.
        channel: the channel.
        recipient: address, or the channel's name where the address is a secret.
    """

    message: Message
    name: str
    channel: Channel
    recipient: str

    @property
    def key(self) -> str:
        """The identity of the delivery."""
        return self.message.key(self.channel.kind, self.recipient)

    @property
    def shown(self) -> str:
        """Channel and recipient for people."""
        return self.name if self.recipient == self.name else f"{self.name}: {self.recipient}"


@dataclass(frozen=True)
class Outcome:
    """Outcome of a delivery, and the reason where it is not `sent`."""

    delivery: Delivery
    outcome: str
    reason: str = ""

    @property
    def told(self) -> str:
        """Outcome and reason for people."""
        return f"{self.outcome} ({self.reason})" if self.reason else self.outcome


def deliveries(settings: Settings, message: Message) -> list[Delivery]:
    """Return the deliveries of a message: one for each channel that wants it and each of its recipients."""
    return [
        Delivery(message, name, channel, recipient)
        for name, channel in settings.channels.items()
        if channel.wants(message.kind, message.use_case)
        for recipient in (channel.recipients if channel.kind == "smtp" else [name])
    ]


class Courier:
    """Delivers messages of one use case.

    What may have arrived is never sent again by itself; what surely did not is tried again, by the settings' policy.

    Args:
        journal: the use case's journal.
        settings: the settings.
        sleep: waits between attempts; tests give their own.
    """

    def __init__(self, journal: Journal, settings: Settings, sleep: Callable[[float], None] = time.sleep) -> None:
        self._journal, self._settings, self._sleep = journal, settings, sleep
        self._head, self._entries = "", list[Entry]()

    def deliver(self, delivery: Delivery, *, again: bool = False) -> Outcome | None:
        """Deliver a message if it is due; return the outcome, None where nothing was to be done.

        Args:
            delivery: the delivery.
            again: whether what was refused, given up or is uncertain is sent again.
        """
        about, state = self._state(delivery, again)
        trace = _Trace(self._journal, delivery, about[-1].digest if about else "")
        if state == "lost":
            return trace.end(ledger.UNCERTAIN, "the process that sent it died meanwhile")
        if state == "overdue":
            return trace.end(ledger.GIVEN_UP, f"{self._settings.retries.give_up_hours:g} h of attempts")
        return self._attempts(delivery, trace) if state == "due" else None

    def is_open(self, delivery: Delivery, *, again: bool = False) -> bool:
        """Return whether `deliver` has something to do."""
        return self._state(delivery, again)[1] in ("due", "lost", "overdue")

    def past(self, delivery: Delivery) -> str:
        """Return the last entry about a delivery, as text for people."""
        about = ledger.entries_about(self._read(), delivery.key)
        if not about:
            return "not sent"
        return f"{ledger.outcome_of(about[-1])} at {about[-1].when[:16].replace('T', ' ')} UTC, nothing to do now"

    def _attempts(self, delivery: Delivery, trace: "_Trace") -> Outcome | None:
        retries, wait = self._settings.retries, self._settings.retries.first_seconds
        for attempt in range(1, retries.attempts + 1):
            try:
                self._send(delivery, trace)
            except RefusedMessageError as error:
                return trace.end(ledger.REFUSED, str(error))
            except UncertainError as error:
                return trace.end(ledger.UNCERTAIN, str(error))
            except _TakenError:
                return None
            except NotSentError as error:
                wait = max(wait, error.after_seconds)
                if attempt == retries.attempts or wait > retries.longest_seconds:
                    return trace.end(ledger.FAILED, str(error))
                # Without it, a kill during the wait would leave the message in doubt.
                if trace.claimed and trace.end(ledger.FAILED, str(error)) is None:
                    return None
            except AlmanacError as error:
                # A secret that is missing, a template with an error: no second attempt can change that now.
                return trace.end(ledger.FAILED, str(error))
            else:
                return trace.end(ledger.SENT)
            self._sleep(wait)
            wait = min(2 * wait, retries.longest_seconds)
        return None

    def _send(self, delivery: Delivery, trace: "_Trace") -> None:
        send = CHANNELS[delivery.channel.kind]
        parcel = Parcel(delivery.message, delivery.recipient, delivery.key, self._settings.templates)
        send(delivery.channel, parcel, trace.claim)

    def _state(self, delivery: Delivery, again: bool) -> tuple[list[Entry], ledger.State]:
        about = ledger.entries_about(self._read(), delivery.key)
        return about, ledger.state(about, self._journal.clock(), self._settings.retries, again=again)

    def _read(self) -> Sequence[Entry]:
        head = self._journal.head()
        if head != self._head or not head:
            self._entries, self._head = self._journal.entries(), head
        return self._entries


class _TakenError(Exception):
    """Another process took the delivery meanwhile."""


class _Trace:
    """The journal's entries about one delivery, each written only while nobody else writes about it."""

    def __init__(self, journal: Journal, delivery: Delivery, last: str) -> None:
        self._journal, self._delivery, self._last = journal, delivery, last
        self.claimed = False

    def claim(self) -> None:
        """Note that the message is about to leave; called before the last byte of it is sent."""
        if not self._append(ledger.SENDING, ""):
            raise _TakenError
        self.claimed = True

    def end(self, outcome: str, reason: str = "") -> Outcome | None:
        """Note an outcome and return it, None if another process took the delivery meanwhile."""
        reason = " ".join(reason.split())[:_LONGEST_REASON]
        self.claimed = False
        return Outcome(self._delivery, outcome, reason) if self._append(outcome, reason) else None

    def _append(self, outcome: str, reason: str) -> bool:
        message, key = self._delivery.message, self._delivery.key
        detail = {
            "channel": self._delivery.shown,
            "outcome": outcome,
            "kind": message.kind,
            "identity": message.identity,
            **({"reason": reason} if reason else {}),
        }
        why = f"{message.title} ({reason})" if reason else message.title

        def draft(entries: list[Entry]) -> Draft | None:
            about = ledger.entries_about(entries, key)
            last = about[-1].digest if about else ""
            return Draft("notified", key, _WHO, why, detail) if last == self._last else None

        entry = self._journal.append(draft)
        if entry is not None:
            self._last = entry.digest
        return entry is not None

"""A message for one recipient, and the ways in which sending it can fail."""

from dataclasses import dataclass
from pathlib import Path

from almanac.core.errors import NotificationError
from operations.notifications.message import Message


@dataclass(frozen=True)
class Parcel:
    """A message for one recipient.

    Attributes:
        message: the message.
        recipient: address, or the channel's name.
        key: identity of the delivery, by which a receiver can tell a message that it has.
        templates: a team's directory of templates.
    """

    message: Message
    recipient: str
    key: str
    templates: Path | None


class NotSentError(NotificationError):
    """It did not arrive, and may at the next attempt.

    Args:
        reason: the reason, without a secret.
        after_seconds: the wait that the receiver asks for.
    """

    def __init__(self, reason: str, after_seconds: float = 0.0) -> None:
        super().__init__(reason)
        self.after_seconds = after_seconds


class RefusedMessageError(NotificationError):
    """The receiver refused it for good."""


class UncertainError(NotificationError):
    """It may have arrived: the connection broke before the receiver's answer."""

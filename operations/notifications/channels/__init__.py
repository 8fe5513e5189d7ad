"""Channels of messages, one module a kind.

Each has a function `send(section, parcel, claim)`. It calls `claim` when everything but the last byte has been sent: a
receiver acts on no part of a message, so that before it nothing has happened and after it the message may have arrived.
"""

from collections.abc import Callable
from types import MappingProxyType
from typing import Any

from operations.notifications.channels import slack, smtp, webhook
from operations.notifications.channels.parcel import NotSentError, Parcel, RefusedMessageError, UncertainError

Claim = Callable[[], None]

#: Kind -> function that sends.
CHANNELS: MappingProxyType[str, Callable[[Any, Parcel, Claim], None]] = MappingProxyType(
    {"smtp": smtp.send, "slack": slack.send, "webhook": webhook.send}
)

__all__ = ["CHANNELS", "Claim", "NotSentError", "Parcel", "RefusedMessageError", "UncertainError"]

"""Messages to any program, signed with HMAC as standardwebhooks.com describes."""

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Callable
from typing import Any

from almanac.core.errors import NotificationError
from almanac.core.files import canonical_json
from operations.notifications.channels.http import Target, post
from operations.notifications.channels.parcel import Parcel
from operations.notifications.settings import Webhook

_PREFIX = "whsec_"
_SHORTEST = 24


def send(section: Webhook, parcel: Parcel, claim: Callable[[], None]) -> None:
    """Post a message as JSON; see `post` for the errors.

    Raises:
        NotificationError: a key that is too short or not base64.
    """
    target = Target(section.url.read(), section.timeout_seconds, section.ca_file)
    body = canonical_json(content(parcel, documents=section.documents))
    headers = signed(key(section.secret.read()), parcel.key, str(int(time.time())), body)
    post(target, body, {**headers, "Content-Type": "application/json"}, claim)


def content(parcel: Parcel, *, documents: bool) -> dict[str, Any]:
    """Return the body: type, time and data, documents in base64."""
    message = parcel.message
    data: dict[str, Any] = {
        "use_case": message.use_case,
        "identity": message.identity,
        "title": message.title,
        "lines": list(message.lines),
        "link": message.link,
        "command": message.command,
        "facts": dict(message.facts),
    }
    if documents and message.documents:
        data["documents"] = {name: base64.b64encode(each).decode() for name, each in message.documents.items()}
    return {"type": f"almanac.{message.kind}", "timestamp": message.when, "data": data}


def signed(secret: bytes, identity: str, timestamp: str, body: bytes) -> dict[str, str]:
    """Return the headers: an id that is the same at every attempt, the time in seconds, and the signature of all."""
    content = b".".join((identity.encode(), timestamp.encode(), body))
    signature = base64.b64encode(hmac.new(secret, content, hashlib.sha256).digest()).decode()
    return {"webhook-id": identity, "webhook-timestamp": timestamp, "webhook-signature": f"v1,{signature}"}


def key(secret: str) -> bytes:
    """Return the key of a secret: the bytes that `whsec_` and base64 write, or those of the text itself.

    Raises:
        NotificationError: shorter than 24 bytes, or not base64 after `whsec_`.
    """
    try:
        found = base64.b64decode(secret.removeprefix(_PREFIX), validate=True) if secret.startswith(_PREFIX) else None
    except (binascii.Error, ValueError):
        raise NotificationError("the webhook's secret begins with whsec_, but is not base64 after it") from None
    found = secret.encode() if found is None else found
    if len(found) < _SHORTEST:
        raise NotificationError(f"the webhook's secret has {len(found)} bytes; expected at least {_SHORTEST}")
    return found

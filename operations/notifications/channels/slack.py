"""Messages to Slack by an incoming webhook."""

from collections.abc import Callable

from almanac.core.files import canonical_json
from operations.notifications.channels.http import Target, post
from operations.notifications.channels.parcel import Parcel
from operations.notifications.settings import Slack
from operations.reports import fill

#: Slack cuts longer texts.
_LONGEST = 3_000


def send(section: Slack, parcel: Parcel, claim: Callable[[], None]) -> None:
    """Post a message to the channel of the webhook; see `post` for the errors."""
    target = Target(section.url.read(), section.timeout_seconds, section.ca_file)
    body = canonical_json({"text": text(parcel), "unfurl_links": False})
    post(target, body, {"Content-Type": "application/json; charset=utf-8"}, claim)


def text(parcel: Parcel) -> str:
    """Return the message in Slack's markup; reasons that people typed mention nobody and link nowhere."""
    filled = fill(parcel.templates, "slack.txt.j2", message=parcel.message).strip()
    return filled if len(filled) <= _LONGEST else f"{filled[: _LONGEST - 1]}…"

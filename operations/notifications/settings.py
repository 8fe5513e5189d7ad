"""Settings of reports and notifications: one YAML file, in which no secret is written."""

import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, model_validator
from pydantic_core import PydanticCustomError

from almanac.core.errors import NotificationError
from almanac.usecase.types import Section
from operations.secrets import Secret
from operations.settings_file import read_settings

#: Address of the settings where no option gives one.
VARIABLE = "ALMANAC_NOTIFICATIONS"
DEFAULT = Path("notifications.yaml")

Sent = Literal[
    "weekly",
    "monthly",
    "gate_closed",
    "approval_asked",
    "promoted",
    "rolled_back",
    "agent_acted",
    "agent_gave_up",
    "run_failed",
    "schedule_missed",
]
_ALL: tuple[Sent, ...] = Sent.__args__  # type: ignore[attr-defined]
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")


def _relative(value: Any, info: ValidationInfo) -> Any:
    """Return a path of the file as one from its directory."""
    return (info.context or {}).get("folder", Path()) / value if isinstance(value, str) else value


def _check_address(address: str) -> str:
    if not _ADDRESS.fullmatch(address):
        raise ValueError(f"{address!r} is not a mail address; write one such as team@example.org")
    return address


def _check_host(host: str) -> str:
    # The value is left out of the message, because a URL with a password is easily pasted here.
    if not re.fullmatch(r"[A-Za-z0-9:.-]+", host):
        raise PydanticCustomError("password", "should be a host name, without scheme, user and port")
    return host


def _check_console(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc or parts.query:
        raise PydanticCustomError("password", "should be an address such as https://console.example.org")
    return url.rstrip("/")


File = Annotated[Path, BeforeValidator(_relative)]
Address = Annotated[str, AfterValidator(_check_address)]
Console = Annotated[str, AfterValidator(_check_console)]


class ChannelSection(Section):
    """A way to people or programs."""

    send: Annotated[list[Sent], Field(min_length=1)] = list(_ALL)
    """Reports and events that are sent this way."""
    use_cases: list[str] = []
    """Use cases whose messages are sent this way; all when empty."""
    timeout_seconds: Annotated[float, Field(gt=0, le=300)] = 20.0
    """Longest wait for each answer."""
    ca_file: File | None = None
    """Certificates of a private authority, PEM; those of the system when absent."""

    def wants(self, kind: str, use_case: str) -> bool:
        """Return whether a message goes this way."""
        return kind in self.send and (not self.use_cases or use_case in self.use_cases)


class Mail(ChannelSection):
    """Mail by SMTP, always with TLS and a checked certificate."""

    kind: Literal["smtp"]
    host: Annotated[str, AfterValidator(_check_host)]
    """Mail server."""
    port: Annotated[int, Field(ge=1, le=65535)] = 587
    """Its port; 587 is usual for STARTTLS, 465 for implicit TLS."""
    tls: Literal["starttls", "implicit"] = "starttls"
    """Whether TLS begins by a command or with the connection."""
    user: str = ""
    """Name for the login; no login when empty."""
    password: Secret | None = None
    """Where the password is."""
    sender: Address
    """Address that mails come from."""
    recipients: Annotated[list[Address], Field(min_length=1)]
    """Addresses that get a mail each."""

    @model_validator(mode="after")
    def _login(self) -> "Mail":
        if bool(self.user) != (self.password is not None):
            raise ValueError("user and password belong together; give both or neither")
        if twice := [name for name in self.recipients if self.recipients.count(name) > 1]:
            raise ValueError(f"recipients: {twice[0]} is named twice")
        return self


class Slack(ChannelSection):
    """An incoming webhook of Slack."""

    kind: Literal["slack"]
    url: Secret
    """Where the webhook's address is, which is a secret."""


class Webhook(ChannelSection):
    """A webhook of any program, signed as standardwebhooks.com describes."""

    kind: Literal["webhook"]
    url: Secret
    """Where its address is."""
    secret: Secret
    """Where the key of the signature is: at least 24 bytes as `whsec_` and base64, or a text of 24 characters."""
    documents: bool = True
    """Whether reports are sent with their HTML and PDF."""


Channel = Annotated[Mail | Slack | Webhook, Field(discriminator="kind")]


class Retries(Section):
    """Policy of retries of messages that surely did not arrive."""

    attempts: Annotated[int, Field(ge=1, le=10)] = 3
    """Attempts in one pass."""
    first_seconds: Annotated[float, Field(ge=0, le=60)] = 1.0
    """Wait before the second attempt; each further one is twice as long."""
    longest_seconds: Annotated[float, Field(ge=0, le=600)] = 30.0
    """Longest wait between two attempts of a pass."""
    rest_minutes: Annotated[float, Field(ge=0, le=60)] = 1.0
    """Rest before the next pass tries again; each further one is twice as long, up to an hour."""
    give_up_hours: Annotated[float, Field(gt=0, le=168)] = 24.0
    """Time after which a message is given up."""


class Grace(Section):
    """Time in which a scheduled run has to end before it counts as missed."""

    retrain_hours: Annotated[float, Field(ge=0, le=168)] = 6.0
    """Of the training pipeline."""
    monitor_hours: Annotated[float, Field(ge=0, le=168)] = 1.0
    """Of the monitoring pipeline."""


class Settings(Section):
    """Settings of reports and notifications."""

    console: Console
    """Address of the console, to which messages link."""
    channels: Annotated[dict[str, Channel], Field(min_length=1)]
    """Ways of messages, by a name of one's own."""
    templates: File | None = None
    """Directory of templates that come before ours."""
    retries: Retries = Retries()
    """Policy of retries."""
    grace: Grace = Grace()
    """Time that scheduled runs are given."""
    oldest_days: Annotated[float, Field(gt=0, le=90)] = 7.0
    """Age from which an event is no news any more, for a first start over an old registry."""


def settings_path(given: Path | None) -> Path:
    """Return the path of the settings: the option, `ALMANAC_NOTIFICATIONS`, or notifications.yaml."""
    return given or Path(os.environ.get(VARIABLE, "") or DEFAULT)


def load_settings(path: Path) -> Settings:
    """Return the settings in a YAML file; paths in it begin at its directory.

    Raises:
        NotificationError: the file is missing, is not YAML, or breaks a rule; every field is named, and no secret.
    """
    return read_settings(path, Settings, NotificationError)

"""Channels of reports and notifications: reached, with the secrets that they need."""

import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

from almanac.core.errors import AlmanacError
from operations.doctor.answers import TIMEOUT_SECONDS
from operations.doctor.check import Check, Patient
from operations.doctor.finding import Finding, failed, ok, skipped
from operations.notifications import load_settings
from operations.notifications.settings import Channel, Mail


def _look(patient: Patient) -> Iterator[Finding]:
    if patient.settings is None:
        yield skipped("no settings of notifications were given (--settings FILE)")
        return
    for name, channel in load_settings(patient.settings).channels.items():
        try:
            host, port = _place(channel)
        except AlmanacError as error:
            yield failed(f"{name}: {error}", "write the secret where the settings say")
            continue
        try:
            # The connection alone: a message would reach people.
            socket.create_connection((host, port), TIMEOUT_SECONDS).close()
        except OSError as error:
            yield failed(f"{name}: {host}:{port} cannot be reached ({error})", "open the network, or correct the host")
        else:
            yield ok(f"{name}: {host}:{port} is reached, and its secrets are there")


def _place(channel: Channel) -> tuple[str, int]:
    if isinstance(channel, Mail):
        if channel.password is not None:
            channel.password.read()
        return channel.host, channel.port
    parts = urlsplit(channel.url.read())
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


KIND = Check("channels", "Can reports and notifications leave, with the secrets that they need?", _look)

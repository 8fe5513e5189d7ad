"""TLS as all channels speak it."""

import ssl
from pathlib import Path

from operations.notifications.channels.parcel import NotSentError


def checked_context(ca_file: Path | None) -> ssl.SSLContext:
    """Return a context that checks certificate and host name, from TLS 1.2 on.

    Raises:
        NotSentError: the file of certificates cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise NotSentError(f"ca_file {ca_file}: cannot be used ({error.strerror or type(error).__name__})") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context

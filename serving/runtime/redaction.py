"""Addresses without their secrets, for messages, logs and command lines."""

import re
from urllib.parse import parse_qsl, urlencode, urlsplit

#: Options of an address that are harmless to show.
_SHOWN = re.compile(r"db|ttl|protocol|client_name|socket_.*|ssl_c.*|ssl_keyfile|ssl_check_hostname|max_connections")
_HIDDEN = "***"


def redacted(url: str) -> str:
    """Return an address without user, password and the values of unknown options."""
    head, separator, _ = url.partition("://")
    if not separator:
        return url
    try:
        parts = urlsplit(url)
        # With a slash or a hash in a password the rest of it would count as path or fragment.
        if "@" in parts.path + parts.fragment + parts.query:
            return f"{head}://{_HIDDEN}"
        host = parts.netloc.rpartition("@")[2]
        place = f"{_HIDDEN}@{host}" if "@" in parts.netloc else host
        pairs = [(name, text if _SHOWN.fullmatch(name) else _HIDDEN) for name, text in parse_qsl(parts.query)]
        query = urlencode(pairs, safe="*/:")
        return f"{head}://{place}{parts.path}{f'?{query}' if query else ''}"
    except ValueError:
        return f"{head}://{_HIDDEN}"


def has_secret(text: str) -> bool:
    """Return whether an argument is an address with something that `redacted` hides."""
    return redacted(text) != text

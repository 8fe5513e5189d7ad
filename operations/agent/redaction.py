"""Texts from outside without their secrets: the agent reads, writes and sends nothing else."""

import re

from almanac.core.texts import printable
from serving.runtime.redaction import redacted

_HIDDEN = "***"
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s\"'<>,;)]+")
_NAMED = re.compile(
    r"""(?ix)(["']?[\w.-]*(?:passw(?:or)?d|secret|token|api[_-]?key|access[_-]?key|credential|authorization|cookie)[\w.-]*["']?
    \s*[:=]\s*)(?:(?:bearer|basic)\s+)?("[^"]*"|'[^']*'|[^\s,;&"']+)"""
)
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}")
#: Keys of well-known forms: those of this server, of AWS, of Slack, GitHub and JSON web tokens, and PEM blocks.
_FORMS = re.compile(
    r"\balmanac_[A-Za-z0-9]+_[A-Za-z0-9_-]{16,}|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bxox[a-z]-[A-Za-z0-9-]{8,}|\bgh[a-z]_[A-Za-z0-9]{20,}"
    r"|\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*|-----BEGIN [A-Z ]+-----.*?(?:-----END [A-Z ]+-----|\Z)",
    re.DOTALL,
)
_LONGEST = 2_000


def without_secrets(text: str) -> str:
    """Return a text with passwords, tokens and keys hidden, cut at 2,000 characters, that may be written to a log."""
    text = _FORMS.sub(_HIDDEN, printable(text))
    text = _URL.sub(lambda found: _address(found[0]), text)
    text = _NAMED.sub(lambda found: f"{found[1]}{_HIDDEN}", text)
    text = _BEARER.sub(lambda found: f"{found[1]} {_HIDDEN}", text)
    return text[:_LONGEST]


def _address(url: str) -> str:
    # Webhooks of chats carry their secret in the path.
    if re.match(r"https?://hooks\.", url):
        return f"{url.split('/', 3)[0]}//{url.split('/', 3)[2]}/{_HIDDEN}"
    return redacted(url)

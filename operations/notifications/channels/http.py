"""A request with a body by HTTPS, all of it but the last byte before the claim."""

import http.client
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from operations.notifications.channels.parcel import NotSentError, RefusedMessageError, UncertainError
from operations.notifications.channels.tls import checked_context

#: Answers about the message itself; the others are about the address, the sender or the receiver, and may change.
_FOR_GOOD = (400, 413, 415, 422)
_LARGEST_ANSWER = 4096


@dataclass(frozen=True)
class Target:
    """Where a request goes; the address is a secret and in no message, but for its host.

    Attributes:
        url: the address.
        timeout: longest wait for an answer, in seconds.
        ca_file: certificates of a private authority.
    """

    url: str
    timeout: float
    ca_file: Path | None


def post(target: Target, body: bytes, headers: Mapping[str, str], claim: Callable[[], None]) -> None:
    """Post a body and check the answer; redirects are not followed.

    Raises:
        NotSentError: no connection, no trusted certificate, or an answer that another attempt may change.
        RefusedMessageError: the receiver refuses the body.
        UncertainError: the connection broke before the answer.
    """
    connection, path = _connection(target)
    place = connection.host
    try:
        try:
            connection.putrequest("POST", path, skip_accept_encoding=True)
            for name, value in {**headers, "Content-Length": str(len(body)), "User-Agent": "almanac"}.items():
                connection.putheader(name, value)
            connection.endheaders()
            connection.send(body[:-1])
        except (OSError, http.client.HTTPException) as error:
            raise NotSentError(f"{place}: {_words(error)}") from None
        claim()
        try:
            connection.send(body[-1:])
            answer = connection.getresponse()
            said = answer.read(_LARGEST_ANSWER)
        except (OSError, http.client.HTTPException) as error:
            raise UncertainError(f"{place}: the connection broke before the answer ({type(error).__name__})") from None
    finally:
        connection.close()
    _check(place, answer, said)


def _connection(target: Target) -> tuple[http.client.HTTPConnection, str]:
    try:
        parts = urlsplit(target.url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if host is None or parts.scheme not in ("https", "http") or "@" in parts.netloc or not target.url.isprintable():
        raise NotSentError("the webhook's address should be a URL such as https://host/path, without user and password")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if parts.scheme == "https":
        context = checked_context(target.ca_file)
        return http.client.HTTPSConnection(host, port, timeout=target.timeout, context=context), path
    if not _is_loopback(host):
        raise NotSentError(f"{host}: the webhook's address should begin with https://; http is for this machine alone")
    return http.client.HTTPConnection(host, port, timeout=target.timeout), path


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _check(place: str, answer: http.client.HTTPResponse, said: bytes) -> None:
    if 200 <= answer.status < 300:
        return
    reason = f"{place}: answered {answer.status}"
    # A code such as Slack's `invalid_payload`; more may repeat what is secret.
    word = said.decode("ascii", "replace").strip()
    if word.replace("_", "").isalnum() and len(word) <= 40 and word.islower():
        reason += f" {word}"
    if 300 <= answer.status < 400:
        reason += ", a redirect, which is not followed; write the final address"
    if answer.status in _FOR_GOOD:
        raise RefusedMessageError(reason)
    asked = answer.headers.get("Retry-After", "")
    raise NotSentError(reason, float(asked) if asked.isdecimal() and len(asked) < 8 else 0.0)


def _words(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not trusted ({error.verify_message})"
    return getattr(error, "strerror", None) or type(error).__name__

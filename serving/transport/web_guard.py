"""The guard against web pages: a browser sends a page's requests from inside the network, and asks nobody.

A page of another origin may send a POST without a preflight if its content type is that of a form or absent. By a name
of its own that leads to this machine (DNS rebinding) a page even has the server's origin. So requests with a body are
refused from origins that were not allowed, and what changes state is only done under a known host and for a body that
declares its type. See https://owasp.org/www-community/attacks/csrf.
"""

import re
from http import HTTPStatus
from ipaddress import ip_address

from serving.runtime.errors import HTTPError
from serving.runtime.http import Request

#: Operations that change state; they are finished even if the client goes away.
CHANGES = frozenset({"ingest", "feedback", "canary", "load", "unload", "maintenance"})
#: Those of them that read a body.
_TYPED = frozenset({"ingest", "feedback", "canary", "maintenance"})
_HOST = re.compile(rb"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?")
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


def host_of(value: bytes) -> str | None:
    """Return the lower-case name in the value of a Host header, None if it is malformed."""
    match = _HOST.fullmatch(value)
    return match[1].decode().lower() if match is not None else None


class WebGuard:
    """Refuses requests that a web page may not send.

    Args:
        origins: origins that browsers may call from.
        hosts: names under which the server is called; any when empty.
    """

    def __init__(self, origins: tuple[str, ...] = (), hosts: tuple[str, ...] = ()) -> None:
        self._origins = {origin.encode() for origin in origins}
        self._hosts = {host.lower() for host in hosts}

    def check(self, request: Request) -> None:
        """Check a POST request before its body is read.

        Raises:
            HTTPError: 403 for another origin, 421 for an unknown host, 415 for a body without a content type.
        """
        headers = request.headers
        origin = headers.get(b"origin")
        changes = request.verb in CHANGES
        if origin is not None and origin not in self._origins and (changes or not _is_own(origin, headers)):
            raise HTTPError(HTTPStatus.FORBIDDEN, "pages of this origin may not call; --cors allows an origin")
        if not changes:
            return
        host = host_of(headers.get(b"host", b""))
        if self._hosts and host not in self._hosts:
            message = f"this server is not called {host}; --allowed-host allows further names"
            raise HTTPError(HTTPStatus.MISDIRECTED_REQUEST, message)
        if request.verb in _TYPED and b"content-type" not in headers:
            raise HTTPError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "content-type is missing; send application/json")


def known_hosts(listening: str, allowed: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names under which a server that listens on an address is called; none if it may be any.

    A server on a loopback address is called from its own machine. One that others reach has names that it cannot know.
    """
    if allowed:
        return (*allowed, listening)
    if listening.lower() == "localhost":
        return _LOOPBACK
    try:
        return (*_LOOPBACK, listening) if ip_address(listening).is_loopback else ()
    except ValueError:
        return ()


def _is_own(origin: bytes, headers: dict[bytes, bytes]) -> bool:
    """Return whether a page has the origin of this server."""
    return origin.partition(b"://")[2] == headers.get(b"host")

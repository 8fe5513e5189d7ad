"""Headers of every answer: those of the OWASP Secure Headers Project, and CORS if it is configured."""

from http import HTTPStatus

from serving.protocol.docs_page import STYLE_SOURCE
from serving.runtime.errors import HTTPError
from serving.runtime.http import Headers, Reply, Request

#: First line of an answer, by status.
STATUS_LINES = {int(status): f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}

#: Nothing but the style and the empty icon of the documentation page.
_POLICY = f"default-src 'none'; frame-ancestors 'none'; img-src data:; style-src {STYLE_SOURCE}"
_SECURE: Headers = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", _POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
    (b"cache-control", b"no-store"),
]
_HSTS = (b"strict-transport-security", b"max-age=31536000; includeSubDomains")


class HeaderPolicy:
    """The headers of each answer.

    Args:
        tls: whether the server speaks TLS itself, which adds Strict-Transport-Security.
        origins: origins that browsers may call from; none by default.

    Attributes:
        by_origin: whether the headers depend on the request's origin.
    """

    def __init__(self, tls: bool, origins: tuple[str, ...]) -> None:
        self._fixed = [*_SECURE, _HSTS] if tls else list(_SECURE)
        self._origins = {origin.encode() for origin in origins}
        self.by_origin = bool(origins)
        # Rendered once: without CORS every answer has the same lines.
        self._fixed_lines = lines(self._fixed)

    def lines_of(self, request: Request) -> bytes:
        """Return the headers for the answer to `request`, as bytes."""
        return lines(self.of(request)) if self._origins else self._fixed_lines

    def of(self, request: Request) -> Headers:
        """Return the headers for the answer to `request`."""
        origin = request.headers.get(b"origin") if self._origins else None
        if origin is None or origin not in self._origins:
            return self._fixed
        return [*self._fixed, (b"access-control-allow-origin", origin), (b"vary", b"origin")]

    def preflight(self, request: Request) -> Reply:
        """Answer a browser's preflight request.

        Raises:
            HTTPError: 403, the origin may not call.
        """
        if request.headers.get(b"origin") not in self._origins:
            raise HTTPError(HTTPStatus.FORBIDDEN, "this origin may not call; see --cors")
        # `of` adds the allowed origin, as to every answer.
        allowed = [
            (b"access-control-allow-methods", b"GET, POST"),
            (b"access-control-allow-headers", b"authorization, content-type, x-api-key, x-request-id"),
            (b"access-control-max-age", b"600"),
        ]
        return Reply(b"", 204, b"text/plain", allowed)


def lines(headers: Headers) -> bytes:
    """Return headers as the lines of an answer."""
    return b"".join([b"%b: %b\r\n" % header for header in headers])

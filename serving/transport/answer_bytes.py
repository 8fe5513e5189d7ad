"""An answer as the bytes that go to the socket; the lines that all answers share are rendered once."""

from collections.abc import Callable

from serving.runtime.http import Headers, Reply, Request
from serving.transport.headers import STATUS_LINES, HeaderPolicy, lines

_NO_HEADERS: Headers = []


class AnswerBytes:
    """Renders answers.

    Args:
        headers: headers of every answer.
        draining: returns whether connections are to be closed after their answer.
    """

    def __init__(self, headers: HeaderPolicy, draining: Callable[[], bool]) -> None:
        self._headers = headers
        self._draining = draining
        self._default = _NO_HEADERS
        self._default_lines = b""
        self._heads: dict[tuple[int, bytes], bytes] = {}

    def render(self, request: Request, reply: Reply, default_headers: Headers, rate: bytes = b"") -> bytes:
        """Return an answer.

        Args:
            request: its request.
            reply: status, body and headers.
            default_headers: headers that the server adds to every answer.
            rate: further lines of headers, those of the rate limit.
        """
        if default_headers is not self._default:
            # uvicorn makes a new list once a second, with the new date.
            self._default, self._default_lines = default_headers, lines(default_headers)
            self._heads = {}
        head = self._heads.get((reply.status, reply.content_type)) or self._head(request, reply)
        if reply.headers:
            rate += lines(reply.headers)
        if self._draining():
            rate += b"connection: close\r\n"
        fields = head, len(reply.body), request.id.encode(), rate, reply.body
        return b"%bcontent-length: %d\r\nx-request-id: %b\r\n%b\r\n%b" % fields

    def _head(self, request: Request, reply: Reply) -> bytes:
        """Return the first lines, which are kept where they do not depend on the request."""
        own, kind = self._headers.lines_of(request), reply.content_type
        head = b"%b%b%bcontent-type: %b\r\n" % (STATUS_LINES[reply.status], self._default_lines, own, kind)
        if not self._headers.by_origin:
            self._heads[reply.status, reply.content_type] = head
        return head

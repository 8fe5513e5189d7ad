"""The request and the reply that transport, protocols, logs and traces share."""

from collections.abc import Callable

import msgspec

Headers = list[tuple[bytes, bytes]]
JSON = b"application/json"


# They form no cycles, so the garbage collector need not track them.
class Request(msgspec.Struct, gc=False):
    """One HTTP or gRPC request.

    Attributes:
        method: GET, POST …
        path: path without query.
        headers: the few headers that the server reads, lower-case names.
        client: address of the client.
        body: the whole body.
        who: id of the key, or the client's address, once admitted.
        model: name of the model in the path, "" where there is none.
        use_case: use case of that model, "" where there is none.
        version: version of the model in the path, or None.
        verb: name of the operation, for metrics.
        answered_by: version of the model that answered, for metrics.
        id: request id.
    """

    method: str
    path: str
    headers: dict[bytes, bytes]
    client: str
    body: bytes = b""
    who: str = ""
    model: str = ""
    use_case: str = ""
    version: str | None = None
    verb: str = ""
    answered_by: str = ""
    id: str = ""

    @property
    def key(self) -> str | None:
        """The API key as sent, or None."""
        direct = self.headers.get(b"x-api-key")
        if direct is not None:
            return direct.decode("latin-1")
        line = self.headers.get(b"authorization")
        if line is None:
            return None
        return line[7:].decode("latin-1").strip() if line[:7].lower() == b"bearer " else line.decode("latin-1")


class Reply(msgspec.Struct, gc=False):
    """One answer: body, status, and the headers of its own."""

    body: bytes
    status: int = 200
    content_type: bytes = JSON
    headers: Headers = []


#: Takes a request, its reply, the protocol and the seconds it took; must not block.
Observe = Callable[[Request, Reply, str, float], None]

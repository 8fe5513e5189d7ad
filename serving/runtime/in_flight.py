"""The memory of requests and answers that the server holds at a time."""

from http import HTTPStatus

from serving.runtime.errors import HTTPError


class InFlight:
    """A budget of bytes, shared by HTTP and gRPC; only for the event loop's thread.

    Attributes:
        most: bytes that may be held at a time.
        held: bytes that are held now.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.held = 0

    def take(self, size: int) -> None:
        """Add bytes.

        Raises:
            HTTPError: 429, there would be more than `most`.
        """
        if self.held + size > self.most:
            message = f"{self.held} bytes of requests and answers are in flight, of {self.most} (--max-in-flight)"
            raise HTTPError(HTTPStatus.TOO_MANY_REQUESTS, message, {"retry-after": "1"})
        self.held += size

    def add(self, size: int) -> None:
        """Add bytes that are there already, such as those of an answer."""
        self.held += size

    def give(self, size: int) -> None:
        """Return bytes."""
        self.held -= size

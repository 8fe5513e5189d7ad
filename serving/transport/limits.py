"""Limits on the size of a client's requests, and on the time that they take."""

from typing import NamedTuple


class Limits(NamedTuple):
    """Limits on a client's requests.

    Attributes:
        head: bytes of a head; trailers count with it.
        head_seconds: how long a head may take from its first byte.
        linger_seconds: how long bytes that follow an answer are discarded before the connection is closed.
        body: bytes of a body.
        body_seconds: how long a body may take.
    """

    head: int
    head_seconds: float
    linger_seconds: float
    body: int = 16 << 20
    body_seconds: float = 10.0

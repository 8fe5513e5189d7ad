"""Ids of requests."""

import itertools
import re
import secrets

from serving.runtime.http import Request

_SENT = re.compile(rb"[A-Za-z0-9._:+/=-]{1,128}")


class RequestIds:
    """Gives requests their ids, which are unique across workers."""

    def __init__(self) -> None:
        # By a random prefix, which costs no randomness per request.
        self._prefix = secrets.token_hex(4)
        self._numbers = itertools.count()

    def new(self) -> str:
        """Return a new id."""
        return f"{self._prefix}{next(self._numbers):08x}"

    def name(self, request: Request) -> None:
        """Give a request the id that the client sent, or a new one."""
        sent = request.headers.get(b"x-request-id")
        request.id = sent.decode() if sent is not None and _SENT.fullmatch(sent) else self.new()

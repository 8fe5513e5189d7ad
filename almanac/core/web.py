"""Requests that carry a key."""

import http.client
import urllib.request
from typing import Any


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """Return no request: the redirect becomes an error of the answer."""


_OPENER = urllib.request.build_opener(_NoRedirect)


def send(request: urllib.request.Request, seconds: float) -> http.client.HTTPResponse:
    """Send a request, and follow no redirect, which would take its key elsewhere.

    Args:
        request: the request.
        seconds: longest wait for the answer.

    Raises:
        urllib.error.HTTPError: the server refuses, or sends the request elsewhere.
        OSError: no answer.
    """
    answer: http.client.HTTPResponse = _OPENER.open(request, timeout=seconds)
    return answer

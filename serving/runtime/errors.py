"""Errors that REST and gRPC answer a request with."""

import logging
from http import HTTPStatus

from almanac.core.errors import AlmanacError, ServingError

_LOG = logging.getLogger("almanac.serving")


class HTTPError(ServingError):
    """A request that is answered with an error status.

    Attributes:
        status: HTTP status; the gRPC service translates it to a gRPC code.
        headers: further response headers, such as `retry-after`.
    """

    def __init__(self, status: HTTPStatus, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}


class RefusedError(HTTPError):
    """A request that the guard refuses.

    Attributes:
        who: id of the key, or the client's address, for the audit log; "" where neither is known.
    """

    def __init__(self, status: HTTPStatus, message: str, headers: dict[str, str] | None = None, who: str = "") -> None:
        super().__init__(status, message, headers)
        self.who = who


def answer_to(error: Exception, request_id: str) -> HTTPError:
    """Return the error that a request is answered with; one that no client caused is logged with the request's id."""
    if isinstance(error, HTTPError):
        return error
    _LOG.error("request %s failed", request_id, exc_info=error)
    # Our own errors are written to be read.
    known = isinstance(error, AlmanacError)
    message = str(error) if known else f"internal error; the log has it under the request id {request_id}"
    return HTTPError(HTTPStatus.INTERNAL_SERVER_ERROR, message)


def invalid(message: str) -> HTTPError:
    """Return the error for invalid input (400)."""
    return HTTPError(HTTPStatus.BAD_REQUEST, message)


def unknown_model(name: str, served: list[str]) -> HTTPError:
    """Return the error for a model that is not served here (404)."""
    message = f"Model with name {name} does not exist. Served here: {', '.join(served)}."
    return HTTPError(HTTPStatus.NOT_FOUND, message)


def not_ready(name: str, why: str) -> HTTPError:
    """Return the error for a model that is unloaded or draining (503)."""
    message = f"Model with name {name} is not ready{f': {why}' if why else ''}."
    return HTTPError(HTTPStatus.SERVICE_UNAVAILABLE, message, {"retry-after": "1"})


def unavailable(message: str) -> HTTPError:
    """Return the error that asks the client to retry after a second (503)."""
    return HTTPError(HTTPStatus.SERVICE_UNAVAILABLE, message, {"retry-after": "1"})


def too_large(size: int, limit: int) -> HTTPError:
    """Return the error for a body above the size limit (413)."""
    return HTTPError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"body of {size} bytes is above the limit of {limit} bytes")


def beyond(message: str) -> HTTPError:
    """Return the error for more than a bound of the request or the feature store allows (413)."""
    return HTTPError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message)


def stale(message: str) -> HTTPError:
    """Return the error for a request whose data are not available yet (409)."""
    return HTTPError(HTTPStatus.CONFLICT, message)

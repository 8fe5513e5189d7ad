"""Errors that REST and gRPC answer a request with."""

from http import HTTPStatus

from almanac.core.errors import ServingError


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


def invalid(message: str) -> HTTPError:
    """Return the error for invalid input (400)."""
    return HTTPError(HTTPStatus.BAD_REQUEST, message)


def unknown_model(name: str, served: list[str]) -> HTTPError:
    """Return the error for a model that is not served here (404)."""
    message = f"Model with name {name} does not exist. Served here: {', '.join(served)}."
    return HTTPError(HTTPStatus.NOT_FOUND, message)


def not_ready(name: str, why: str = "") -> HTTPError:
    """Return the error for a model that is unloaded or draining (503)."""
    message = f"Model with name {name} is not ready{f': {why}' if why else ''}."
    return HTTPError(HTTPStatus.SERVICE_UNAVAILABLE, message, {"retry-after": "1"})


def unavailable(message: str, seconds: int = 1) -> HTTPError:
    """Return the error that asks the client to retry after so many seconds (503)."""
    return HTTPError(HTTPStatus.SERVICE_UNAVAILABLE, message, {"retry-after": str(seconds)})


def too_large(size: int, limit: int) -> HTTPError:
    """Return the error for a body above the size limit (413)."""
    return HTTPError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"body of {size} bytes is above the limit of {limit} bytes")


def full(message: str) -> HTTPError:
    """Return the error for rows beyond a bound of the feature store (413)."""
    return HTTPError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message)


def stale(message: str) -> HTTPError:
    """Return the error for a request whose data are not available yet (409)."""
    return HTTPError(HTTPStatus.CONFLICT, message)

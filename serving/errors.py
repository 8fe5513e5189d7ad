"""A request that is answered with an error, alike over REST and gRPC."""

from http import HTTPStatus

from almanac.core.errors import ServingError


class Refusal(ServingError):  # noqa: N818  (it is an answer, not a fault)
    """A request that is refused.

    Attributes:
        status: HTTP status; the gRPC service translates it to a gRPC code.
        headers: further response headers, such as `retry-after`.
    """

    def __init__(self, status: HTTPStatus, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}


def invalid(message: str) -> Refusal:
    """Return the refusal of an input that breaks a rule."""
    return Refusal(HTTPStatus.BAD_REQUEST, message)


def unknown_model(name: str, known: list[str]) -> Refusal:
    """Return the refusal of a model that is not served here."""
    return Refusal(HTTPStatus.NOT_FOUND, f"Model with name {name} does not exist. Served here: {', '.join(known)}.")


def not_ready(name: str) -> Refusal:
    """Return the refusal of a model that is unloaded or draining."""
    return Refusal(HTTPStatus.SERVICE_UNAVAILABLE, f"Model with name {name} is not ready.", {"retry-after": "1"})


def unavailable(message: str, seconds: int = 1) -> Refusal:
    """Return the refusal that asks to try again after so many seconds."""
    return Refusal(HTTPStatus.SERVICE_UNAVAILABLE, message, {"retry-after": str(seconds)})


def too_large(size: int, limit: int) -> Refusal:
    """Return the refusal of a body above the size limit."""
    return Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"body of {size} bytes is above the limit of {limit} bytes")


def stale(message: str) -> Refusal:
    """Return the refusal of a request whose data are not there (yet)."""
    return Refusal(HTTPStatus.CONFLICT, message)

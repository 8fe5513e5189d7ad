"""How a gRPC call answers with an error: its code, message and trailing metadata."""

from http import HTTPStatus
from typing import Any

import grpc  # type: ignore[import-untyped]

from serving.runtime.errors import answer_to

_CODES: dict[int, Any] = {
    HTTPStatus.BAD_REQUEST: grpc.StatusCode.INVALID_ARGUMENT,
    HTTPStatus.UNAUTHORIZED: grpc.StatusCode.UNAUTHENTICATED,
    HTTPStatus.FORBIDDEN: grpc.StatusCode.PERMISSION_DENIED,
    HTTPStatus.NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    HTTPStatus.REQUEST_TIMEOUT: grpc.StatusCode.DEADLINE_EXCEEDED,
    HTTPStatus.CONFLICT: grpc.StatusCode.FAILED_PRECONDITION,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: grpc.StatusCode.RESOURCE_EXHAUSTED,
    HTTPStatus.UNPROCESSABLE_ENTITY: grpc.StatusCode.FAILED_PRECONDITION,
    HTTPStatus.TOO_MANY_REQUESTS: grpc.StatusCode.RESOURCE_EXHAUSTED,
    HTTPStatus.NOT_IMPLEMENTED: grpc.StatusCode.UNIMPLEMENTED,
    HTTPStatus.SERVICE_UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
}


def code_of(status: int) -> Any:
    """Return the gRPC code of an HTTP status."""
    return _CODES.get(status, grpc.StatusCode.INTERNAL)


def error_answer(error: Exception, request_id: str, trailing: dict[str, str]) -> tuple[int, str]:
    """Return status and message of an error, and add its headers to `trailing`.

    The error itself stays here: in a frame of its own traceback it would keep itself, and a message of megabytes.
    """
    answer = answer_to(error, request_id)
    trailing.update(answer.headers)
    return int(answer.status), str(answer)

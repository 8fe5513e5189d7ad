"""The answer to a request that was refused or failed."""

import logging
from http import HTTPStatus

from almanac.core.errors import AlmanacError
from serving.protocol.message import error_reply
from serving.runtime.errors import HTTPError, RefusedError
from serving.runtime.http import Reply, Request

_LOG = logging.getLogger("almanac.serving")


def failure_reply(request: Request, error: Exception) -> Reply:
    """Return the reply for an error; one that no client caused is logged with the request's id."""
    if isinstance(error, RefusedError):
        request.who = error.who  # the audit log names the key that was refused
    if isinstance(error, HTTPError):
        return error_reply(error)
    _LOG.error("request %s failed", request.id, exc_info=error)
    # Our own errors are written to be read.
    known = isinstance(error, AlmanacError)
    message = str(error) if known else f"internal error; the log has it under the request id {request.id}"
    return error_reply(HTTPError(HTTPStatus.INTERNAL_SERVER_ERROR, message))

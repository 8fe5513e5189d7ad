"""The answer to a request that was refused or failed."""

from serving.protocol.message import error_reply
from serving.runtime.errors import RefusedError, answer_to
from serving.runtime.http import Reply, Request


def failure_reply(request: Request, error: Exception) -> Reply:
    """Return the reply for an error."""
    if isinstance(error, RefusedError):
        request.who = error.who  # the audit log names the key that was refused
    return error_reply(answer_to(error, request.id))

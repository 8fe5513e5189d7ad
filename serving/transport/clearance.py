"""The checks that read a request's head only, made once for all requests that repeat it.

A client that keeps its connection sends the same head again and again. Its route, its content type, the check against
web pages and the look-up of its key give the same answer each time. Only what was found to be allowed is kept: anything
else is looked at anew, and refused by the general way. Each request still takes its token of the rate limit.
"""

from typing import NamedTuple

from serving.protocol.router import Match, Router
from serving.runtime.errors import HTTPError
from serving.runtime.http import Request
from serving.security.guard import Grant, Guard
from serving.transport.content_type import check_type
from serving.transport.web_guard import CHANGES, WebGuard


class Clearance(NamedTuple):
    """The route of a head, and the grant of its requests.

    Attributes:
        match: the route, with the model.
        grant: the key with its rate.
        generation: that of the router, whose change ends it.
    """

    match: Match
    grant: Grant
    generation: int


def clear(request: Request, router: Router, guard: Guard, web: WebGuard) -> Clearance | None:
    """Return the clearance of a POST request's head, None if each request has to be looked at by itself."""
    try:
        match = router.find("POST", request.path)
        request.verb = match.route.verb
        check_type(request)
        web.check(request)
    except HTTPError:
        return None
    # What changes state goes on in a task of its own, and probes are not limited.
    if match.route.scope is None or match.route.verb in CHANGES:
        return None
    grant = guard.grant(request.key, match.route.scope, match.use_case)
    return Clearance(match, grant, router.generation) if grant is not None else None

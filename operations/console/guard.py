"""Guard of every request: access to pages, size of a body, and headers that restrict browsers."""

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from operations.console.room import session_of

_OPEN = ("/login", "/healthz", "/static/")
_LARGEST_BODY = 16 << 10
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
}


class Guard:
    """Middleware of the console."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        sending = _guarded(send)
        if (refused := _refused(request)) is not None:
            await refused(scope, receive, sending)
        elif not scope["path"].startswith(_OPEN) and session_of(request) is None:
            await RedirectResponse("/login", 303)(scope, receive, sending)
        else:
            await self._app(scope, _bounded(receive), sending)


def _refused(request: Request) -> PlainTextResponse | None:
    # No name has one, and neither a path of a file nor a question to PostgreSQL can hold it.
    if "\0" in request.scope["path"] or b"%00" in request.scope["query_string"]:
        return PlainTextResponse("the address holds a NUL\n", 400)
    if request.method not in ("GET", "HEAD", "POST"):
        return PlainTextResponse("the method is not allowed\n", 405)
    if request.method != "POST":
        return None
    length = request.headers.get("content-length", "")
    if not length.isdecimal() or int(length) > _LARGEST_BODY:
        return PlainTextResponse(f"a form has a length of at most {_LARGEST_BODY} bytes\n", 413)
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
        return PlainTextResponse("a form is application/x-www-form-urlencoded\n", 415)
    # Browsers name the page that sends a form; a form of another origin is refused before its token is looked at.
    origin = request.headers.get("origin")
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none") or (
        origin is not None and origin.partition("://")[2] != request.headers.get("host")
    ):
        return PlainTextResponse("the form comes from another site\n", 403)
    return None


def _bounded(receive: Receive) -> Receive:
    seen = 0

    async def bounded() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        return {"type": "http.disconnect"} if seen > _LARGEST_BODY else message

    return bounded


def _guarded(send: Send) -> Send:
    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return guarded

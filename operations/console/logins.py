"""Logging in and out."""

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from almanac.core.errors import AlmanacError
from operations.console import oidc
from operations.console.roles import User
from operations.console.room import client_of, page, refusal, room_of, session_of
from operations.console.sessions import COOKIE, LIFE_SECONDS


async def login(request: Request) -> Response:
    """Show the form, take a key, or take the token of a link."""
    room = room_of(request)
    if request.method == "GET" and "token" not in request.query_params:
        return _form(request)
    if (refused := _too_many(request)) is not None:
        return refused
    if request.method == "GET":
        user = room.links.user(request.query_params["token"])
        return _turned_away(request, "link", _OLD_LINK) if user is None else _welcome(request, user)
    form = await request.form()
    user = room.keys.user(str(form.get("key", "")))
    return _turned_away(request, "key", "The key is unknown.") if user is None else _welcome(request, user)


_OLD_LINK = "The link was used or is too old; the console prints a new one when it starts."


async def begin_oidc(request: Request) -> Response:
    """Send the browser to the provider."""
    room = room_of(request)
    if room.oidc is None:
        return refusal(request, 404, "Not found", "This console has no login by a provider.")
    if (refused := _too_many(request)) is not None:
        return refused
    try:
        url, browser = await run_in_threadpool(room.oidc.begin)
    except AlmanacError as error:
        return _turned_away(request, "oidc", str(error), 502)
    response = RedirectResponse(url, 303)
    # Lax, or the browser would not bring it along when the provider sends it back.
    response.set_cookie(
        oidc.COOKIE,
        browser,
        max_age=int(oidc.WAIT_SECONDS),
        path=oidc.RETURN_PATH,
        httponly=True,
        samesite="lax",
        secure=room.settings.secure,
    )
    return response


async def finish_oidc(request: Request) -> Response:
    """Let in whom the provider names, if a role is meant for them."""
    room = room_of(request)
    if room.oidc is None:
        return refusal(request, 404, "Not found", "This console has no login by a provider.")
    query, browser = dict(request.query_params), request.cookies.get(oidc.COOKIE, "")
    try:
        user = await run_in_threadpool(room.oidc.finish, query, browser)
    except AlmanacError as error:
        response = _turned_away(request, "oidc", str(error))
    else:
        response = _welcome(request, user)
    response.delete_cookie(oidc.COOKIE, path=oidc.RETURN_PATH)
    return response


def _form(request: Request, status: int = 200, refused: str = "") -> Response:
    provider = room_of(request).oidc
    name = "" if provider is None else provider.settings.name
    return page(request, "login.html.j2", "Log in", status, refused=refused, oidc=name)


def _too_many(request: Request) -> Response | None:
    """Count an attempt; return the refusal of one too many."""
    room, client = room_of(request), client_of(request)
    if not (wait := room.logins.take(client)):
        return None
    room.audit.write("login", "", client, "refused: too many attempts")
    return refusal(request, 429, "Too many attempts", f"Try again in {wait:.0f} s.")


def _turned_away(request: Request, proof: str, why: str, status: int = 401) -> Response:
    room_of(request).audit.write("login", "", client_of(request), f"refused: {why}", proof=proof)
    return _form(request, status, why)


def _welcome(request: Request, user: User) -> Response:
    room = room_of(request)
    room.logins.forget(client_of(request))
    # A session that a client brings is never continued, or it could be one that somebody else chose.
    room.sessions.end(request.cookies.get(COOKIE, ""))
    response = RedirectResponse("/", 303)
    response.set_cookie(
        COOKIE,
        room.sessions.begin(user),
        max_age=int(LIFE_SECONDS),
        httponly=True,
        samesite="lax",
        secure=room.settings.secure,
    )
    room.audit.write("login", user.name, client_of(request), "done", role=user.role, proof=user.proof)
    return response


async def logout(request: Request) -> Response:
    """End the session."""
    session, form = session_of(request), await request.form()
    response = RedirectResponse("/login", 303)
    if session is not None:
        if not session.sent_by_own_page(str(form.get("csrf", ""))):
            return refusal(request, 403, "Not sent from here", "The form was not sent by a page of this console.")
        room_of(request).sessions.end(request.cookies.get(COOKIE, ""))
        room_of(request).audit.write("logout", session.user.name, client_of(request), "done")
        response.delete_cookie(COOKIE)
    return response

"""Logging in and out."""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from operations.console.roles import User
from operations.console.room import client_of, page, refusal, room_of, session_of
from operations.console.sessions import COOKIE, LIFE_SECONDS


async def login(request: Request) -> Response:
    """Show the form, take a key, or take the token of a link."""
    room, client = room_of(request), client_of(request)
    if request.method == "GET" and "token" not in request.query_params:
        return page(request, "login.html.j2", "Log in", refused="", oidc="")
    if wait := room.logins.take(client):
        room.audit.write("login", "", client, "refused: too many attempts")
        return refusal(request, 429, "Too many attempts", f"Try again in {wait:.0f} s.")
    if request.method == "GET":
        user = room.links.user(request.query_params["token"])
        refused = "The link was used or is too old; the console prints a new one when it starts."
    else:
        form = await request.form()
        user, refused = room.keys.user(str(form.get("key", ""))), "The key is unknown."
    if user is None:
        room.audit.write("login", "", client, "refused: unknown key or link")
        return page(request, "login.html.j2", "Log in", 401, refused=refused, oidc="")
    room.logins.forget(client)
    return _welcome(request, user)


def _welcome(request: Request, user: User) -> Response:
    room = room_of(request)
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

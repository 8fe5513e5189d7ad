"""Decisions that people make in the console: each an event of the registry or an entry of a log, under their name."""

from collections.abc import Awaitable, Callable
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from almanac.core.errors import AlmanacError
from governance.registry import Registry, Signer
from operations.agent import approvals
from operations.console.roles import User, allowed
from operations.console.room import Room, client_of, refusal, room_of, session_of
from operations.journal import Journal
from orchestration.retraining import policy
from orchestration.retraining.audit_log import AuditLog, Entry

Endpoint = Callable[[Request], Awaitable[Response]]
_LONGEST_REASON = 500


async def decide_version(request: Request) -> Response:
    """Approve, reject or promote a version."""
    act, use_case = request.path_params["act"], request.path_params["use_case"]
    number = int(request.path_params["number"])

    def do(room: Room, user: User, why: str) -> str:
        registry = Registry(room.registry)
        if act == "promote":
            registry.promote(use_case, number, who=user.name, why=why)
            return f"{use_case} version {number} is in production"
        signer = _signer(room, registry, use_case, user)
        if act == "approve":
            registry.approve(use_case, number, who=user.name, why=why, signer=signer)
        else:
            registry.reject(use_case, number, who=user.name, why=why, signer=signer)
        return f"{use_case} version {number} is {'approved' if act == 'approve' else 'rejected'}"

    return await _perform(request, act, f"{use_case}/{number}", f"/versions/{quote(use_case)}/{number}", do)


async def decide_plan(request: Request) -> Response:
    """Approve or reject a plan of a retraining."""
    return await _decide(request, "plan", AuditLog, policy.approve, policy.reject)


async def decide_action(request: Request) -> Response:
    """Approve or reject an action of the agent."""
    return await _decide(request, "action", Journal, approvals.approve, approvals.reject)


async def decide_use_case(request: Request) -> Response:
    """Roll production back, or stop or release retrainings or the agent."""
    act, use_case = request.path_params["act"], request.path_params["use_case"]

    def do(room: Room, user: User, why: str) -> str:
        if act == "rollback":
            number = Registry(room.registry).rollback(use_case, who=user.name, why=why)
            return f"{use_case} version {number} is in production again"
        if act in ("stop-agent", "release-agent"):
            stop = act == "stop-agent"
            approvals.switch(Journal(room.registry, use_case), stop=stop, who=user.name, why=why)
            return f"the agent on {use_case} is {'stopped' if stop else 'released'}"
        policy.switch(AuditLog(room.registry, use_case), stop=act == "stop", who=user.name, why=why)
        return f"retrainings of {use_case} are {'stopped' if act == 'stop' else 'released'}"

    page = "versions" if act == "rollback" else "agent"
    return await _perform(request, act, use_case, f"/{page}?{urlencode({'use_case': use_case})}", do)


async def _decide(
    request: Request, noun: str, log: type[AuditLog], approve: Callable[..., Entry], reject: Callable[..., Entry]
) -> Response:
    """Approve or reject the entry of a log that the request's digest names."""
    act, use_case, digest = (request.path_params[name] for name in ("act", "use_case", "digest"))

    def do(room: Room, user: User, why: str) -> str:
        decide = approve if act == "approve" else reject
        decide(log(room.registry, use_case), digest, who=user.name, why=why)
        return f"{noun} {digest[:12]} is {'approved' if act == 'approve' else 'rejected'}"

    target = f"/agent?{urlencode({'use_case': use_case})}"
    return await _perform(request, f"{act}-{noun}", f"{use_case} {noun} {digest[:12]}", target, do)


async def _perform(
    request: Request, act: str, subject: str, target: str, do: Callable[[Room, User, str], str]
) -> Response:
    from starlette.concurrency import run_in_threadpool

    room, session, client = room_of(request), session_of(request), client_of(request)
    if session is None:
        return RedirectResponse("/login", 303)
    user, form = session.user, await request.form()
    facts = {"subject": subject, "proof": user.proof}
    if not session.sent_by_own_page(str(form.get("csrf", ""))):
        room.audit.write(act, user.name, client, "refused: not sent by a page of the console", **facts)
        return refusal(
            request, 403, "Not sent from here", "The form was not sent by a page of this console; load it again."
        )
    if not user.may(act):
        room.audit.write(act, user.name, client, f"refused: role {user.role}", **facts)
        return refusal(request, 403, "Not allowed", f"A {user.role} cannot do this; {allowed(act)} can.")
    if wait := room.acts.take(user.name):
        room.audit.write(act, user.name, client, "refused: too many acts", **facts)
        return refusal(request, 429, "Too many acts", f"Try again in {wait:.0f} s.")
    why = str(form.get("why", "")).strip()
    if not 3 <= len(why) <= _LONGEST_REASON:
        return refusal(request, 400, "A reason is missing", f"Give a reason of 3 to {_LONGEST_REASON} characters.")
    use_case = request.path_params["use_case"]
    if use_case not in room.use_cases():
        return refusal(request, 404, "Unknown use case", f"There is no use case {use_case}.")
    try:
        said = await run_in_threadpool(do, room, user, why)
    except AlmanacError as error:
        room.audit.write(act, user.name, client, f"refused: {error}", **facts)
        return refusal(request, 409, "Refused", str(error))
    room.audit.write(act, user.name, client, "done", why=why, **facts)
    await run_in_threadpool(room.memory.refresh)
    return RedirectResponse(f"{target}{'&' if '?' in target else '?'}{urlencode({'said': said})}", 303)


def _signer(room: Room, registry: Registry, use_case: str, user: User) -> Signer | None:
    """Return the console's signature for a decision, None where the registry's policy pins no key of it."""
    if room.settings.signing is None or "console" not in registry.policy(use_case).attesters:
        return None
    return Signer("console", room.settings.signing, {"login": user.proof})

"""The console's application: its routes over one room."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from sqlalchemy.exc import DatabaseError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from operations.console import acts, logins
from operations.console.audit import Audit
from operations.console.guard import Guard
from operations.console.keys import Keys, Links
from operations.console.memory import Memory
from operations.console.oidc import RETURN_PATH, Oidc, read_oidc
from operations.console.pages.agent import agent
from operations.console.pages.data import data
from operations.console.pages.drift import drift
from operations.console.pages.overview import overview
from operations.console.pages.performance import performance
from operations.console.pages.runs import compared, history, run, run_file
from operations.console.pages.versions import version, version_file, versions
from operations.console.rates import Rate
from operations.console.room import Room, refusal
from operations.console.sessions import Sessions
from operations.console.settings import ConsoleSettings
from operations.history import open_history

_STATIC = Path(__file__).parent / "static"
_LOGINS, _ACTS = (10, 60.0), (30, 60.0)


def build(settings: ConsoleSettings) -> Starlette:
    """Return the console.

    Raises:
        ConsoleError: keys, settings of a provider, or audit file that cannot be used.
        HistoryError: a history that cannot be opened.
    """
    room = Room(
        settings=settings,
        memory=Memory(open_history(settings.history), settings.origins),
        keys=Keys(settings.keys),
        links=Links(),
        oidc=None if settings.oidc is None else Oidc(read_oidc(settings.oidc)),
        sessions=Sessions(),
        audit=Audit(settings.audit),
        logins=Rate(*_LOGINS),
        acts=Rate(*_ACTS),
    )
    room.memory.refresh()
    app = Starlette(
        routes=_routes(),
        middleware=[Middleware(Guard)],
        exception_handlers={404: _not_found, 405: _not_found, DatabaseError: _away},
        lifespan=_following(room),
    )
    # A form that is sent to a path with a slash too many is not sent on.
    app.router.redirect_slashes = False
    app.state.room = room
    return app


def _routes() -> list[Route | Mount]:
    return [
        Route("/healthz", _healthz),
        Route("/login", logins.login, methods=["GET", "POST"]),
        Route("/login/oidc", logins.begin_oidc),
        Route(RETURN_PATH, logins.finish_oidc),
        Route("/logout", logins.logout, methods=["POST"]),
        Route("/", overview),
        Route("/performance", performance),
        Route("/drift", drift),
        Route("/versions", versions),
        Route("/versions/{use_case}/{number:int}", version),
        Route("/versions/{use_case}/{number:int}/files/{name:path}", version_file),
        Route("/versions/{use_case}/{number:int}/{act}", _known(acts.decide_version, _VERSION), methods=["POST"]),
        Route("/plans/{use_case}/{digest}/{act}", _known(acts.decide_plan, _DECISIONS), methods=["POST"]),
        Route(
            "/actions/{use_case}/{digest}/{act}", _known(acts.decide_action, ("approve", "reject")), methods=["POST"]
        ),
        Route("/use-cases/{use_case}/{act}", _known(acts.decide_use_case, _USE_CASE), methods=["POST"]),
        Route("/history", history),
        Route("/history/compare", compared),
        Route("/runs/{id}", run),
        Route("/runs/{id}/{name:path}", run_file),
        Route("/agent", agent),
        Route("/data", data),
        Mount("/static", StaticFiles(directory=_STATIC)),
    ]


_DECISIONS = ("approve", "reject")
_VERSION = (*_DECISIONS, "promote")
_USE_CASE = ("rollback", "stop", "release", "stop-agent", "release-agent")


def _known(endpoint: acts.Endpoint, names: tuple[str, ...]) -> acts.Endpoint:
    """Return an endpoint that knows only these acts."""

    async def known(request: Request) -> Response:
        if request.path_params["act"] not in names:
            return await _not_found(request, None)
        return await endpoint(request)

    return known


def _following(room: Room) -> Callable[[Starlette], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async def follow() -> None:
            while True:
                await asyncio.sleep(room.settings.refresh_seconds)
                try:
                    await run_in_threadpool(room.memory.refresh)
                # Pages would be old without a word if one failure ended the looking.
                except Exception as error:
                    room.memory.problem = f"the origins could not be looked at ({type(error).__name__})"

        following = asyncio.create_task(follow())
        yield
        following.cancel()
        room.engine.dispose()

    return lifespan


async def _healthz(_: Request) -> Response:
    return PlainTextResponse("ok\n")


async def _away(_: Request, __: Exception) -> Response:
    return PlainTextResponse("the history's database does not answer; ask again once it is back\n", 503)


async def _not_found(request: Request, _: Exception | None) -> Response:
    return refusal(request, 404, "Not found", "There is no such page.")

"""State that the console's pages and acts share."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from almanac.core.errors import AlmanacError
from almanac.reports import Times
from operations.console import queries
from operations.console.audit import Audit
from operations.console.keys import Keys, Links
from operations.console.memory import Memory
from operations.console.oidc import Oidc
from operations.console.rates import Rate
from operations.console.rendering import render
from operations.console.sessions import COOKIE, Session, Sessions
from operations.console.settings import ConsoleSettings
from operations.history import use_cases
from operations.subject import find_subject

PAGES = (
    ("/", "Overview"),
    ("/performance", "Performance"),
    ("/drift", "Drift"),
    ("/versions", "Versions"),
    ("/history", "History"),
    ("/agent", "Agent"),
    ("/data", "Data"),
)


@dataclass
class Room:
    """The parts of a running console."""

    settings: ConsoleSettings
    memory: Memory
    keys: Keys
    links: Links
    oidc: Oidc | None
    sessions: Sessions
    audit: Audit
    logins: Rate
    acts: Rate

    @property
    def engine(self) -> Engine:
        """The history."""
        return self.memory.engine

    @property
    def registry(self) -> str:
        """Address of the model registry."""
        return self.settings.origins.registry

    def use_cases(self) -> list[str]:
        """Return the names of the use cases."""
        return self.memory.answer(("use cases",), lambda: use_cases(self.engine))

    def windows(self, use_case: str) -> list[queries.Row]:
        """Return the newest judgement of each of the last windows, oldest first."""
        return self.memory.answer(("windows", use_case), lambda: queries.windows(self.engine, use_case))

    def times(self, use_case: str) -> Times:
        """Return the form of the times of a use case's data, as the documents of its version state it."""
        return self.memory.answer(("times", use_case), lambda: self._times(use_case))

    def _times(self, use_case: str) -> Times:
        try:
            return find_subject(use_case, self.registry).times
        # Its pages say more than none would.
        except (AlmanacError, OSError):
            return Times()

    def use_case(self, request: Request) -> str:
        """Return the use case that a page is asked about: the first one where none is named."""
        known, wanted = self.use_cases(), request.query_params.get("use_case", "")
        return wanted if wanted in known else (known[0] if known else "")


def room_of(request: Request) -> Room:
    """Return the parts of the console that a request came to."""
    room: Room = request.app.state.room
    return room


def session_of(request: Request) -> Session | None:
    """Return the session of a request, None where nobody is logged in."""
    return room_of(request).sessions.find(request.cookies.get(COOKIE, ""))


def client_of(request: Request) -> str:
    """Return the client's address."""
    return request.client.host if request.client else "local"


def page(request: Request, template: str, title: str, status: int = 200, **values: Any) -> Response:
    """Return a page with the frame that all share."""
    room, session = room_of(request), session_of(request)
    frame = {
        "title": title,
        "user": session.user if session else None,
        "csrf": session.csrf if session else "",
        "pages": PAGES,
        "here": request.scope["path"],
        "use_cases": room.use_cases() if session else [],
        "use_case": room.use_case(request) if session else "",
        "problem": room.memory.problem if session else "",
        "said": request.query_params.get("said", "") if session else "",
    }
    return HTMLResponse(render(template, **frame | values), status)


def refusal(request: Request, status: int, title: str, text: str) -> Response:
    """Return a page that says why a request was refused."""
    return page(request, "message.html.j2", title, status, text=text)

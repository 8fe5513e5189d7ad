"""Find the route of a path: exact paths of the served models by a dict, all others by pattern."""

import re
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from serving.runtime.errors import HTTPError
from serving.runtime.http import Reply, Request

Handler = Callable[[Request], Coroutine[Any, Any, Reply]]


@dataclass(frozen=True, slots=True)
class Route:
    """One operation.

    Attributes:
        method: GET or POST.
        pattern: path with `{model}` and `{version}`, as the OpenAPI document writes it.
        handler: the coroutine function that answers it.
        verb: name for metrics.
        scope: scope that a key must have, or `PUBLIC`; None for a probe, which the guard does not see.
        protocol: v1, v2 or http, for metrics.
    """

    method: str
    pattern: str
    handler: Handler
    verb: str
    scope: str | None
    protocol: str


@dataclass(frozen=True, slots=True)
class Match:
    """A route with the model and the version that the path names, and the model's use case; "" where there is none."""

    route: Route
    model: str
    version: str | None
    use_case: str = ""


class Router:
    """Finds the route of a request.

    Attributes:
        routes: all routes.
        generation: number of changes of the served models; a match is that of its generation.
    """

    def __init__(self, routes: list[Route]) -> None:
        self.routes = routes
        self.generation = 0
        self._exact: dict[tuple[str, str], Match] = {}
        self._use_cases: dict[str, str] = {}
        self._patterns = [(re.compile(_regex(route.pattern)), route) for route in routes]

    def remember(self, use_cases: dict[str, str]) -> None:
        """Cache the paths of these models, each given with its use case."""
        self._use_cases = use_cases
        self.generation += 1
        self._exact = {
            (route.method, route.pattern.replace("{model}", name)): Match(route, name, None, use_cases.get(name, ""))
            for route in self.routes
            for name in (use_cases if "{model}" in route.pattern else [""])
            if "{version}" not in route.pattern
        }

    def find(self, method: str, path: str) -> Match:
        """Return the route.

        Raises:
            HTTPError: 404 for an unknown path, 405 for another method.
        """
        match = self._exact.get((method, path))
        return match if match is not None else self._search(method, path)

    def _search(self, method: str, path: str) -> Match:
        # Collected, because a 405 names the methods of its path.
        allowed = set()
        for pattern, route in self._patterns:
            match = pattern.fullmatch(path)
            if match is None:
                continue
            if route.method == method:
                groups = match.groupdict()
                model = groups.get("model") or ""
                return Match(route, model, groups.get("version"), self._use_cases.get(model, ""))
            allowed.add(route.method)
        if allowed:
            methods = ", ".join(sorted(allowed))
            raise HTTPError(
                HTTPStatus.METHOD_NOT_ALLOWED, f"{path} answers {methods}, not {method}", {"allow": methods}
            )
        raise HTTPError(HTTPStatus.NOT_FOUND, f"nothing is served at {path}; see /openapi.json")


def _regex(pattern: str) -> str:
    # A colon separates the verb from the model's name.
    return re.escape(pattern).replace(r"\{model\}", r"(?P<model>[^/:]+)").replace(r"\{version\}", r"(?P<version>[^/]+)")

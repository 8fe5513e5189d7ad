"""Orders about the canary of a use case, and its evidence."""

from typing import Any, Protocol

from serving.features.records import parse
from serving.protocol.message import json_reply
from serving.runtime.errors import invalid
from serving.runtime.http import Reply, Request


class CanaryControl(Protocol):
    """Carries the orders out; see `serving.operations.canaries`."""

    async def begin(self, name: str, version: str, percent: float) -> dict[str, Any]:
        """Start a canary."""
        ...

    def move(self, name: str, percent: float) -> dict[str, Any]:
        """Give the new version another share."""
        ...

    def end(self, name: str) -> dict[str, Any]:
        """End a canary."""
        ...

    def describe(self, name: str) -> dict[str, Any]:
        """Return the state and the evidence."""
        ...


class CanaryOrders:
    """The routes of canaries."""

    def __init__(self, control: CanaryControl) -> None:
        self._control = control

    async def state(self, request: Request) -> Reply:
        """Return the state and the evidence of the newest canary."""
        return json_reply(self._control.describe(request.model))

    async def order(self, request: Request) -> Reply:
        """Start, move or end a canary."""
        order = parse(request.body)
        match order:
            case {"end": True, **rest} if not rest:
                return json_reply(self._control.end(request.model))
            case {"version": str(version), "percent": percent, **rest} if not rest:
                return json_reply(await self._control.begin(request.model, version, percent))
            case {"percent": percent, **rest} if not rest:
                return json_reply(self._control.move(request.model, percent))
            case _:
                raise invalid('expected {"version": "3", "percent": 5}, {"percent": 25} or {"end": true}')

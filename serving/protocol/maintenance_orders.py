"""Orders of maintenance: the log's level, empty caches, a reload."""

from typing import Any, Protocol

from serving.features.records import parse
from serving.protocol.message import json_reply
from serving.runtime.errors import invalid
from serving.runtime.http import Reply, Request

_LONGEST_ID, _LONGEST_SECONDS = 128, 86_400


class MaintenanceControl(Protocol):
    """Carries the orders out; see `serving.operations.maintenance`."""

    async def take(self, order: str, kind: str, value: str = "", seconds: float = 0.0) -> dict[str, Any]:
        """Carry an order out once."""
        ...

    def describe(self) -> dict[str, Any]:
        """Return the state."""
        ...


class MaintenanceOrders:
    """The routes of maintenance."""

    def __init__(self, control: MaintenanceControl) -> None:
        self._control = control

    async def state(self, request: Request) -> Reply:
        """Return the level of the log, and the ids of the orders that were dealt with."""
        return json_reply(self._control.describe())

    async def order(self, request: Request) -> Reply:
        """Carry an order out once."""
        match parse(request.body):
            case {"order": str(order), **wanted} if 0 < len(order) <= _LONGEST_ID:
                pass
            case _:
                raise invalid(f"order: expected an id of 1 to {_LONGEST_ID} characters")
        match wanted:
            case {"clear_caches": True, **rest} if not rest:
                return json_reply(await self._control.take(order, "clear_caches"))
            case {"reload": str(model), **rest} if not rest:
                return json_reply(await self._control.take(order, "reload", model))
            case {"log_level": "info", **rest} if not rest:
                return json_reply(await self._control.take(order, "log_level", "info"))
            case {"log_level": "debug", "seconds": int() | float() as seconds, **rest} if not rest:
                # True is an integer to Python.
                if not isinstance(seconds, bool) and 0 < seconds <= _LONGEST_SECONDS:
                    return json_reply(await self._control.take(order, "log_level", "debug", float(seconds)))
                raise invalid(f"seconds: above 0, at most {_LONGEST_SECONDS}")
            case _:
                raise invalid(
                    'expected {"order": ID} with "clear_caches": true, "reload": MODEL, "log_level": "info", or '
                    '"log_level": "debug" and "seconds": 900'
                )

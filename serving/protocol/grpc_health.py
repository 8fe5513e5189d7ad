"""The standard gRPC services: health checking, by which probes and balancers ask, and reflection."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from grpc_health.v1 import health_pb2  # type: ignore[import-untyped]
from grpc_reflection.v1alpha import reflection, reflection_pb2  # type: ignore[import-untyped]

from serving.prediction.repository import Repository
from serving.protocol.grpc_calls import Method
from serving.runtime.errors import HTTPError, invalid
from serving.runtime.http import Request
from serving.runtime.readiness import State
from serving.security.guard import PUBLIC

HEALTH = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
#: How often a watched status is looked at.
_WATCH_SECONDS = 0.25


class Health:
    """`grpc.health.v1.Health`: the server by an empty name or that of its service, and each model by its name.

    Args:
        repository: the models.
        state: whether the server is ready.
        service: name of the service that the server offers.
    """

    def __init__(self, repository: Repository, state: State, service: str) -> None:
        self._repository = repository
        self._state = state
        self._service = service
        self.methods = {
            "Check": Method(self._check, health_pb2.HealthCheckRequest, None),
            "Watch": Method(None, health_pb2.HealthCheckRequest, None, self._watch),
        }

    def _status(self, name: str) -> Any:
        """Return the status of a name; raises an HTTPError (404) for an unknown one."""
        ready = self._repository.any_ready() if name in ("", self._service) else self._repository.is_ready(name)
        kinds = health_pb2.HealthCheckResponse
        return kinds.SERVING if ready and self._state.ready else kinds.NOT_SERVING

    async def _check(self, message: Any, request: Request) -> Any:
        return health_pb2.HealthCheckResponse(status=self._status(message.service))

    async def _watch(self, messages: AsyncIterator[Any], request: Request) -> AsyncIterator[Any]:
        name = (await _first(messages)).service
        last = None
        while True:
            ending = self._state.draining
            try:
                status = self._status(name)
            except HTTPError:  # the protocol keeps such a watch open, since the service may come
                status = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
            if status != last:
                yield health_pb2.HealthCheckResponse(status=status)
            last = status
            # Otherwise an open watch would hold up the end of the server.
            if ending:
                return
            await asyncio.sleep(_WATCH_SECONDS)


def reflection_methods(services: list[str]) -> dict[str, dict[str, Method]]:
    """Return the service `grpc.reflection.v1alpha.ServerReflection`, which describes these services and itself."""
    servicer = reflection.aio.ReflectionServicer([*services, reflection.SERVICE_NAME])

    def answer(messages: AsyncIterator[Any], request: Request) -> AsyncIterator[Any]:
        stream: AsyncIterator[Any] = servicer.ServerReflectionInfo(messages, None)
        return stream

    method = Method(None, reflection_pb2.ServerReflectionRequest, PUBLIC, answer)
    return {reflection.SERVICE_NAME: {"ServerReflectionInfo": method}}


async def _first(messages: AsyncIterator[Any]) -> Any:
    async for message in messages:
        return message
    raise invalid("there is no message")

"""Probes, metrics, the model repository, observations and feedback."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from almanac.core.errors import AlmanacError, ModelError
from serving.features.feature_requests import Features
from serving.features.records import parse
from serving.prediction.feedback import Feedback
from serving.prediction.repository import Repository
from serving.protocol.message import json_reply
from serving.runtime.errors import HTTPError, invalid
from serving.runtime.http import Reply, Request
from serving.runtime.readiness import State

_TEXT = b"text/plain; version=0.0.4; charset=utf-8"
_PAGE = b"<!doctype html><html lang=en><title>Almanac</title><a href=/openapi.json>openapi.json</a></html>"


class Admin:
    """Everything that is not a prediction."""

    def __init__(
        self,
        repository: Repository,
        state: State,
        scrape: Callable[[], bytes],
        features: Features,
        feedback: Feedback,
        openapi: Callable[[], dict[str, Any]],
    ) -> None:
        self._repository = repository
        self._state = state
        self._scrape = scrape
        self._features = features
        self._feedback = feedback
        self._openapi = openapi

    async def live(self, request: Request) -> Reply:
        """Tell that the process lives."""
        return json_reply({"status": "alive"})

    async def health(self, request: Request) -> Reply:
        """Tell whether the server accepts traffic; 503 while it starts or drains."""
        ready = self._state.ready and self._repository.any_ready()
        status = "ok" if ready else "draining" if self._state.draining else "not ready"
        bundle = self._repository.traffic.primary
        return json_reply({"status": status, "model_version": bundle.version}, 200 if ready else 503)

    async def metrics(self, request: Request) -> Reply:
        """Return the metrics of all workers in Prometheus' text format."""
        await self._features.show_age(self._repository.traffic.primary)
        return Reply(self._scrape(), 200, _TEXT)

    async def openapi(self, request: Request) -> Reply:
        """Return the OpenAPI document."""
        return json_reply(self._openapi())

    async def docs(self, request: Request) -> Reply:
        """Return a page that links to the OpenAPI document."""
        return Reply(_PAGE, 200, b"text/html; charset=utf-8")

    async def index(self, request: Request) -> Reply:
        """Return the models and their state."""
        wanted = _json_object(request) if request.body else {}
        extra = sorted(set(wanted) - {"ready"})
        if extra or not isinstance(wanted.get("ready", False), bool):
            raise invalid('expected an empty body or {"ready": true}')
        version = self._repository.traffic.primary.version
        rows = [
            {"name": name, "version": version, "state": "READY" if ready else "UNAVAILABLE", "reason": ""}
            for name in self._repository.names
            if (ready := self._repository.is_ready(name)) or not wanted.get("ready")
        ]
        return json_reply(rows)

    async def load(self, request: Request) -> Reply:
        """Load the newest version and let the model answer."""
        await load(self._repository, request.model)
        return json_reply({"name": request.model, "load": True})

    async def unload(self, request: Request) -> Reply:
        """Let the model answer no more."""
        self._repository.unload(request.model)
        return json_reply({"name": request.model, "unload": True})

    async def ingest(self, request: Request) -> Reply:
        """Append observations to the feature store."""
        self._repository.check_name(request.model)
        request.answered_by = self._repository.traffic.primary.version
        document = _json_object(request)
        if set(document) != {"observations"}:
            raise invalid("expected one field, observations: a list of rows")
        try:
            ingestor = self._features.ingestor
        except ModelError as error:
            message = f"no observations are kept for this model: {str(error).splitlines()[0]}"
            raise HTTPError(HTTPStatus.NOT_IMPLEMENTED, message) from error
        taken = await ingestor.append(self._repository.traffic.primary, document["observations"])
        return json_reply({"ingested": taken.kept} | ({"dropped": taken.dropped} if taken.dropped else {}))

    async def feedback(self, request: Request) -> Reply:
        """Take observed values of what was predicted."""
        bundle = self._repository.bundle(request.model)
        request.answered_by = bundle.version
        return json_reply(self._feedback.take(bundle, request.model, _json_object(request)))


async def load(repository: Repository, name: str) -> None:
    """Load the newest version and let the model of this name answer.

    Raises:
        HTTPError: no model has this name, or its newest version cannot be loaded.
    """
    try:
        await repository.load(name)
    except HTTPError:
        raise
    except AlmanacError as error:
        raise HTTPError(HTTPStatus.SERVICE_UNAVAILABLE, f"{name}: {error}") from error


def _json_object(request: Request) -> dict[str, Any]:
    return parse(request.body)

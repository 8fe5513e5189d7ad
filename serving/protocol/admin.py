"""Probes, metrics, model repository, observations, feedback."""

import asyncio
import re
from collections.abc import Callable
from http import HTTPStatus
from itertools import chain
from typing import Any

from almanac.core.errors import AlmanacError, ModelError
from serving.features.feature_sets import FeatureSets
from serving.features.records import parse
from serving.prediction.feedback import Feedback
from serving.prediction.repository import Repository
from serving.prediction.use_case import ServedUseCase
from serving.protocol.docs_page import page
from serving.protocol.json_lists import rows_of
from serving.protocol.message import json_reply
from serving.runtime.bounds import Bounds
from serving.runtime.errors import HTTPError, invalid
from serving.runtime.http import Reply, Request
from serving.runtime.readiness import State

_LEFT_OUT = re.compile(rb'\s*\{\s*"left_out"')
_TEXT = b"text/plain; version=0.0.4; charset=utf-8"


class Admin:
    """The routes that are not predictions."""

    def __init__(
        self,
        repository: Repository,
        state: State,
        scrape: Callable[[], bytes],
        features: FeatureSets,
        feedback: Feedback,
        openapi: Callable[[], dict[str, Any]],
        bounds: Bounds,
    ) -> None:
        self._repository = repository
        self._state = state
        self._scrape = scrape
        self._features = features
        self._feedback = feedback
        self._openapi = openapi
        self._bounds = bounds

    async def live(self, request: Request) -> Reply:
        """Return that the process is alive."""
        return json_reply({"status": "alive"})

    async def health(self, request: Request) -> Reply:
        """Return whether the server is ready, and which models are not; 503 while it starts or drains."""
        # Unlike `live`: Kubernetes restarts a pod that is not alive, but only withdraws one that is not ready.
        ready = self._state.ready and self._repository.any_ready()
        status = "ok" if ready else "draining" if self._state.draining else "not ready"
        use_cases = self._repository.use_cases
        document: dict[str, Any] = {"status": status, "model_version": use_cases[0].version}
        if len(use_cases) > 1:
            document["model_versions"] = {one.name: one.version for one in use_cases if one.traffic is not None}
        if lacking := {one.name: one.public_reason for one in use_cases if one.traffic is None}:
            document["not_loaded"] = lacking
        # A log on a full disk does not stop predictions, and so not readiness.
        if failing := {log.name: log.error for log in self._state.logs if log.error}:
            document["logs_failing"] = failing
        if not ready and self._state.waits_for:
            document["waits_for"] = self._state.waits_for
        return json_reply(document, 200 if ready else 503)

    async def metrics(self, request: Request) -> Reply:
        """Return the metrics of all workers in Prometheus' text format."""
        await self._features.update_freshness(self._repository.bundles)
        # In a thread: thousands of series take as many hundredths of a millisecond.
        return Reply(await asyncio.get_running_loop().run_in_executor(None, self._scrape), 200, _TEXT)

    async def openapi(self, request: Request) -> Reply:
        """Return the OpenAPI document."""
        return await asyncio.get_running_loop().run_in_executor(None, lambda: json_reply(self._openapi()))

    async def docs(self, request: Request) -> Reply:
        """Return a page with all operations."""
        return Reply(page(self._repository.names), 200, b"text/html; charset=utf-8")

    async def index(self, request: Request) -> Reply:
        """Return the models and their state."""
        options = parse(request.body) if request.body else {}
        if set(options) - {"ready"} or not isinstance(options.get("ready", False), bool):
            raise invalid('expected an empty body or {"ready": true}')
        models = [
            _state(use_case, name)
            for use_case in self._repository.use_cases
            for name in use_case.names
            if use_case.is_ready(name) or not options.get("ready")
        ]
        return json_reply(models)

    async def load(self, request: Request) -> Reply:
        """Load the newest version and enable the model."""
        await load(self._repository, request.model)
        return json_reply({"name": request.model, "load": True})

    async def unload(self, request: Request) -> Reply:
        """Disable the model."""
        self._repository.unload(request.model)
        return json_reply({"name": request.model, "unload": True})

    async def ingest(self, request: Request) -> Reply:
        """Append observations to the feature store, or note the newest ones that it does not get."""
        bundle = self._repository.primary(request.model)
        request.answered_by = bundle.version
        left_out = _LEFT_OUT.match(request.body) is not None
        field = "left_out" if left_out else "observations"
        pieces = [rows async for _, rows in rows_of(request.body, field, self._bounds)]
        try:
            ingestor = self._features.of(bundle.use_case).ingestor
        except ModelError as error:
            message = f"no observations are kept for this model: {str(error).splitlines()[0]}"
            raise HTTPError(HTTPStatus.NOT_IMPLEMENTED, message) from error
        observations = list(chain.from_iterable(pieces))
        if left_out:
            await ingestor.leave_out_rows(bundle, observations)
            return json_reply({"ingested": 0})
        result = await ingestor.append(bundle, observations)
        return json_reply({"ingested": result.kept} | ({"dropped": result.dropped} if result.dropped else {}))

    async def feedback(self, request: Request) -> Reply:
        """Take observed values of earlier predictions."""
        self._repository.check_ready(request.model)
        bundle = self._repository.primary(request.model)
        request.answered_by = bundle.version
        rows = rows_of(request.body, "feedback", self._bounds)
        return json_reply(await self._feedback.take(bundle, request.model, rows))


def _state(use_case: ServedUseCase, name: str) -> dict[str, str]:
    state = "READY" if use_case.is_ready(name) else "UNAVAILABLE"
    return {"name": name, "version": use_case.version, "state": state, "reason": use_case.reason}


async def load(repository: Repository, name: str) -> None:
    """Load the newest version and enable the model of this name.

    Raises:
        HTTPError: no model has this name, or its newest version cannot be loaded.
    """
    try:
        await repository.load(name)
    except HTTPError:
        raise
    except AlmanacError as error:
        raise HTTPError(HTTPStatus.SERVICE_UNAVAILABLE, f"{name}: {error}") from error

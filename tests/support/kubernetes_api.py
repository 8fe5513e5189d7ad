"""A Kubernetes API server on loopback: server-side apply of the objects that a deployment consists of.

Every applied object is held against Kubernetes' schemas or KServe's models, and refused with 400 where it breaks them.
"""

import json
import threading
import warnings
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import kubernetes_validate

from almanac.core.errors import DeploymentError
from tests.support.kserve_objects import check

#: Which status a request by its method and path is answered with in place of what was asked for; None: none.
Fault = Callable[[str, str], int | None]
#: What the controller makes of an applied InferenceService: its status.
Controller = Callable[[dict[str, Any]], dict[str, Any]]


def ready(service: dict[str, Any]) -> dict[str, Any]:
    return {"conditions": [{"type": "Ready", "status": "True"}]}


class KubernetesApi:
    """The server; use it as a context manager, its address is `host`."""

    def __init__(self, controller: Controller = ready) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.applied: list[dict[str, Any]] = []
        self.controller = controller
        self.fault: Fault = lambda method, path: None
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: Any) -> None:
                return

            def do_GET(self) -> None:
                outer.answer(self)

            do_PATCH = do_GET  # noqa: N815

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> "KubernetesApi":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        url = urlsplit(request.path)
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        if (failed := self.fault(request.command, url.path)) is not None:
            status, answer = failed, {"message": "not today"}
        elif request.command == "PATCH":
            status, answer = self._apply(url.path, parse_qs(url.query), request.headers["Content-Type"], body)
        else:
            found = self.objects.get(url.path)
            status, answer = (200, found) if found is not None else (404, {"message": "not found"})
        data = json.dumps(answer).encode()
        request.send_response(status)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        request.wfile.write(data)

    def _apply(self, path: str, query: dict[str, list[str]], kind: str, body: bytes) -> tuple[int, dict[str, Any]]:
        if kind != "application/apply-patch+yaml" or query.get("fieldManager") != ["almanac"]:
            return 415, {"message": "not a server-side apply"}
        item: dict[str, Any] = json.loads(body)
        if "managedFields" in item["metadata"] or not path.endswith(f"/{item['metadata']['name']}"):
            return 400, {"message": "metadata.managedFields must be nil, the name that of the path"}
        try:
            self._validate(item)
        except (DeploymentError, kubernetes_validate.ValidationError) as error:
            return 400, {"message": str(error)}
        self.applied.append(item)
        generation = self.objects.get(path, {"metadata": {"generation": 0}})["metadata"]["generation"] + 1
        kept = {**item, "metadata": {**item["metadata"], "generation": generation, "managedFields": [{}], "uid": "1"}}
        if item["kind"] == "InferenceService":
            kept["status"] = {"observedGeneration": generation, **self.controller(item)}
        self.objects[path] = kept
        return 200, kept

    @staticmethod
    def _validate(item: dict[str, Any]) -> None:
        if item["apiVersion"].startswith("serving.kserve.io"):
            check(item)
        elif not item["apiVersion"].startswith("monitoring.coreos.com"):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                kubernetes_validate.validate(item, "1.31", strict=True)

"""A Kubernetes API server on loopback: server-side apply of the objects that a deployment consists of.

Every applied object is held against Kubernetes' schemas or KServe's models, and refused with 400 where it breaks them.
Of an InferenceService it makes a Deployment and pods, as KServe's controller does, whose statuses were looked at on
real clusters: `status.observedGeneration` of the service is the Deployment's, and from KServe 0.20 on Ready stays true
for as long as old pods are available.
"""

import json
import math
import re
import time
import warnings
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import kubernetes_validate

from almanac.core.errors import DeploymentError
from serving.deploy.kube import PLURALS
from tests.support.background import in_background
from tests.support.kserve_objects import check

#: Which status a request by its method and path is answered with in place of what was asked for; None: none.
Fault = Callable[[str, str], int | None]
#: Why the pods of an InferenceService do not start: the state of a container as a pod reports it; None: they start.
Pods = Callable[[dict[str, Any]], dict[str, Any] | None]
#: Of KServe, before and after Ready was kept through a rollout.
RELEASES = ("0.17", "0.20")
#: Groups of definitions that no package here has schemas of.
_DEFINED = ("monitoring.coreos.com", "external-secrets.io", "gateway.networking.k8s.io")
#: What a cluster has on which everything is installed, and every namespace that was set up.
_THERE: dict[str, Any] = {
    "/version": {"major": "1", "minor": "34"},
    "/apis/serving.kserve.io/v1beta1": {},
    "/apis/monitoring.coreos.com/v1": {},
    "/api/v1/namespaces": {},
    "/api/v1/namespaces/secrets/almanac-api-keys": {"data": {}},
    "/api/v1/namespaces/secrets/almanac-client-key": {"data": {"key": "YWxtYW5hYw=="}},
    "/api/v1/namespaces/persistentvolumeclaims/almanac-registry": {},
}


def starting(service: dict[str, Any]) -> None:
    return None


def _merged(value: Any, change: Any) -> Any:
    if not isinstance(value, dict) or not isinstance(change, dict):
        return change
    return value | {name: _merged(value.get(name), part) for name, part in change.items()}


def kubeconfig(host: str) -> dict[str, Any]:
    """Return the content of a kubeconfig for a server."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "here", "cluster": {"server": host}}],
        "users": [{"name": "me", "user": {"token": "t"}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
        "current-context": "here",
    }


class KubernetesApi:
    """The server; use it as a context manager, its address is `host`."""

    def __init__(self, pods: Pods = starting, release: str = "0.20", seconds: float = 0.0, url: str = "") -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.applied: list[dict[str, Any]] = []
        self.deleted: list[str] = []
        #: Templates that the Deployment has had, each of which was a rollout.
        self.templates: list[dict[str, Any]] = []
        #: By pod, and by pod and `/previous` for the container before.
        self.logs: dict[str, str] = {}
        self._pods, self._release, self._seconds = pods, release, seconds
        #: Address of the server that stands for all pods.
        self.url = url
        self._deployments: dict[str, dict[str, Any]] = {}
        #: Its methods are those of HTTP, and DRY for an apply that changes nothing.
        self.fault: Fault = lambda method, path: None
        #: What is there without having been applied, whatever the namespace.
        self.there = dict(_THERE)
        #: Verbs and resources, such as `create services/proxy`, that the account may not use.
        self.forbidden: set[str] = set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: Any) -> None:
                return

            def do_GET(self) -> None:
                outer.answer(self)

            do_PATCH = do_DELETE = do_POST = do_GET  # noqa: N815

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._running = in_background(self._server)

    def __enter__(self) -> "KubernetesApi":
        self._running.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._running.__exit__(None, None, None)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        url = urlsplit(request.path)
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        dry = "dryRun" in parse_qs(url.query)
        status: int
        answer: Any
        if (failed := self.fault("DRY" if dry else request.command, url.path)) is not None:
            status, answer = failed, {"message": "not today"}
        elif url.path.endswith("/selfsubjectaccessreviews"):
            status, answer = 201, {"status": {"allowed": self._allows(json.loads(body)["spec"]["resourceAttributes"])}}
        elif "/proxy/" in url.path:
            status, answer = self._proxied(request, body)
        elif request.command == "PATCH":
            status, answer = self._apply(url.path, parse_qs(url.query), request.headers["Content-Type"], body)
        elif request.command == "DELETE":
            self.deleted.append(url.path)
            status, answer = (200, {}) if self.objects.pop(url.path, None) else (404, {"message": "not found"})
        else:
            query = parse_qs(url.query)
            before = "/previous" if query.get("previous") == ["true"] else ""
            found = self._look(url.path + before, query.get("labelSelector", [""])[0])
            status, answer = (200, found) if found is not None else (404, {"message": "not found"})
        data = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
        request.send_response(status)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        request.wfile.write(data)

    def _apply(self, path: str, query: dict[str, list[str]], kind: str, body: bytes) -> tuple[int, dict[str, Any]]:
        if kind == "application/merge-patch+json" and path in self.objects:
            return self._merge(self.objects[path], json.loads(body))
        if kind != "application/apply-patch+yaml" or query.get("fieldManager") != ["almanac"]:
            return 415, {"message": "not a server-side apply"}
        if query.get("fieldValidation") != ["Strict"]:
            return 400, {"message": "unknown fields would be dropped without a word"}
        item: dict[str, Any] = json.loads(body)
        if "managedFields" in item["metadata"] or not path.endswith(f"/{item['metadata']['name']}"):
            return 400, {"message": "metadata.managedFields must be nil, the name that of the path"}
        try:
            self._validate(item)
        except (DeploymentError, kubernetes_validate.ValidationError) as error:
            return 400, {"message": str(error)}
        if "dryRun" in query:
            return 200, item
        self.applied.append(item)
        generation = self.objects.get(path, {"metadata": {"generation": 0}})["metadata"]["generation"] + 1
        kept = {**item, "metadata": {**item["metadata"], "generation": generation, "managedFields": [{}], "uid": "1"}}
        self.objects[path] = kept
        if item["kind"] in ("InferenceService", "ServingRuntime"):
            for service in [one for one in self.objects.values() if one["kind"] == "InferenceService"]:
                self._reconcile(service)
        return 200, kept

    def _merge(self, item: dict[str, Any], change: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        merged = _merged(item, change)
        predictor = merged["spec"].get("predictor", {})
        # As KServe's webhook does.
        if predictor.get("minReplicas", 1) > (predictor.get("maxReplicas") or math.inf):
            return 403, {"message": "'MinReplicas' cannot be greater than MaxReplicas"}
        item |= merged
        self._reconcile(item)
        return 200, item

    def _allows(self, asked: dict[str, str]) -> bool:
        resource = "/".join(filter(None, (asked["resource"], asked.get("subresource"))))
        return f"{asked['verb']} {resource}" not in self.forbidden

    def _proxied(self, request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, Any]:
        """Forward a request to the address that stands for the pods, as the API server does to a Service."""
        if not self.url:
            return 503, {"kind": "Status", "message": "error trying to reach service: no endpoints available"}
        headers = {name: value for name, value in request.headers.items() if name in ("content-type", "x-api-key")}
        rest = request.path.split("/proxy", 1)[1]
        answer = httpx.request(request.command, self.url + rest, content=body, headers=headers)
        return answer.status_code, answer.text

    def _reconcile(self, service: dict[str, Any]) -> None:
        """Make the Deployment of a service anew, as KServe's controller does on a change of it or of its runtime."""
        predictor, metadata = service["spec"]["predictor"], service["metadata"]
        runtimes = {one["metadata"]["name"]: one for one in self.objects.values() if one["kind"] == "ServingRuntime"}
        runtime = runtimes.get(predictor["model"]["runtime"])
        if runtime is None:
            return
        image = runtime["spec"]["containers"][0]["image"]
        annotations = {name: value for name, value in metadata["annotations"].items() if name.startswith("almanac")}
        template = {
            "metadata": {"annotations": annotations},
            "spec": {"containers": [{"name": "kserve-container", "image": image}]},
            "env": predictor["model"]["env"],
            "args": predictor["model"].get("args", []),
        }
        path = f"/apis/apps/v1/namespaces/{metadata['namespace']}/deployments/{metadata['name']}-predictor"
        known = self._deployments.get(path)
        if known is None or known["template"] != template:
            self.templates.append(template)
            generation = 1 if known is None else known["generation"] + 1
            available = 0 if known is None else self._available(known)
            known = {"template": template, "generation": generation, "since": time.monotonic(), "old": available}
            known["failure"] = self._pods(service)
        known["replicas"] = predictor["minReplicas"]
        known["service"] = metadata["name"]
        self._deployments[path] = known

    def _available(self, known: dict[str, Any]) -> int:
        started = known["failure"] is None and time.monotonic() - known["since"] >= self._seconds
        replicas: int = known["replicas"] if started else known["old"]
        return replicas

    def _look(self, path: str, selector: str = "") -> Any | None:
        if path in self._deployments:
            return self._deployment(self._deployments[path])
        if path.endswith("/pods"):
            return {"items": [pod for known in self._deployments.values() for pod in self._every_pod(known)]}
        if "/log" in path:
            pod, _, before = path.rpartition("/pods/")[2].partition("/log")
            return self.logs.get(pod + before)
        if path.rsplit("/", 1)[1] in PLURALS.values():
            wanted = dict(one.split("=") for one in filter(None, selector.split(",")))
            inside = [one for place, one in self.objects.items() if place.startswith(f"{path}/")]
            return {"items": [one for one in inside if wanted.items() <= one["metadata"]["labels"].items()]}
        if path not in self.objects and (place := re.sub(r"(/api/v1/namespaces)/[^/]+", r"\1", path)) in self.there:
            return self.there[place]
        found = self.objects.get(path)
        if found is None or found["kind"] != "InferenceService":
            return found
        return {**found, "status": self._status(found)}

    def _deployment(self, known: dict[str, Any]) -> dict[str, Any]:
        available, replicas = self._available(known), known["replicas"]
        complete = available == replicas and known["failure"] is None
        complete = complete and time.monotonic() - known["since"] >= self._seconds
        counts = {"replicas": replicas if complete else known["old"] + 1, "availableReplicas": available}
        counts["updatedReplicas"] = replicas if complete else 1
        return {
            "metadata": {"generation": known["generation"]},
            "spec": {"replicas": replicas, "template": known["template"]},
            "status": {"observedGeneration": known["generation"], **counts},
        }

    def _status(self, service: dict[str, Any]) -> dict[str, Any]:
        known = next((one for one in self._deployments.values() if one["service"] == service["metadata"]["name"]), None)
        if known is None:
            return {}
        deployment = self._deployment(known)["status"]
        updated = deployment["updatedReplicas"] == deployment["availableReplicas"] == known["replicas"]
        served = deployment["availableReplicas"] > 0 if self._release == "0.20" else updated
        condition = {"type": "Ready", "status": str(served)}
        if not served:
            condition |= {"reason": "PredictorNotReady", "message": "Deployment has not finished"}
        address = {"url": self.url} if self.url else {}
        return {"observedGeneration": deployment["observedGeneration"], "conditions": [condition], **address}

    def _every_pod(self, known: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the ready pods of the newest template, or one that is not."""
        if known["failure"] is None:
            about = {"namespace": "almanac", "annotations": known["template"]["metadata"]["annotations"]}
            status = {"conditions": [{"type": "Ready", "status": "True"}]}
            names = [f"{known['service']}-{number}" for number in range(self._available(known))]
            return [{"metadata": {**about, "name": name}, "status": status} for name in names]
        container = {"name": "kserve-container", "ready": False, "restartCount": 0, **known["failure"]}
        metadata = {
            "name": "pod-1",
            "namespace": "almanac",
            "annotations": known["template"]["metadata"]["annotations"],
        }
        kind = "containerStatuses" if container["name"] == "kserve-container" else "initContainerStatuses"
        return [{"metadata": metadata, "status": {kind: [container]}}]

    @staticmethod
    def _validate(item: dict[str, Any]) -> None:
        if item["apiVersion"].startswith("serving.kserve.io"):
            check(item)
        elif not item["apiVersion"].startswith(_DEFINED):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                kubernetes_validate.validate(item, "1.31", strict=True)

"""The Kubeflow Pipelines HTTP API on loopback, as kfp-server-api's models describe it.

It keeps pipelines, versions, runs and schedules in memory. Every request body is read with the client's own
models: an unknown field or a value of another type answers 400, as the real gateway does.
"""

import json
import re
from datetime import UTC, datetime
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import kfp_server_api as api
import yaml

from tests.support.background import in_background

TOKEN = "a-token-for-tests"
#: Fields of runs that the real server's lists are filtered and sorted by.
RUN_FIELDS = frozenset(
    {"run_id", "id", "display_name", "name", "created_at", "finished_at", "description", "scheduled_at"}
    | {"storage_state", "status", "namespace", "experiment_id", "state", "recurring_run_id"}
)


def check(value: Any, model_name: str, place: str = "") -> None:
    """Raise ValueError where `value` is not what the model of that name holds."""
    if model_name in ("str", "datetime"):
        wrong = not isinstance(value, str)
    elif model_name == "bool":
        wrong = not isinstance(value, bool)
    elif model_name in ("int", "float"):
        wrong = not isinstance(value, int | float)
    elif model_name == "object":
        wrong = False
    elif match := re.fullmatch(r"dict\(str, (.*)\)", model_name):
        for key, item in value.items():
            check(item, match[1], f"{place}.{key}")
        return
    elif match := re.fullmatch(r"list\[(.*)\]", model_name):
        for index, item in enumerate(value):
            check(item, match[1], f"{place}.{index}")
        return
    else:
        model = getattr(api, model_name)
        if hasattr(model, "allowable_values"):
            wrong = value not in model.allowable_values
        else:
            fields = {model.attribute_map[name]: kind for name, kind in model.openapi_types.items()}
            for key, item in value.items():
                if key not in fields:
                    raise ValueError(f"{place}.{key}: {model_name} has no such field")
                if item is not None:
                    check(item, fields[key], f"{place}.{key}")
            return
    if wrong:
        raise ValueError(f"{place}: {value!r} is no {model_name}")


class KubeflowApi:
    """The server; use it as a context manager, its address is `host`."""

    def __init__(self, multi_user: bool = False) -> None:
        self.multi_user = multi_user
        #: Log of each pod by its name.
        self.logs: dict[str, str] = {}
        self.pipelines: dict[str, dict[str, Any]] = {}
        self.versions: dict[str, dict[str, Any]] = {}
        self.runs: dict[str, dict[str, Any]] = {}
        self.recurring: dict[str, dict[str, Any]] = {}
        self.experiments: dict[str, dict[str, Any]] = {}
        self.requests: list[str] = []
        self.run_states: list[tuple[str, dict[str, str]]] = [("SUCCEEDED", {"ingestion": "SUCCEEDED"})]
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: Any) -> None:
                return

            def do_GET(self) -> None:
                outer.answer(self)

            do_POST = do_DELETE = do_GET  # noqa: N815

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._running = in_background(self._server)

    def __enter__(self) -> "KubeflowApi":
        self._running.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._running.__exit__(None, None, None)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        answer: dict[str, Any] | str
        # The API server of several users, which looks at tokens itself, tells everybody of its health.
        given, open_ = request.headers.get("Authorization"), self.multi_user and request.path.endswith("/healthz")
        if given != f"Bearer {TOKEN}" and not (open_ and given is None):
            status, answer = 401, {"message": "Unauthorized"}
        else:
            try:
                status, answer = 200, self._route(request, body)
            except PermissionError as error:
                status, answer = 403, {"message": str(error)}
            except FileExistsError as error:
                status, answer = 409, {"message": str(error)}
            except LookupError as error:
                status, answer = 404, {"message": f"not found: {error}"}
            except ValueError as error:
                status, answer = 400, {"message": str(error)}
        data = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
        request.send_response(status)
        request.send_header("Content-Type", "text/plain" if isinstance(answer, str) else "application/json")
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        request.wfile.write(data)

    def _route(self, request: BaseHTTPRequestHandler, body: bytes) -> dict[str, Any] | str:
        url = urlsplit(request.path)
        if match := re.fullmatch(r"/apis/v1alpha1/runs/[^/]+/nodes/([^/]+)/log", url.path):
            return self.logs.get(match[1], json.dumps({"error_message": "Failed to read logs", "error_details": ""}))
        path, query = url.path.removeprefix("/apis/v2beta1"), {k: v[0] for k, v in parse_qs(url.query).items()}
        self.requests.append(f"{request.command} {path}")
        key = (request.command, re.sub(r"/[0-9]+-[a-z]+", "/{id}", path))
        ids = re.findall(r"/([0-9]+-[a-z]+)", path)
        match key:
            case ("GET", "/healthz"):
                return {"multi_user": self.multi_user}
            case ("GET", "/pipelines"):
                namespace = query.get("namespace", "")
                there = [one for one in self.pipelines.values() if one.get("namespace", "") == namespace]
                return self._named({"pipelines": there}, "pipelines", query)
            case ("POST", "/pipelines"):
                made = self._read(body, "V2beta1Pipeline")
                same = [one for one in self.pipelines.values() if one["display_name"] == made["display_name"]]
                if any(one.get("namespace", "") == made.get("namespace", "") for one in same):
                    raise FileExistsError(f"The name {made['display_name']} already exists. Please specify a new name.")
                return self._keep(self.pipelines, "pipeline_id", "pipeline", made)
            case ("GET", "/pipelines/{id}/versions"):
                self.pipelines[ids[0]]
                found = [v for v in self.versions.values() if v["pipeline_id"] == ids[0]]
                return self._page(found, "pipeline_versions", query)
            case ("POST", "/pipelines/upload_version"):
                return self._upload(request, body, query)
            case ("GET", "/experiments"):
                return self._named({"experiments": list(self.experiments.values())}, "experiments", query)
            case ("POST", "/experiments"):
                made = self._read(body, "V2beta1Experiment")
                if self.multi_user and not made.get("namespace"):
                    raise PermissionError("Invalid input error: Namespace is empty")
                return self._keep(self.experiments, "experiment_id", "experiment", made)
            case ("POST", "/runs"):
                run = self._read(body, "V2beta1Run")
                self.versions[run["pipeline_version_reference"]["pipeline_version_id"]]
                return self._keep(self.runs, "run_id", "run", run | {"polls": 0}) | {"polls": None}
            case ("GET", "/pipelines/{id}"):
                return self.pipelines[ids[0]]
            case ("GET", "/runs"):
                return self._runs(query)
            case ("GET", "/runs/{id}"):
                return self._run(self.runs[ids[0]])
            case ("GET", "/recurringruns"):
                return self._page(self._schedules(query), "recurringRuns", query)
            case ("POST", "/recurringruns"):
                made = self._read(body, "V2beta1RecurringRun")
                if any(one["display_name"] == made["display_name"] for one in self.recurring.values()):
                    raise ValueError("already exists")
                made["namespace"] = self.experiments[made["experiment_id"]].get("namespace", "")
                made["status"] = "ENABLED" if made["mode"] == "ENABLE" else "DISABLED"
                return self._keep(self.recurring, "recurring_run_id", "job", made)
            case ("POST", "/recurringruns/{id}:enable" | "/recurringruns/{id}:disable"):
                self.recurring[ids[0]]["status"] = "ENABLED" if path.endswith(":enable") else "DISABLED"
                return {}
            case ("DELETE", "/recurringruns/{id}"):
                del self.recurring[ids[0]]
                return {}
        raise LookupError(f"{request.command} {path}")

    def _schedules(self, query: dict[str, str]) -> list[dict[str, Any]]:
        if self.multi_user and not query.keys() & {"namespace", "experiment_id"}:
            raise ValueError("a recurring run cannot have an empty namespace in multi-user mode")
        asked = query.items() & {("namespace", query.get("namespace")), ("experiment_id", query.get("experiment_id"))}
        return [one for one in self.recurring.values() if not self.multi_user or asked <= one.items()]

    def _read(self, body: bytes, model: str) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(body)
        # The generated client sends the number that max_concurrency is, where the model says text.
        check({k: str(v) if k == "max_concurrency" else v for k, v in value.items()}, model, model)
        return value

    def _keep(self, store: dict[str, Any], field: str, word: str, value: dict[str, Any]) -> dict[str, Any]:
        identity = f"{len(self.requests)}-{word}"
        store[identity] = value | {field: identity, "created_at": datetime.now(UTC).isoformat()}
        return dict(store[identity])

    @staticmethod
    def _nodes(name: str, state: str) -> list[dict[str, Any]]:
        """Return the nodes by which Argo reports a task: its driver, itself, and its executor with an attempt."""
        start, end = "2026-11-01T03:00:00Z", "2026-11-01T03:00:42Z" if state != "RUNNING" else "1970-01-01T00:00:00Z"
        code = sum(map(ord, name))
        nodes = [(f"{name}-driver", "SUCCEEDED", []), (name, state, [f"wf-x-{code}"])]
        nodes += [("executor", state, [f"wf-x-{code + 1}"]), ("executor(0)", state, [])]
        return [
            {
                "display_name": shown,
                "state": node_state,
                "start_time": start,
                "end_time": end,
                "child_tasks": [{"pod_name": child} for child in children],
            }
            for shown, node_state, children in nodes
        ]

    def _named(self, answer: dict[str, Any], field: str, query: dict[str, str]) -> dict[str, Any]:
        if "filter" in query:
            predicate = json.loads(query["filter"])["predicates"][0]
            wanted = predicate.get("stringValue") or predicate.get("string_value")
            answer[field] = [one for one in answer[field] if wanted in (one.get("display_name"), one.get("name"))]
        return answer

    def _runs(self, query: dict[str, str]) -> dict[str, Any]:
        """Answer runs by the fields that the real server filters and sorts them by; another one answers 400."""
        field, _, order = query.get("sort_by", "created_at desc").partition(" ")
        predicates = json.loads(query.get("filter", "{}")).get("predicates", [])
        for name in (field, *(predicate["key"] for predicate in predicates)):
            if name not in RUN_FIELDS:
                raise ValueError(f"Invalid input error: no support for unrecognized field {name!r}")
        shown = [self._run(run, ask=False) for run in self.runs.values()]
        for predicate in predicates:
            wanted = predicate.get("stringValue") or predicate.get("string_value")
            shown = [run for run in shown if run.get(predicate["key"]) == wanted]
        shown.sort(key=lambda run: str(run.get(field)), reverse=order == "desc")
        return self._page(shown, "runs", query)

    def add_run(
        self, pipeline: str, state: str, tasks: dict[str, str], *, created: datetime, finished: datetime
    ) -> str:
        """Add a run of a pipeline that has ended, as by a schedule, and return its id."""
        identity = f"{len(self.pipelines) + len(self.runs)}-run"
        known = [key for key, one in self.pipelines.items() if one["display_name"] == pipeline]
        pipeline_id = known[0] if known else f"{len(self.pipelines)}-pipeline"
        self.pipelines.setdefault(pipeline_id, {"pipeline_id": pipeline_id, "display_name": pipeline})
        self.runs[identity] = {
            "run_id": identity,
            "display_name": f"{pipeline} nightly",
            "pipeline_version_reference": {"pipeline_id": pipeline_id, "pipeline_version_id": "0-version"},
            "created_at": created.isoformat(),
            "finished_at": finished.isoformat(),
            "ended": (state, tasks),
            "polls": 0,
        }
        return identity

    def _page(self, items: list[Any], field: str, query: dict[str, str]) -> dict[str, Any]:
        """Answer one item a page, so that a caller who reads the first page alone is found out."""
        start = int(query.get("page_token") or 0)
        rest = {"next_page_token": str(start + 1)} if start + 1 < len(items) else {}
        return {field: items[start : start + 1], "total_size": len(items), **rest}

    def _upload(self, request: BaseHTTPRequestHandler, body: bytes, query: dict[str, str]) -> dict[str, Any]:
        self.pipelines[query["pipelineid"]]
        head = f"Content-Type: {request.headers['Content-Type']}\r\n\r\n".encode()
        (part,) = BytesParser(policy=HTTP).parsebytes(head + body).iter_parts()
        payload = part.get_payload(decode=True)
        assert isinstance(payload, bytes)
        spec, *platform = yaml.safe_load_all(payload)
        taken = {(v["pipeline_id"], v["display_name"]) for v in self.versions.values()}
        if (query["pipelineid"], query["name"]) in taken:
            raise ValueError("already exists")
        # A file of both specifications is answered with the two wrapped, one of a pipeline alone as it is.
        specs = {"pipeline_spec": spec, "platform_spec": platform[0]} if platform else spec
        version = {"pipeline_id": query["pipelineid"], "display_name": query["name"], "pipeline_spec": specs}
        return self._keep(self.versions, "pipeline_version_id", "version", version)

    def _run(self, run: dict[str, Any], *, ask: bool = True) -> dict[str, Any]:
        """Return a run as it is now; that somebody asks for it brings it on to its next state."""
        state, tasks = run.get("ended") or self.run_states[min(run["polls"], len(self.run_states) - 1)]
        run["polls"] += ask
        details = [node for name, task_state in tasks.items() for node in self._nodes(name, task_state)]
        answer = {key: value for key, value in run.items() if key not in ("polls", "ended")}
        return answer | {"state": state, "run_details": {"task_details": details}}

"""A Kubeflow Pipelines cluster: upload, run and schedule versions of pipelines."""

import json
import shlex
import time
import warnings
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import kfp
import kfp_server_api as api
import yaml

from almanac.core.errors import ClashError, RunError
from orchestration.connection import Auth, api_errors, check_reachable, credentials, own_namespace, pages_of, silent
from orchestration.tasks import Task, failed_pods, last_lines, summary, tasks_of

#: States of a run that has ended.
ENDED = frozenset({"SUCCEEDED", "FAILED", "SKIPPED", "CANCELED"})
#: Kubeflow's own service, by a name that resolves in every namespace of the cluster.
_SERVICE = "http://ml-pipeline.kubeflow.svc.cluster.local:8888"


@dataclass(frozen=True)
class Version:
    """A pipeline version on the cluster; `created` is true if this call uploaded it."""

    pipeline_id: str
    version_id: str
    created: bool


class Cluster:
    """A connection to a Kubeflow Pipelines API.

    Args:
        host: Address such as https://kubeflow.example.com/pipeline; the service of the surrounding cluster when absent.
        auth: token reads KFP_TOKEN; service-account the projected token; in-cluster that token if the pod has one,
            because a single-user Kubeflow requires none; none.
        namespace: The profile in a multi-user Kubeflow; in a pod its own namespace when absent.

    Raises:
        PipelineError: a multi-user Kubeflow, and no namespace.
        UnreachableError: no answer.
        RefusedError: a refused token, or a pod without one in a multi-user Kubeflow.
    """

    def __init__(self, host: str | None, auth: Auth = "token", namespace: str | None = None) -> None:
        self.host = host or _SERVICE
        token, mounted = credentials(auth)
        self._several = check_reachable(self.host, token if mounted is None else mounted._get_token(), auth)
        self.namespace = namespace or (own_namespace(self.host) if self._several else None)
        with warnings.catch_warnings(), api_errors(f"connect to {self.host}"):
            warnings.simplefilter("ignore")
            self._client = kfp.Client(host=self.host, existing_token=token, credentials=mounted)
        # The generated API, for calls that kfp.Client does not offer.
        generated = self._client._run_api.api_client
        self._pipelines, self._uploads = api.PipelineServiceApi(generated), api.PipelineUploadServiceApi(generated)
        self._recurring = api.RecurringRunServiceApi(generated)

    def upload(self, package: Path, version: str, description: str = "") -> Version:
        """Upload a compiled pipeline under a version name, unless that version exists with the same content.

        Raises:
            ClashError: the version exists with another content, or with other platform settings.
        """
        spec, *rest = yaml.safe_load_all(package.read_text(encoding="utf-8"))
        platform = rest[0] if rest else {}
        name = spec["pipelineInfo"]["name"]
        with api_errors(f"upload {package}"):
            # Another upload may have created the pipeline without this version.
            pipeline_id = self._find_pipeline(name) or self._create(name, spec).pipeline_id
            existing = self._find_version(pipeline_id, version)
            if existing is None:
                uploaded = self._uploads.upload_pipeline_version(
                    str(package), name=version, pipelineid=pipeline_id, description=description
                )
                return Version(pipeline_id, uploaded.pipeline_version_id, created=True)
        # A run must not use another code than its version names.
        if _specs(existing.pipeline_spec) != (spec, platform):
            raise ClashError(
                f"{name}: version {version} exists and is another file; commit the change, so that the name changes"
            )
        return Version(pipeline_id, existing.pipeline_version_id, created=False)

    def run(
        self, version: Version, name: str, parameters: dict[str, Any], experiment: str, root: str | None = None
    ) -> str:
        """Start a run of a version, with its outputs below `root` or the cluster's own root, and return its id."""
        with api_errors(f"start {name}"), silent():
            group = self._client.create_experiment(name=experiment, namespace=self.namespace)
            run = self._client.run_pipeline(
                group.experiment_id,
                name,
                params=parameters,
                pipeline_id=version.pipeline_id,
                version_id=version.version_id,
                pipeline_root=root,
            )
        return str(run.run_id)

    def find_run(self, name: str) -> str | None:
        """Return the id of the newest run of a name; None without one."""
        predicate = {"operation": "EQUALS", "key": "display_name", "stringValue": name}
        with api_errors(f"look for the run {name}"):
            found = self._client.list_runs(
                page_size=1,
                sort_by="created_at desc",
                namespace=self.namespace,
                filter=json.dumps({"predicates": [predicate]}),
            )
        return next((str(run.run_id) for run in found.runs or []), None)

    def state(self, run_id: str) -> str:
        """Return the state of a run: SUCCEEDED, FAILED, SKIPPED or CANCELED once it has ended."""
        with api_errors(f"ask for run {run_id}"):
            return str(self._client.get_run(run_id).state)

    def failed_runs(self, since: datetime) -> Iterator[Any]:
        """Yield the runs of all pipelines that have failed since a time, as the API describes them, newest first."""
        predicate = {"operation": "EQUALS", "key": "state", "stringValue": "FAILED"}
        query: dict[str, Any] = {"page_size": 20, "namespace": self.namespace, "sort_by": "finished_at desc"}
        query["filter"] = json.dumps({"predicates": [predicate]})
        with api_errors("list failed runs"):
            pages = pages_of(lambda token: self._client.list_runs(page_token=token, **query))
            for run in (run for page in pages for run in page.runs or []):
                if run.finished_at < since:
                    return
                yield run

    def pipeline_of(self, run: Any) -> str:
        """Return the name of a run's pipeline; it is empty for a run of a file, or of a pipeline that was deleted."""
        reference = run.pipeline_version_reference
        if reference is None or not reference.pipeline_id:
            return ""
        with api_errors(f"ask for pipeline {reference.pipeline_id}"):
            try:
                return str(self._client.get_pipeline(reference.pipeline_id).display_name)
            except api.ApiException as error:
                if error.status != 404:
                    raise
                return ""

    def command(self, run_id: str) -> str:
        """Return the command that shows a run; a Kubeflow of several users asks for the token of whoever gives it."""
        token = ["--existing-token", '"$KFP_TOKEN"'] if self._several else []
        return " ".join(["kfp", "--endpoint", shlex.quote(self.host), *token, "run", "get", shlex.quote(run_id)])

    def log(self, run: Any) -> str:
        """Return the log of the container of a run that failed; it is empty where the server has none."""
        token = self._client._run_api.api_client.configuration.api_key.get("authorization", "")
        headers = {"Authorization": f"Bearer {token.removeprefix('Bearer ')}"} if token else {}
        for pod in failed_pods(run):
            address = f"{self.host.rstrip('/')}/apis/v1alpha1/runs/{run.run_id}/nodes/{pod}/log"
            try:
                answer = httpx.get(address, headers=headers, timeout=10)
            except httpx.HTTPError:
                return ""
            # The server sends its status before it looks for the log, and an error as JSON behind it.
            if answer.status_code == 200 and answer.text.strip() and '"error_message"' not in answer.text:
                return answer.text
        return ""

    def wait(
        self,
        run_id: str,
        tasks: Collection[str],
        on_task: Callable[[Task], None],
        timeout: float,
        interval: float = 2.0,
    ) -> frozenset[str]:
        """Wait for a run to end, report each task's new state, and return the names of the tasks that had one.

        Args:
            run_id: The run.
            tasks: Names of the pipeline's tasks; Argo reports drivers, executors and attempts beside them.
            on_task: Called with each task whose state has changed.
            timeout: Longest wait in seconds.
            interval: Seconds between two requests.

        Raises:
            RunError: the run failed, was cancelled, or did not end in time; names the failed tasks, with the end of
                their logs.
        """
        seen: dict[str, str] = {}
        deadline = time.monotonic() + timeout
        while True:
            with api_errors(f"ask for run {run_id}"):
                run = self._client.get_run(run_id)
            for task in tasks_of(run, tasks):
                if seen.get(task.name) != task.state:
                    on_task(task)
                    seen[task.name] = task.state
            if run.state in ENDED:
                if run.state == "SUCCEEDED":
                    return frozenset(seen)
                raise RunError("\n  ".join([summary(run, seen), *last_lines(self.log(run))]))
            # The run is left alone: a slow cluster is no reason to cancel hours of training.
            if time.monotonic() > deadline:
                raise RunError(f"run {run_id} has not ended after {timeout:g} s; it continues on the cluster")
            time.sleep(interval)

    def schedule(self, version: Version, name: str, cron: str, parameters: dict[str, Any], experiment: str) -> str:
        """Replace the recurring run of a name by one of this version, and return its id.

        The API has no update in place, so the old one is deleted first. Runs do not overlap, and runs that were
        missed while the cluster was down are not made up for.
        """
        with api_errors(f"schedule {name}"), silent():
            group = self._client.create_experiment(name=experiment, namespace=self.namespace)
            for old in self._recurring_runs(group.experiment_id):
                if old.display_name == name:
                    self._recurring.recurring_run_service_delete_recurring_run(recurring_run_id=old.recurring_run_id)
            created = self._client.create_recurring_run(
                group.experiment_id,
                name,
                cron_expression=cron,
                # Two trainings would compete for production.
                max_concurrency=1,
                no_catchup=True,
                params=parameters,
                pipeline_id=version.pipeline_id,
                version_id=version.version_id,
            )
        return str(created.recurring_run_id)

    def schedule_states(self, names: Collection[str]) -> dict[str, bool]:
        """Return whether each recurring run of these names is enabled; one that is not there is left out."""
        with api_errors("list schedules"):
            runs = {run.display_name: run for run in self._recurring_runs(None)}
        return {name: runs[name].status == "ENABLED" for name in names if name in runs}

    def switch_schedule(self, name: str, run: bool) -> None:
        """Enable the recurring run of a name, or disable it.

        Raises:
            RunError: there is none.
        """
        with api_errors(f"switch the schedule {name}"):
            ids = [one.recurring_run_id for one in self._recurring_runs(None) if one.display_name == name]
            if not ids:
                raise RunError(f"there is no schedule {name}")
            for each in ids:
                if run:
                    self._recurring.recurring_run_service_enable_recurring_run(recurring_run_id=each)
                else:
                    self._recurring.recurring_run_service_disable_recurring_run(recurring_run_id=each)

    def _find_pipeline(self, name: str) -> str | None:
        """Return the id of a pipeline in the namespace; without one, of a shared pipeline."""
        # `Client.get_pipeline_id` looks for shared pipelines only.
        predicate = {"operation": "EQUALS", "key": "display_name", "stringValue": name}
        found = self._pipelines.pipeline_service_list_pipelines(
            namespace=self.namespace or "", filter=json.dumps({"predicates": [predicate]})
        )
        return next((str(one.pipeline_id) for one in found.pipelines or []), None)

    def _create(self, name: str, spec: dict[str, Any]) -> Any:
        description = spec["pipelineInfo"].get("description", "")
        body = api.V2beta1Pipeline(
            name=name, display_name=name, description=description, namespace=self.namespace or ""
        )
        return self._pipelines.pipeline_service_create_pipeline(body)

    def _find_version(self, pipeline_id: str, version: str) -> Any | None:
        pages = pages_of(
            lambda token: self._client.list_pipeline_versions(pipeline_id, page_token=token, page_size=100)
        )
        return next(
            (one for page in pages for one in page.pipeline_versions or [] if one.display_name == version), None
        )

    def _recurring_runs(self, experiment_id: str | None) -> list[Any]:
        """Return the recurring runs of an experiment, or of the namespace."""
        within = {"namespace": self.namespace} if experiment_id is None else {"experiment_id": experiment_id}
        pages = pages_of(lambda token: self._client.list_recurring_runs(page_token=token, page_size=100, **within))
        return [run for page in pages for run in page.recurring_runs or []]


def _specs(answered: Any) -> tuple[Any, Any]:
    """Return a version's pipeline and platform specifications, which the API wraps if there are both."""
    if isinstance(answered, dict) and "pipeline_spec" in answered:
        return answered["pipeline_spec"], answered.get("platform_spec") or {}
    return answered, {}

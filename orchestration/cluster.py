"""A Kubeflow Pipelines cluster: upload, run and schedule versions of pipelines."""

import io
import os
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import httpx
import kfp
import kfp_server_api as api
import urllib3
import yaml
from kfp.client.set_volume_credentials import ServiceAccountTokenVolumeCredentials

from almanac.core.errors import ClashError, PipelineError, RefusedError, RunError, UnreachableError

Auth = Literal["token", "service-account", "in-cluster", "none"]
_ENDED = {"SUCCEEDED", "FAILED", "SKIPPED", "CANCELED"}
#: Kubeflow's own service, by a name that resolves in every namespace of the cluster.
_SERVICE = "http://ml-pipeline.kubeflow.svc.cluster.local:8888"
_TOKEN_PATH = "/var/run/secrets/kubeflow/pipelines/token"  # noqa: S105 - a path, no secret


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
        namespace: The profile in a multi-user Kubeflow.

    Raises:
        UnreachableError: no answer.
        RefusedError: a refused token.
    """

    def __init__(self, host: str | None, auth: Auth = "token", namespace: str | None = None) -> None:
        self.host, self.namespace = host or _SERVICE, namespace
        token, credentials = _credentials(auth)
        _check_reachable(self.host, token if credentials is None else credentials._get_token())
        with warnings.catch_warnings(), _api_errors(f"connect to {self.host}"):
            warnings.simplefilter("ignore")
            self._client = kfp.Client(host=self.host, existing_token=token, credentials=credentials)
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
        with _api_errors(f"upload {package}"):
            # Another upload may have created the pipeline without this version.
            pipeline_id = self._client.get_pipeline_id(name) or self._create(name, spec).pipeline_id
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
        with _api_errors(f"start {name}"), _silent():
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

    def wait(self, run_id: str, on_task: Callable[[str, str], None], timeout: float, interval: float = 5.0) -> None:
        """Wait for a run to end, and report each task's new state.

        Raises:
            RunError: the run failed, was cancelled, or did not end in time; names the failed tasks.
        """
        seen: dict[str, str] = {}
        deadline = time.monotonic() + timeout
        while True:
            with _api_errors(f"ask for run {run_id}"):
                run = self._client.get_run(run_id)
            for task, state in _tasks(run):
                if seen.get(task) != state:
                    on_task(task, state)
                    seen[task] = state
            if run.state in _ENDED:
                return _check_ended(run, seen)
            # The run is left alone: a slow cluster is no reason to cancel hours of training.
            if time.monotonic() > deadline:
                raise RunError(f"run {run_id} has not ended after {timeout:g} s; it continues on the cluster")
            time.sleep(interval)

    def schedule(self, version: Version, name: str, cron: str, parameters: dict[str, Any], experiment: str) -> str:
        """Replace the recurring run of a name by one of this version, and return its id.

        The API has no update in place, so the old one is deleted first. Runs do not overlap, and runs that were
        missed while the cluster was down are not made up for.
        """
        with _api_errors(f"schedule {name}"), _silent():
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

    def _create(self, name: str, spec: dict[str, Any]) -> Any:
        description = spec["pipelineInfo"].get("description", "")
        body = api.V2beta1Pipeline(
            name=name, display_name=name, description=description, namespace=self.namespace or ""
        )
        return self._pipelines.pipeline_service_create_pipeline(body)

    def _find_version(self, pipeline_id: str, version: str) -> Any | None:
        pages = self._pages(
            lambda token: self._client.list_pipeline_versions(pipeline_id, page_token=token, page_size=100)
        )
        return next(
            (one for page in pages for one in page.pipeline_versions or [] if one.display_name == version), None
        )

    def _recurring_runs(self, experiment_id: str) -> list[Any]:
        pages = self._pages(
            lambda token: self._client.list_recurring_runs(page_token=token, page_size=100, experiment_id=experiment_id)
        )
        return [run for page in pages for run in page.recurring_runs or []]

    @staticmethod
    def _pages(fetch: Callable[[str], Any]) -> Iterator[Any]:
        token = ""
        while True:
            page = fetch(token)
            yield page
            token = page.next_page_token or ""
            if not token:
                return


def _credentials(auth: Auth) -> tuple[str | None, Any]:
    if auth == "token":
        token = os.environ.get("KFP_TOKEN")
        if not token:
            raise PipelineError("KFP_TOKEN is not set; put the bearer token there, or choose another --auth")
        return token, None
    if auth == "none":
        return None, None
    path = os.environ.get("KF_PIPELINES_SA_TOKEN_PATH", _TOKEN_PATH)
    if Path(path).is_file():
        return None, ServiceAccountTokenVolumeCredentials(path)
    if auth == "service-account":
        raise PipelineError(f"{path}: no service account token; mount one, or choose another --auth")
    return None, None


def _check_reachable(host: str, token: str | None) -> None:
    """Request the API's health first, because kfp's own client retries for half a minute and logs a traceback."""
    address = f"{host.rstrip('/')}/apis/v2beta1/healthz"
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        answer = httpx.get(address, headers=headers, timeout=10)
    except httpx.HTTPError as error:
        raise UnreachableError(f"{host}: no Kubeflow Pipelines API answers there: {error}") from error
    if answer.status_code in (401, 403):
        raise RefusedError(f"{host}: the token was refused ({answer.status_code}); is it expired?")
    if answer.status_code != 200:
        raise UnreachableError(
            f"{host}: {address} answered {answer.status_code}; is this a Kubeflow Pipelines address?"
        )


def _tasks(run: Any) -> list[tuple[str, str]]:
    details = run.run_details.task_details if run.run_details is not None else None
    # Kubeflow lists drivers and the root graph among the tasks.
    tasks = [task for task in details or [] if not str(task.display_name).startswith(("root", "system-"))]
    return [(str(task.display_name), str(task.state)) for task in tasks if task.state]


def _check_ended(run: Any, states: dict[str, str]) -> None:
    if run.state == "SUCCEEDED":
        return
    failed = sorted(task for task, state in states.items() if state == "FAILED")
    tasks = f"; failed: {', '.join(failed)}" if failed else ""
    reason = f": {run.error.message}" if run.error is not None and run.error.message else ""
    raise RunError(f"run {run.run_id} ended as {run.state}{reason}{tasks}")


def _specs(answered: Any) -> tuple[Any, Any]:
    """Return a version's pipeline and platform specifications, which the API wraps if there are both."""
    if isinstance(answered, dict) and "pipeline_spec" in answered:
        return answered["pipeline_spec"], answered.get("platform_spec") or {}
    return answered, {}


@contextmanager
def _api_errors(action: str) -> Iterator[None]:
    """Turn errors of the API client into one line, without the request, which carries the token."""
    try:
        yield
    except api.ApiException as error:
        if error.status in (401, 403):
            raise RefusedError(f"cannot {action}: the token was refused ({error.status})") from None
        raise PipelineError(f"cannot {action}: the API answered {error.status} {error.reason}: {error.body}") from None
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise UnreachableError(f"cannot {action}: {error}") from None


@contextmanager
def _silent() -> Iterator[None]:
    """Suppress the links that kfp's client prints."""
    with redirect_stdout(io.StringIO()):
        yield

"""The connection to a Kubeflow Pipelines API: token, reachability, pages, and errors in one line."""

import io
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any, Literal

import httpx
import kfp_server_api as api
import urllib3
from kfp.client.set_volume_credentials import ServiceAccountTokenVolumeCredentials

from almanac.core.errors import PipelineError, RefusedError, UnreachableError

Auth = Literal["token", "service-account", "in-cluster", "none"]
_NAMESPACE_PATH = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_TOKEN_PATH = "/var/run/secrets/kubeflow/pipelines/token"  # noqa: S105 - a path, no secret


def _token_path() -> str:
    return os.environ.get("KF_PIPELINES_SA_TOKEN_PATH", _TOKEN_PATH)


def credentials(auth: Auth) -> tuple[str | None, Any]:
    """Return the token, or the credentials that read a mounted one, or neither.

    Raises:
        PipelineError: the token that was asked for is missing.
    """
    if auth == "token":
        token = os.environ.get("KFP_TOKEN")
        if not token:
            raise PipelineError("KFP_TOKEN is not set; put the bearer token there, or choose another --auth")
        return token, None
    if auth == "none":
        return None, None
    path = _token_path()
    if Path(path).is_file():
        return None, ServiceAccountTokenVolumeCredentials(path)
    if auth == "service-account":
        raise PipelineError(f"{path}: no service account token; mount one, or choose another --auth")
    return None, None


def own_namespace(host: str) -> str:
    """Return the namespace of the pod that this process runs in.

    Raises:
        PipelineError: it runs in no pod.
    """
    try:
        return _NAMESPACE_PATH.read_text(encoding="utf-8").strip()
    except OSError:
        raise PipelineError(f"{host}: serves several users; give --namespace, the name of your profile") from None


def check_reachable(host: str, token: str | None, auth: Auth) -> bool:
    """Request the API's health, and return whether it serves several users.

    First, because kfp's own client retries for half a minute and logs a traceback.
    """
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
    try:
        several = bool(answer.json().get("multi_user"))
    except (ValueError, AttributeError):
        raise UnreachableError(f"{host}: {address} answered no JSON; is this a Kubeflow Pipelines address?") from None
    if several and auth == "in-cluster" and token is None:
        raise RefusedError(
            f"{host}: serves several users, and this pod has no token at {_token_path()}; create the PodDefault "
            "access-ml-pipeline in this namespace (docs/guide/kubeflow.md), by which Kubeflow mounts one"
        )
    return several


@contextmanager
def api_errors(action: str) -> Iterator[None]:
    """Turn errors of the API client into one line, without the request, which carries the token."""
    try:
        yield
    except api.ApiException as error:
        message = _message(error)
        if error.status == 401 or (error.status == 403 and not message):
            raise RefusedError(f"cannot {action}: the token was refused ({error.status})") from None
        if error.status == 403:
            raise RefusedError(f"cannot {action}: {message} (403)") from None
        raise PipelineError(f"cannot {action}: the API answered {error.status} {error.reason}: {message}") from None
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise UnreachableError(f"cannot {action}: {error}") from None


def _message(error: api.ApiException) -> str:
    """Return the server's message of an error, without the stack that Kubeflow adds."""
    try:
        body = json.loads(error.body or "")
    except ValueError:
        return str(error.body or "").strip()
    text = str(body.get("message") or body.get("error_message") or body.get("error") or "")
    hint = "; give --namespace" if "namespace" in text.lower() and "empty" in text.lower() else ""
    return f"{text}{hint}"


def pages_of(fetch: Callable[[str], Any]) -> Iterator[Any]:
    """Yield the pages of a list that a call answers by the token of the page."""
    token = ""
    while True:
        page = fetch(token)
        yield page
        token = page.next_page_token or ""
        if not token:
            return


@contextmanager
def silent() -> Iterator[None]:
    """Suppress the links that kfp's client prints."""
    with redirect_stdout(io.StringIO()):
        yield

"""The smoke test of a deployed version: real requests, whose answers its own model foretells."""

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from almanac.core.errors import DeploymentError
from almanac.core.files import read_json
from almanac.model.directory import MANIFEST
from almanac.model.model import Model, load_model

#: Seconds in which the new version must answer once the service is ready; until then the old one may still do so.
PATIENCE = 60.0


def forecasters(model: Path) -> list[Model]:
    """Return the models of a version's directory, one a target."""
    return [load_model(model / name) for name in read_json(model / MANIFEST)["targets"]]


def smoke(
    url: str, models: Sequence[Model], key: str | None, patience: float = PATIENCE, interval: float = 1.0
) -> None:
    """Ask every model of a service for two forecasts, and hold them against those of the models given.

    Args:
        url: address of the service.
        models: the models that should answer.
        key: API key with the scope predict; None where the service asks for none.
        patience: seconds in which the right answers must come.
        interval: seconds between two attempts.

    Raises:
        DeploymentError: none came in time; the message tells the last attempt.
    """
    headers = {"x-api-key": key} if key else {}
    deadline = time.monotonic() + patience
    with _client(url, headers) as client:
        for model in models:
            while wrong := _wrong(client, model):
                if time.monotonic() > deadline:
                    raise DeploymentError(f"{url} failed the smoke test: {model.name}: {wrong}")
                time.sleep(interval)


def _client(url: str, headers: dict[str, str]) -> httpx.Client:
    try:
        return httpx.Client(base_url=url, headers=headers, timeout=10.0)
    except httpx.InvalidURL as error:
        raise DeploymentError(f"{url}: no address of a service ({error})") from error


def _wrong(client: httpx.Client, model: Model) -> str:
    """Return what is wrong with a model's answers, nothing where they are right."""
    rows, X = examples(model)
    try:
        reply = client.post(f"/v1/models/{model.name}:predict", json={"instances": rows})
        answer = reply.json() if reply.status_code == httpx.codes.OK else None
    except (httpx.HTTPError, ValueError) as error:
        return f"no answer ({type(error).__name__}: {error})"
    if not isinstance(answer, dict):
        return f"answered {reply.status_code}: {reply.text[:200]}"
    if answer.get("model_digest") != model.digest:
        return f"answered by the model {answer.get('model_digest')}, not by {model.digest}"
    expected, found = model.predict(X).prediction.tolist(), answer.get("predictions")
    if not isinstance(found, list) or len(found) != len(expected) or not all(map(_same, found, expected)):
        return f"predicted {found}, where the model gives {expected}"
    return ""


def _same(found: Any, expected: float) -> bool:
    return isinstance(found, float | int) and math.isclose(found, expected, rel_tol=1e-9, abs_tol=1e-9)


def examples(model: Model) -> tuple[list[dict[str, Any]], np.ndarray[Any, np.dtype[np.float64]]]:
    """Return two rows by name and as features of shape (2, f): the ends of the ranges that the model was trained on."""
    rows: list[dict[str, Any]] = [{}, {}]
    X = np.full((2, len(model.names)), np.nan)
    declared = {item["name"]: item for item in model.signature["features"]}
    for column, name in enumerate(model.names):
        item = declared[name]
        for row, end in enumerate(("min", "max")):
            if item.get("categories"):
                code = 0 if end == "min" else len(item["categories"]) - 1
                rows[row][name], X[row, column] = item["categories"][code], code
            else:
                rows[row][name] = item.get(end)
                X[row, column] = np.nan if item.get(end) is None else item[end]
    return rows, X

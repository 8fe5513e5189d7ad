"""The smoke test of a deployed version: real requests, compared with its model's own predictions."""

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from almanac.core.errors import DeploymentError
from almanac.model.bundle import load_bundle
from almanac.model.model import Model

#: Seconds for the new version's first answer once the service is ready; the old one may still answer until then.
PATIENCE = 60.0


def forecasters(model: Path) -> list[Model]:
    """Load the models of a version's directory, one for each target.

    Raises:
        ModelError: a directory that lists no model, is incomplete or was altered.
    """
    return list(load_bundle(model).targets.values())


def smoke(
    url: str,
    models: Sequence[Model],
    key: str | None,
    patience: float = PATIENCE,
    interval: float = 1.0,
    transport: httpx.BaseTransport | None = None,
) -> None:
    """Request two forecasts from every model of a service, and compare them with local predictions.

    A model that predicts from the history of a series is only asked whether it is ready.

    Args:
        url: address of the service.
        models: the models that the service should have.
        key: API key with the scope predict; None if the service needs none.
        patience: seconds until the right answers must arrive.
        interval: seconds between two attempts.
        transport: the way to the address, where it is not the network's.

    Raises:
        DeploymentError: wrong or missing answers; the message describes the last attempt.
    """
    headers = {"x-api-key": key} if key else {}
    deadline = time.monotonic() + patience
    with _client(url, headers, transport) as client:
        for model in models:
            while error := _error(client, model):
                if time.monotonic() > deadline:
                    raise DeploymentError(f"{url} failed the smoke test: {model.name}: {error}")
                time.sleep(interval)


def _client(url: str, headers: dict[str, str], transport: httpx.BaseTransport | None) -> httpx.Client:
    try:
        return httpx.Client(base_url=url, headers=headers, timeout=10.0, transport=transport)
    except httpx.InvalidURL as error:
        raise DeploymentError(f"{url}: no address of a service ({error})") from error


def _error(client: httpx.Client, model: Model) -> str:
    """Return an error message for a model's answers, empty if they are right."""
    try:
        if model.predictor.history:
            reply = client.get(f"/v1/models/{model.name}")
            return "" if reply.status_code == httpx.codes.OK else f"answered {reply.status_code}: {reply.text[:200]}"
        rows, X = examples(model)
        reply = client.post(f"/v1/models/{model.name}:predict", json={"instances": rows})
        answer = reply.json() if reply.status_code == httpx.codes.OK else None
    except (httpx.HTTPError, ValueError) as error:
        return f"no answer ({type(error).__name__}: {error})"
    if not isinstance(answer, dict):
        return f"answered {reply.status_code}: {reply.text[:200]}"
    # The old version's pods may still answer.
    if answer.get("model_digest") != model.digest:
        return f"answered by the model {answer.get('model_digest')}, not by {model.digest}"
    expected, predictions = model.predict(X).prediction.tolist(), answer.get("predictions")
    values = predictions if isinstance(predictions, list) else []
    if len(values) != len(expected) or not all(map(_same, values, expected)):
        return f"predicted {predictions}, where the model gives {expected}"
    return ""


def _same(value: Any, expected: float) -> bool:
    return isinstance(value, float | int) and math.isclose(value, expected, rel_tol=1e-9, abs_tol=1e-9)


def examples(model: Model) -> tuple[list[dict[str, Any]], np.ndarray[Any, np.dtype[np.float64]]]:
    """Return two rows by name and as features of shape (2, f): the ends of the ranges in the training data."""
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

"""Logging of a training to an MLflow server, by a separate process that may fail without harm.

MLflow patches libraries on import, and waits for servers in ways of its own; in a process with a time limit neither
affects the training.
"""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from almanac.core.files import canonical_json
from almanac.training.tracking.upload import reach
from almanac.usecase import UseCase
from almanac.usecase.data_section import Source
from almanac.usecase.tracking_section import MLflow

_SECONDS = 180
_ROOT = Path(__file__).resolve().parents[3]


def log_to_mlflow(usecase: UseCase, to: MLflow, record: dict[str, Any], model: Path, tuning: Path) -> str | None:
    """Log a training to the server and return an error message without secrets, or None.

    Args:
        usecase: the use case.
        to: the server.
        record: the tracking record.
        model: the model directory, one complete directory a target in it.
        tuning: the record of the tuning.
    """
    server = address_of(to.uri)
    if find_spec("mlflow") is None:
        return f"nothing was logged to MLflow at {server}: install it by: pip install 'almanac[mlflow]'"
    try:
        reach(to.uri)
        request = {
            "uri": to.uri,
            "experiment": to.experiment or usecase.name,
            "record": record,
            "model": str(model.absolute()),
            "tuning": str(tuning.absolute()),
            "sources": [source_of(source) for source in usecase.sources],
            "columns": {name: column.type for name, column in usecase.columns.items()},
        }
        done = subprocess.run(
            [sys.executable, "-m", "almanac.training.tracking", "mlflow"],
            input=canonical_json(request).decode(),
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            # The module is found from here, wherever the training was started.
            cwd=_ROOT,
            # By itself MLflow tries seven times, for minutes.
            env={"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20", **os.environ},
        )
    except OSError as error:
        return f"nothing was logged to MLflow at {server}: it cannot be reached ({error})"
    except subprocess.TimeoutExpired:
        return f"the training was not logged to MLflow at {server} within {_SECONDS} s"
    if done.returncode == 0:
        return None
    lines = done.stderr.strip().splitlines()
    return f"the training was not logged to MLflow at {server}: {_cleaned(lines[-1] if lines else 'no word', to.uri)}"


def address_of(uri: str) -> str:
    """Return an address without the name of a user, query or fragment."""
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")


def source_of(source: Source) -> dict[str, Any]:
    """Return name, type, digest and address of a source, the last where it is one without secrets."""
    address = getattr(source, "url", None)
    public = isinstance(address, str) and not urlsplit(address).username and not urlsplit(address).query
    return {
        "name": source.name,
        "type": source.type,
        "sha256": getattr(source, "sha256", None),
        "address": address if public else None,
    }


def _cleaned(line: str, uri: str) -> str:
    """Return the last line of an error without the full address, and without the secrets of MLflow's environment."""
    secrets = [os.environ.get(f"MLFLOW_TRACKING_{name}") for name in ("PASSWORD", "TOKEN", "USERNAME")]
    for text, instead in ((uri, address_of(uri)), *((secret, "…") for secret in secrets if secret)):
        line = line.replace(text, instead)
    return line

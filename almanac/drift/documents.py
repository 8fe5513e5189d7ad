"""Frozen JSON documents."""

from pathlib import Path
from typing import Any

from almanac.core.errors import DriftError
from almanac.core.files import parse_json


def read_document(path: Path) -> Any:
    """Return the JSON document at `path`.

    Raises:
        DriftError: no such file, or no JSON.
    """
    try:
        return parse_json(path.read_bytes())
    except FileNotFoundError as error:
        raise DriftError(f"{path} does not exist") from error
    except ValueError as error:
        raise DriftError(f"{path} is no JSON: {error}") from error

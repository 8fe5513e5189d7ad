"""Frozen JSON documents."""

import json
from pathlib import Path
from typing import Any

from almanac.core.errors import DriftError


def read_document(path: Path) -> Any:
    """Return the JSON document at `path`.

    Raises:
        DriftError: no such file, or no JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise DriftError(f"{path} does not exist") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DriftError(f"{path} is no JSON: {error}") from error

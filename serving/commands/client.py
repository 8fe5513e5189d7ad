"""Requests of commands to a running server."""

import json
import os
import urllib.error
import urllib.request
from typing import Any

from almanac.core.errors import ServingError
from almanac.core.web import send

_SECONDS = 120


def ask(url: str, path: str, document: dict[str, Any] | None) -> dict[str, Any]:
    """Send JSON to a path of a server, or get it without a document, and return the answer's JSON.

    The key is that of ALMANAC_API_KEY, if it is set.

    Raises:
        ServingError: no HTTP address, no answer, or an error of the server.
    """
    if not url.startswith(("http://", "https://")):
        raise ServingError(f"--url {url}: an http or https address")
    headers = {"content-type": "application/json"}
    if key := os.environ.get("ALMANAC_API_KEY"):
        headers["x-api-key"] = key
    address = url.rstrip("/") + path
    data = None if document is None else json.dumps(document).encode()
    request = urllib.request.Request(address, data=data, headers=headers)  # noqa: S310  (checked above)
    try:
        with send(request, _SECONDS) as answer:
            found: dict[str, Any] = json.load(answer)
            return found
    except urllib.error.HTTPError as error:
        raise ServingError(f"{address}: {error.code} {error.read().decode(errors='replace')}") from error
    except OSError as error:
        raise ServingError(f"{address}: {error}") from error
    except ValueError as error:
        raise ServingError(f"{address}: the answer is no JSON; expected the address of a model server") from error

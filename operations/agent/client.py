"""Calls of a model server; its key is read when it is needed, and is in no value that the agent keeps."""

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from almanac.core.errors import AgentError
from almanac.core.files import parse_json
from almanac.core.web import send
from operations.agent.redaction import without_secrets

_SECONDS = 10.0


class ServerClient:
    """A client of one model server.

    Args:
        url: address of the server.
        key_file: file with its key; None where it asks for none.
    """

    def __init__(self, url: str, key_file: str | None) -> None:
        self._url, self._key_file = url, key_file

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Return the answer as JSON.

        Raises:
            AgentError: no answer, one that is no JSON, or a refusal; none names the key.
        """
        try:
            return parse_json(self.text(method, path, body))
        except ValueError as error:
            raise AgentError(f"{self._url}{path}: the answer is no JSON ({without_secrets(str(error))})") from None

    def text(self, method: str, path: str, body: Any = None) -> str:
        """Return the answer as text."""
        request = urllib.request.Request(  # noqa: S310  (http or https, by the policy)
            f"{self._url}{path}", None if body is None else json.dumps(body).encode(), self._headers(), method=method
        )
        try:
            with send(request, _SECONDS) as answer:
                return str(answer.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                said = without_secrets(error.read(2_000).decode(errors="replace")).strip()
            raise AgentError(f"{self._url}{path}: {error.code} {said}") from None
        except (OSError, ValueError) as error:
            raise AgentError(f"{self._url}{path}: no answer ({without_secrets(str(error))})") from None

    def _headers(self) -> dict[str, str]:
        headers = {"content-type": "application/json"}
        if self._key_file is not None:
            try:
                headers["x-api-key"] = Path(self._key_file).read_text().strip()
            except OSError as error:
                raise AgentError(f"key_file {self._key_file}: cannot be read ({error.strerror})") from None
        return headers

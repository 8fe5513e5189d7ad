"""Answers of the services that checks ask."""

from typing import Any

import httpx

TIMEOUT_SECONDS = 5.0


def ask(url: str) -> httpx.Response:
    """Return a service's answer of status 200.

    Raises:
        httpx.HTTPError: another status, or none.
    """
    answer = httpx.get(url, timeout=TIMEOUT_SECONDS)
    answer.raise_for_status()
    return answer


def reason(error: Exception) -> str:
    """Return why a service did not answer, without its address."""
    if isinstance(error, httpx.HTTPStatusError):
        return f"HTTP {error.response.status_code}"
    return str(error) or type(error).__name__


def document(url: str) -> dict[str, Any]:
    """Return a service's JSON.

    Raises:
        httpx.HTTPError: another status than 200, or none.
        ValueError: it is no JSON object.
    """
    value = ask(url).json()
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value

"""A request with a key reaches its own address and no other."""

import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from almanac.core.errors import AgentError, RegistryError, ServingError
from almanac.core.web import send
from governance.commands.github import reviewer
from operations.agent.client import ServerClient
from serving.commands.client import ask
from tests.support.background import in_background


@contextmanager
def server(status: int, body: bytes, **headers: str) -> Iterator[tuple[str, list[str]]]:
    """Serve one answer to everything, and yield the address and the keys that came."""
    keys: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            keys.append(self.headers.get("x-api-key", ""))
            self.send_response(status)
            for name, value in {**headers, "content-length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *_: object) -> None:
            """Say nothing."""

    with in_background(HTTPServer(("127.0.0.1", 0), Handler)) as url:
        yield url, keys


def test_a_redirect_takes_no_key_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALMANAC_API_KEY", "a-key-of-the-server")
    with server(200, b"{}") as (other, taken), server(307, b"", location=f"{other}/") as (own, keys):
        assert ask(other, "/", None) == {}
        with pytest.raises(ServingError, match="307"):
            ask(own, "/", None)
        with pytest.raises(AgentError, match="307"):
            ServerClient(own, None).ask("GET", "/")
        with pytest.raises(urllib.error.HTTPError):
            send(urllib.request.Request(own, headers={"x-api-key": "a-key-of-the-server"}), 10)
        monkeypatch.setenv("GITHUB_API_URL", own)
        monkeypatch.setenv("GITHUB_TOKEN", "a-token-of-the-job")
        with pytest.raises(RegistryError, match=r"does not say who approved the run .*307"):
            reviewer({"repository": "us/grid", "run": "77"}, "")
    assert keys == ["a-key-of-the-server", "", "a-key-of-the-server", ""]
    assert taken == ["a-key-of-the-server"]


def test_an_answer_that_is_no_json_is_the_agents_error() -> None:
    for body in (b"<html>", b"[" * 100_000):
        with server(200, body) as (address, _), pytest.raises(AgentError, match="the answer is no JSON"):
            ServerClient(address, None).ask("GET", "/")

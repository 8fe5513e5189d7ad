"""Login to the console by an OpenID Connect provider: a real one, and one that cheats."""

import json
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet, OctKey, RSAKey

from almanac.core.errors import AlmanacError
from operations.console.app import build
from operations.console.oidc import COOKIE, RETURN_PATH, read_oidc
from operations.console.settings import ConsoleSettings
from operations.history import Origins
from tests.support.background import in_background
from tests.support.console import Client, serving
from tests.support.operations_world import write_world
from tests.support.postgres import wait_for
from tests.support.server import ROOT

PROVIDER = next(filter(None, (shutil.which(name) for name in (str(ROOT / ".tools/oidc-server"), "oidc-server"))), None)
needs_provider = pytest.mark.skipif(
    PROVIDER is None and os.environ.get("CI") != "true", reason="oidc-server is not installed"
)
PEOPLE = {
    "ann": {"Email": "ann@example.org", "EmailVerified": True},
    "vic": {"Email": "vic@example.org", "EmailVerified": True},
    "eve": {"Email": "ann@example.org", "EmailVerified": False},
    "nobody": {"Email": "nobody@example.org", "EmailVerified": True},
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@contextmanager
def console(folder: Path, issuer: str, port: int) -> Iterator[Client]:
    """A console whose people log in by a provider."""
    world = write_world(folder / "world")
    (folder / "secret").write_text("secret\n")
    settings = folder / "oidc.yaml"
    settings.write_text(
        f"""
issuer: {issuer}
client_id: web
secret: {{file: secret}}
console: http://localhost:{port}
claim: email
roles: {{ann@example.org: approver, vic@example.org: viewer}}
"""
    )
    app = build(
        ConsoleSettings(
            history=f"sqlite:///{folder}/history.db",
            origins=Origins(world.registry, world.runs, world.log),
            keys=None,
            oidc=settings,
            signing=None,
            secure=False,
            audit=folder / "audit.jsonl",
        )
    )
    with serving(app, {}, port) as client:
        client.base_url = httpx.URL(f"http://localhost:{port}")
        client.headers["host"] = f"localhost:{port}"
        yield client


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[tuple[str, int]]:
    """A provider's issuer, and the port of the console that it knows."""
    port, own = free_port(), free_port()
    users = {
        name: {"ID": name, "Username": name, "Password": f"password of {name}", "FirstName": name} | more
        for name, more in PEOPLE.items()
    }
    (tmp_path / "users.json").write_text(json.dumps(users))
    environment = {
        **os.environ,
        "PORT": str(own),
        "USERS_FILE": str(tmp_path / "users.json"),
        "REDIRECT_URI": f"http://localhost:{port}{RETURN_PATH}",
    }
    with open(tmp_path / "provider.log", "w") as log:
        process = subprocess.Popen([str(PROVIDER)], env=environment, stdout=log, stderr=log)
        try:
            wait_for(own)
            yield f"http://localhost:{own}/", port
        finally:
            process.terminate()
            process.wait()


def go_to_provider(client: Client) -> httpx.Response:
    """Press the button, and follow to the provider's form."""
    assert 'href="/login/oidc"' in client.get("/login").text
    answer = client.get("/login/oidc", follow_redirects=False)
    assert answer.status_code == 303
    return answer


def come_back(issuer: str, start: str, name: str) -> str:
    """Log in at the provider as a person does, and return the address that it sends the browser back to."""
    with httpx.Client() as browser:
        form = browser.get(start, follow_redirects=True)
        fields = dict(re.findall(r'name="(\w+)"[^>]*value="([^"]*)"', form.text))
        action = re.search(r'action="([^"]+)"', form.text)
        assert action, form.text
        fields |= {"username": name, "password": f"password of {name}"}
        answer = browser.post(urljoin(str(form.url), action[1]), data=fields)
        while answer.is_redirect and answer.headers["location"].startswith((issuer, "/")):
            answer = browser.get(urljoin(str(answer.url), answer.headers["location"]))
        return answer.headers["location"]


def logins(folder: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in (folder / "audit.jsonl").read_text().splitlines()]


@needs_provider
def test_a_person_logs_in_with_the_role_that_is_meant_for_them(provider: tuple[str, int], tmp_path: Path) -> None:
    issuer, port = provider
    with console(tmp_path, issuer, port) as client:
        back = come_back(issuer, go_to_provider(client).headers["location"], "ann")
        page = client.get(back)
        assert page.status_code == 200
        assert "ann@example.org" in page.text
        token = re.search(r'name="csrf" value="([^"]+)"', page.text)
        assert token
        form = {"csrf": token[1], "why": "read the cards"}
        assert "is approved" in client.post("/versions/demo/2/approve", data=form).text
        # A code and a state are good for one login.
        client.cookies.clear()
        assert client.get(back).status_code == 401
    done = logins(tmp_path)
    assert [line["outcome"] for line in done[:2]] == ["done", "done"]
    assert {line["who"] for line in done[:2]} == {"ann@example.org"}
    assert {line["proof"] for line in done[:2]} == {"oidc"}
    assert "password of" not in (tmp_path / "audit.jsonl").read_text()


@needs_provider
@pytest.mark.parametrize(
    ("name", "why"), [("eve", "has not verified your email"), ("nobody", "nobody@example.org has no role here")]
)
def test_a_person_without_a_verified_name_or_a_role_is_turned_away(
    provider: tuple[str, int], tmp_path: Path, name: str, why: str
) -> None:
    issuer, port = provider
    with console(tmp_path, issuer, port) as client:
        page = client.get(come_back(issuer, go_to_provider(client).headers["location"], name))
        assert page.status_code == 401
        assert why in page.text
        assert client.get("/", follow_redirects=False).headers["location"] == "/login"


@needs_provider
def test_the_answer_belongs_to_the_browser_that_asked(provider: tuple[str, int], tmp_path: Path) -> None:
    """Or somebody could log a victim in as themselves, and read what the victim then does."""
    issuer, port = provider
    with console(tmp_path, issuer, port) as client:
        back = come_back(issuer, go_to_provider(client).headers["location"], "ann")
        client.cookies.clear()
        page = client.get(back)
        assert page.status_code == 401
        assert "did not begin in this browser" in page.text
        back = come_back(issuer, go_to_provider(client).headers["location"], "ann")
        client.cookies.clear()
        assert client.get(back, headers={b"cookie": b"almanac_console_oidc=\xe9"}).status_code == 401


def test_a_provider_that_is_away_is_named(tmp_path: Path) -> None:
    port, own = free_port(), free_port()
    with console(tmp_path, f"http://localhost:{own}/", port) as client:
        page = client.get("/login/oidc")
        assert page.status_code == 502
        assert "no discovery document" in page.text


class Cheat(ThreadingHTTPServer):
    """A provider that answers with whatever token it is told to make."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.issuer = f"http://localhost:{self.server_address[1]}"
        self.key = RSAKey.generate_key(2048, {"kid": "one", "use": "sig"})
        self.nonce = ""
        self.header: dict[str, Any] = {"alg": "RS256", "kid": "one"}
        self.signed_by: Any = self.key
        self.changes: dict[str, Any] = {}
        self.about: dict[str, Any] = {"sub": "ann"}

    def token(self) -> str:
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": "web", "sub": "ann", "nonce": self.nonce, "iat": now, "exp": now + 300}
        claims |= {"email": "ann@example.org", "email_verified": True} | self.changes
        claims = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(self.header, claims, self.signed_by, algorithms=[self.header["alg"]])


class _Handler(BaseHTTPRequestHandler):
    server: Cheat

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def _answer(self, document: Mapping[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        issuer = self.server.issuer
        if self.path == "/keys":
            self._answer(KeySet([self.server.key]).as_dict(private=False))
        elif self.path == "/userinfo":
            self._answer(self.server.about)
        else:
            ends = {"authorization_endpoint": "authorize", "token_endpoint": "token", "userinfo_endpoint": "userinfo"}
            urls = {name: f"{issuer}/{path}" for name, path in ends.items()}
            self._answer({"issuer": issuer, "jwks_uri": f"{issuer}/keys", **urls})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer({"access_token": "x", "token_type": "Bearer", "id_token": self.server.token()})


@pytest.fixture
def cheat() -> Iterator[Cheat]:
    server = Cheat()
    with in_background(server):
        yield server


def enter(client: Client, cheat: Cheat) -> httpx.Response:
    """Log in at the cheating provider, and return the page that the console answers with."""
    query = parse_qs(urlsplit(go_to_provider(client).headers["location"]).query)
    cheat.nonce = query["nonce"][0]
    assert query["code_challenge_method"] == ["S256"]
    return client.get(RETURN_PATH, params={"state": query["state"][0], "code": "any"})


def test_a_token_that_does_not_verify_lets_nobody_in(cheat: Cheat, tmp_path: Path) -> None:
    other = RSAKey.generate_key(2048, {"kid": "one"})
    shared = OctKey.import_key(b"secret" * 8)
    now = int(time.time())
    attacks: dict[str, dict[str, Any]] = {
        "another key": {"signed_by": other},
        "a shared secret": {"header": {"alg": "HS256", "kid": "one"}, "signed_by": shared},
        "no signature": {"header": {"alg": "none"}, "signed_by": OctKey.generate_key(256)},
        "another issuer": {"changes": {"iss": "https://other.example.org"}},
        "another client": {"changes": {"aud": "other"}},
        "another login": {"changes": {"nonce": "other"}},
        "no login": {"changes": {"nonce": None}},
        "expired": {"changes": {"exp": now - 600}},
        "never expires": {"changes": {"exp": None}},
        "two subjects": {"about": {"sub": "vic"}},
        "an email nobody verified": {"changes": {"email_verified": None}},
        "a name that looks like another": {"changes": {"email": "аnn@example.org"}},
    }
    with console(tmp_path, cheat.issuer, free_port()) as client:
        room = client.room
        for attack, how in attacks.items():
            cheat.header, cheat.signed_by = {"alg": "RS256", "kid": "one"}, cheat.key
            cheat.changes, cheat.about = {}, {"sub": "ann"}
            for name, value in how.items():
                setattr(cheat, name, value)
            page = enter(client, cheat)
            assert page.status_code == 401, attack
            assert client.get("/", follow_redirects=False).headers["location"] == "/login", attack
            room.logins.forget("127.0.0.1")
        cheat.changes = {}
        # The same way without a lie, so that the refusals above are not those of a broken test.
        page = enter(client, cheat)
        assert page.status_code == 200
        assert "ann@example.org" in page.text
        assert COOKIE not in client.cookies


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("issuer: http://login.example.org", "issuer: should begin with https://"),
        ("roles: {}", "roles: dictionary should have at least 1 item"),
        ("roles: {a: owner}", "roles.a: input should be 'viewer', 'approver', 'operator' or 'admin'"),
        ("secret: opensesame", "secret: should be {env: NAME} or {file: PATH}"),
        ("secret: {env: ALMANAC_NO_SUCH}", "ALMANAC_NO_SUCH is empty"),
        ("isuer: x", "isuer: unknown field; did you mean 'issuer'?"),
    ],
)
def test_wrong_settings_name_the_field(tmp_path: Path, change: str, why: str) -> None:
    right = {"issuer": "https://login.example.org", "client_id": "web", "console": "https://c.example.org"}
    lines = {name: f"{name}: {value}" for name, value in right.items()} | {"roles": "roles: {a: viewer}"}
    lines[change.partition(":")[0]] = change
    path = tmp_path / "oidc.yaml"
    path.write_text("\n".join(lines.values()))
    with pytest.raises(AlmanacError) as caught:
        read_oidc(path)
    assert why in str(caught.value)
    assert "opensesame" not in str(caught.value)

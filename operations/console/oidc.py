"""Login by an OpenID Connect provider: the authorization code flow with PKCE (RFC 7636, OpenID Connect Core 1.0)."""

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, cast
from urllib.parse import urlsplit

import requests
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.requests_client import OAuth2Session
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, KeySetSerialization
from pydantic import AfterValidator, Field

from almanac.core.errors import ConsoleError, PersonError
from almanac.core.people import check_person
from almanac.usecase.types import Section
from operations.console.roles import ROLES, User
from operations.secrets import Secret
from operations.settings_file import read_settings

#: Path to which the provider sends the browser back.
RETURN_PATH = "/login/oidc/return"
#: Cookie that ties the provider's answer to the browser that asked.
COOKIE = "almanac_console_oidc"
WAIT_SECONDS = 600.0
_TIMEOUT_SECONDS, _LEEWAY_SECONDS = 10.0, 60
_MOST_WAITING = 10_000
# A provider that signed by a shared secret, or not at all, would let whoever knows the secret in as anybody.
_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
_LOOPBACK = ("localhost", "127.0.0.1", "::1")

Role = Literal["viewer", "approver", "operator", "admin"]


def _check_address(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc or parts.query:
        raise ValueError("should be an address such as https://login.example.org")
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        raise ValueError("should begin with https://, since whoever reads along could log in")
    return url


Address = Annotated[str, AfterValidator(_check_address)]


class OidcSettings(Section):
    """Settings of the login by a provider."""

    issuer: Address
    """The provider's issuer, exactly as its discovery document states it."""
    client_id: Annotated[str, Field(min_length=1)]
    """The console's name at the provider."""
    secret: Secret | None = None
    """Where the client's secret is; none for a public client."""
    console: Address
    """Address of the console as browsers see it."""
    name: Annotated[str, Field(min_length=1, max_length=40)] = "single sign-on"
    """What the button of the login page says."""
    scopes: list[str] = ["openid", "profile", "email"]
    """Scopes asked for."""
    person: str = "email"
    """Claim that holds the person's name, as events carry it; an email counts once it is verified."""
    claim: str = "groups"
    """Claim that decides the role."""
    roles: Annotated[dict[str, Role], Field(min_length=1)]
    """Role by a value of that claim; the highest of several counts, and nobody else is let in."""


@dataclass(frozen=True)
class _Login:
    """A login that has begun: the values that its answer must carry."""

    browser: str
    nonce: str
    verifier: str
    until: float


@dataclass(frozen=True)
class _Provider:
    """A provider's discovery document and keys."""

    authorization: str
    token: str
    userinfo: str | None
    keys: str


class Oidc:
    """Logins by one provider.

    Args:
        settings: its settings.
        clock: monotonic seconds; tests give their own.
    """

    def __init__(self, settings: OidcSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self.settings = settings
        self._clock = clock
        self._waiting: dict[str, _Login] = {}

    def begin(self) -> tuple[str, str]:
        """Return the provider's address for a login, and the value of the browser's cookie.

        Raises:
            ConsoleError: the provider cannot be reached.
        """
        now = self._clock()
        self._waiting = {state: each for state, each in self._waiting.items() if now < each.until}
        while len(self._waiting) >= _MOST_WAITING:
            del self._waiting[next(iter(self._waiting))]
        login = _Login(_random(), _random(), _random(), now + WAIT_SECONDS)
        provider = self._discover()
        with self._session() as session:
            url, state = session.create_authorization_url(
                provider.authorization, code_verifier=login.verifier, nonce=login.nonce
            )
        self._waiting[state] = login
        return str(url), login.browser

    def finish(self, query: Mapping[str, str], browser: str) -> User:
        """Return who logged in, by the provider's answer.

        Args:
            query: parameters with which the provider sent the browser back.
            browser: value of the browser's cookie.

        Raises:
            ConsoleError: a login that did not begin here, was used or is too old; an answer that does not verify; a
                person without a role.
        """
        login = self._waiting.pop(query.get("state", ""), None)
        if login is None or self._clock() >= login.until or not _same(login.browser, browser):
            raise ConsoleError("The login did not begin in this browser, or is too old; begin again.")
        if "error" in query or "code" not in query:
            raise ConsoleError("The provider refused the login.")
        return self._user(self._claims(query["code"], login))

    def _claims(self, code: str, login: _Login) -> dict[str, Any]:
        provider = self._discover()
        with self._session() as session:
            try:
                answer = session.fetch_token(
                    provider.token, code=code, code_verifier=login.verifier, timeout=_TIMEOUT_SECONDS
                )
                keys = KeySet.import_key_set(cast(KeySetSerialization, _json(provider.keys)))
                token = jwt.decode(answer["id_token"], keys, algorithms=_ALGORITHMS)
                self._registry(login.nonce).validate(token.claims)
                about = {} if provider.userinfo is None else _json(provider.userinfo, session)
            except (AuthlibBaseError, JoseError, requests.RequestException, KeyError, ValueError, TypeError) as error:
                # The kind alone: a message may repeat a token.
                raise ConsoleError(f"The provider's answer does not verify ({type(error).__name__}).") from None
        if about and about.get("sub") != token.claims["sub"]:
            raise ConsoleError("The provider's answer does not verify (two subjects).")
        return {**about, **token.claims}

    def _registry(self, nonce: str) -> jwt.JWTClaimsRegistry:
        return jwt.JWTClaimsRegistry(
            leeway=_LEEWAY_SECONDS,
            iss={"essential": True, "value": self.settings.issuer},
            aud={"essential": True, "value": self.settings.client_id},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": nonce},
        )

    def _user(self, claims: Mapping[str, Any]) -> User:
        settings = self.settings
        name = claims.get(settings.person)
        if not isinstance(name, str):
            raise ConsoleError(f"The provider states no {settings.person} for you.")
        # Anybody may write another's address into an account of their own.
        if settings.person == "email" and claims.get("email_verified") is not True:
            raise ConsoleError("The provider has not verified your email.")
        try:
            name = check_person(name)
        except PersonError as error:
            raise ConsoleError(str(error)) from None
        held = claims.get(settings.claim)
        values = held if isinstance(held, list) else [held]
        roles = {role for value, role in settings.roles.items() if value in values}
        if not roles:
            raise ConsoleError(f"{name} has no role here; an administrator gives one by {settings.claim}.")
        return User(name, max(roles, key=ROLES.index), "oidc")

    def _discover(self) -> _Provider:
        # Asked each time: a login is rare, and a provider may move its endpoints and change its keys.
        url = f"{self.settings.issuer.rstrip('/')}/.well-known/openid-configuration"
        try:
            document = _json(url)
            if document["issuer"] != self.settings.issuer:
                raise ConsoleError(f"{url}: is of another issuer; write the issuer exactly as it stands there")
            return _Provider(
                _check_address(document["authorization_endpoint"]),
                _check_address(document["token_endpoint"]),
                document.get("userinfo_endpoint") and _check_address(document["userinfo_endpoint"]),
                _check_address(document["jwks_uri"]),
            )
        except (requests.RequestException, KeyError, TypeError, ValueError) as error:
            raise ConsoleError(f"{url}: no discovery document ({type(error).__name__})") from None

    def _session(self) -> OAuth2Session:
        settings = self.settings
        return OAuth2Session(
            settings.client_id,
            None if settings.secret is None else settings.secret.read(),
            scope=" ".join(settings.scopes),
            redirect_uri=f"{settings.console.rstrip('/')}{RETURN_PATH}",
            code_challenge_method="S256",
        )


def read_oidc(path: Path) -> OidcSettings:
    """Return the settings in a file.

    Raises:
        ConsoleError: the file is missing or breaks a rule; the secret is not where it should be.
    """
    settings = read_settings(path, OidcSettings, ConsoleError)
    if settings.secret is not None:
        settings.secret.read()
    return settings


def _same(one: str, other: str) -> bool:
    # A cookie may hold other letters than ASCII, which are compared as bytes only.
    return secrets.compare_digest(one.encode(), other.encode())


def _random() -> str:
    return secrets.token_urlsafe(48)


def _json(url: str, session: requests.Session | None = None) -> dict[str, Any]:
    answer = (session or requests).get(url, timeout=_TIMEOUT_SECONDS)
    answer.raise_for_status()
    document: dict[str, Any] = answer.json()
    return document

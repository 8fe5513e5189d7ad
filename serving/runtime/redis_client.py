"""Redis clients from addresses, whose options are honoured or refused by name."""

from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

from almanac.core.errors import ServingError
from serving.runtime.redaction import redacted

#: Schemes of an address.
SCHEMES = ("redis", "rediss", "unix")
_CONNECTIONS = 64
#: Options of an address that the client takes; those of TLS need `rediss://`.
_FILES = {"ssl_ca_certs", "ssl_ca_path", "ssl_certfile", "ssl_keyfile"}
_TLS = _FILES | {"ssl_cert_reqs", "ssl_check_hostname", "ssl_ciphers", "ssl_password"}
_PLAIN = {"db", "username", "password", "client_name", "protocol", "socket_timeout", "socket_connect_timeout"}
_POOL = {"health_check_interval", "max_connections"}


def connect(url: str, option: str, seconds: float) -> Any:
    """Return a client that connects at its first command.

    Args:
        url: `redis://[user:password@]host:port/db?…`, `rediss://…` or `unix://…`.
        option: option of the command line that has the address, for messages, which never show a password.
        seconds: time limit of a connection and of a command, unless the address sets its own.

    Raises:
        ServingError: an address or an option of it that cannot be used.
    """
    from redis.asyncio import BlockingConnectionPool, Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff
    from redis.exceptions import ConnectionError as Disconnected

    _check(url, option)
    try:
        pool = BlockingConnectionPool.from_url(
            url,
            socket_timeout=seconds,
            socket_connect_timeout=seconds,
            # A connection that Redis closed meanwhile is opened again; a command that timed out is not sent again.
            retry=Retry(NoBackoff(), 1, supported_errors=(Disconnected,)),
            max_connections=_CONNECTIONS,
            timeout=4 * seconds,
        )
    except (ValueError, TypeError) as error:
        # The client's message may quote the address.
        raise ServingError(f"{option} {redacted(url)}: an option of the address has a value of another type") from error
    return Redis.from_pool(pool)


def no_answer() -> tuple[type[Exception], ...]:
    """Return the exceptions with which a client's command ends where Redis does not answer."""
    from redis.exceptions import RedisError

    # The client passes on what uvloop raises for a write to a connection that was reset a moment before.
    return RedisError, OSError, TimeoutError, RuntimeError


def take_option(url: str, name: str) -> tuple[str, str | None]:
    """Return the address without an option of ours, and the option's value or None."""
    parts = _split(url)
    if parts is None or "#" in url:
        return url, None
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    kept = [pair for pair in pairs if pair[0] != name]
    value = next((text for key, text in pairs if key == name), None)
    # Not `geturl`, which writes the addresses of schemes that it does not know in another way.
    query = f"?{urlencode(kept)}" if kept else ""
    return f"{parts.scheme}://{parts.netloc}{parts.path}{query}", value


def _check(url: str, option: str) -> None:
    parts = _split(url)
    shown = redacted(url)
    if parts is None or parts.scheme not in SCHEMES or "#" in url:
        raise ServingError(f"{option} {shown}: not an address such as redis://host:port/db")
    database = parts.path.strip("/")
    if parts.scheme != "unix" and database and not database.isdigit():
        raise ServingError(f"{option} {shown}: the database {database!r} is not a number")
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name in _TLS and parts.scheme != "rediss":
            raise ServingError(f"{option} {shown}: {name} needs an address with rediss://")
        if name not in _TLS | _PLAIN | _POOL:
            known = ", ".join(sorted(_TLS | _PLAIN | _POOL))
            raise ServingError(f"{option} {shown}: unknown option {name}; expected one of {known}")
        if name in _FILES and not Path(value).exists():
            raise ServingError(f"{option} {shown}: {name} {value}: no such file")


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None  # its message may quote the password
    return parts

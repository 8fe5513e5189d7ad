"""Addresses, above all of Redis: every option is honoured or refused by name, and no message shows a secret."""

from pathlib import Path

import pytest

from almanac.core.errors import ServingError
from serving.features.store.open import open_store
from serving.prediction.source import Source
from serving.runtime.redaction import has_secret, redacted
from serving.runtime.redis_client import connect
from serving.security.limits import RedisLimiter
from serving.settings import Settings

SECRET = "hush-2718"


@pytest.mark.parametrize(
    ("option", "name", "expected"),
    [
        ("db=3", "db", 3),
        ("client_name=almanac", "client_name", "almanac"),
        ("socket_timeout=0.7", "socket_timeout", 0.7),
        ("username=ann", "username", "ann"),
        (f"password={SECRET}", "password", SECRET),
        ("protocol=3", "protocol", 3),
        ("health_check_interval=7", "health_check_interval", 7),
    ],
)
def test_an_option_reaches_the_client(option: str, name: str, expected: object) -> None:
    for place in ("redis://host:1?", "redis://host:1/?ttl=60&"):
        store = open_store(f"{place}{option}", "n", 2, 5)
        assert store._client.connection_pool.connection_kwargs[name] == expected  # type: ignore[attr-defined]
    client = connect(f"redis://host:1?{option}", "--rate-limit-store", 0.1)
    assert client.connection_pool.connection_kwargs[name] == expected


def test_options_of_tls_reach_the_client(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch()
    url = f"rediss://host:1/2?ssl_ca_certs={tmp_path}/ca.pem&ssl_check_hostname=false"
    given = connect(url, "--feature-store", 0.1).connection_pool.connection_kwargs
    assert (given["ssl_ca_certs"], given["ssl_check_hostname"], given["db"]) == (f"{tmp_path}/ca.pem", False, 2)


@pytest.mark.parametrize(
    ("rest", "word"),
    [
        ("host/0?colour=red", "unknown option colour; expected one of client_name, db"),
        ("host/0?ssl_ca_certs=/x", "ssl_ca_certs needs an address with rediss://"),
        ("host/first", "the database 'first' is not a number"),
        ("host:port/0", "not an address such as redis://host:port/db"),
        ("host/0?db=first", "has a value of another type"),
        ("ho#st/0", "not an address such as redis://host:port/db"),
    ],
)
def test_another_option_is_refused_by_name_and_without_the_password(rest: str, word: str) -> None:
    url = f"redis://ann:{SECRET}@{rest}"
    for use in (lambda: open_store(url, "n", 2, 5), lambda: RedisLimiter(url)):
        with pytest.raises(ServingError, match=word) as refused:
            use()
        assert SECRET not in str(refused.value)


def test_a_file_of_tls_must_be_there() -> None:
    with pytest.raises(ServingError, match=r"ssl_ca_certs /no/ca\.pem: no such file"):
        connect("rediss://host/0?ssl_ca_certs=/no/ca.pem", "--feature-store", 0.1)


@pytest.mark.parametrize("bad", ["ttl=soon", "ttl=0", "ttl=-5"])
def test_a_life_of_rows_is_a_number_of_seconds(bad: str) -> None:
    with pytest.raises(ServingError, match=r"ttl is '.*'; expected a number of seconds") as refused:
        open_store(f"redis://:{SECRET}@host/0?{bad}", "n", 2, 5)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("scheme", ["redis", "http", "amqp"])
def test_settings_show_no_password(scheme: str) -> None:
    url = f"{scheme}://:{SECRET}@host/0"
    for use in (
        lambda: open_store(url.replace("redis", "radish"), "n", 2, 5),
        lambda: Settings(["m"], rate_limit_store=url.replace("redis", "radish")).check(),
    ):
        with pytest.raises(ServingError) as refused:
            use()
        assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://host:1/2", "redis://host:1/2"),
        ("redis://ann:hush@host:1/2?ttl=5", "redis://***@host:1/2?ttl=5"),
        ("redis://host?password=hush&db=1", "redis://host?password=***&db=1"),
        ("redis://:a/b@host/0", "redis://***"),
        ("redis://:a#b@host/0", "redis://***"),
        ("redis://:a?b@host/0", "redis://***"),
        ("redis://[half", "redis://***"),
        ("https://host/model?X-Amz-Signature=hush", "https://host/model?X-Amz-Signature=***"),
        ("registry:air/production", "registry:air/production"),
        ("sqlite:///tmp/a.db", "sqlite:///tmp/a.db"),
        ("memory://", "memory://"),
    ],
)
def test_an_address_is_shown_without_its_secrets(url: str, shown: str) -> None:
    assert redacted(url) == shown
    assert has_secret(url) == (shown != url)


@pytest.mark.parametrize(
    "address",
    [
        f"https://ann:{SECRET}@127.0.0.1:1/model",
        f"http://127.0.0.1:1/model?X-Amz-Signature={SECRET}",
        f"nowhere://ann:{SECRET}@host/model",
        f"file:///none?token={SECRET}",
    ],
)
def test_a_model_that_cannot_be_fetched_shows_no_secret_of_its_address(address: str) -> None:
    with pytest.raises(ServingError) as refused:
        Source(address).load()
    assert SECRET not in str(refused.value)

"""Settings of notifications: the example loads, an error names its field, and no secret is repeated."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from almanac.core.errors import NotificationError, SecretError
from operations.notifications import load_settings, settings_path
from operations.notifications.settings import Grace, Retries

EXAMPLE = Path(__file__).parents[3] / "examples" / "notifications.yaml"
SECRET = "https://hooks.slack.com/services/T0/B0/xxSecretxx"
MAIL: dict[str, Any] = {
    "kind": "smtp",
    "host": "mail.example.org",
    "sender": "almanac@example.org",
    "recipients": ["team@example.org"],
}
HOOK: dict[str, Any] = {"kind": "webhook", "url": {"env": "HOOK_URL"}, "secret": {"file": "hook.key"}}


def write(folder: Path, channel: dict[str, Any], **more: Any) -> Path:
    path = folder / "notifications.yaml"
    path.write_text(yaml.safe_dump({"console": "https://console.example.org", "channels": {"way": channel}, **more}))
    return path


def test_the_example_loads_and_shows_every_kind_and_the_defaults() -> None:
    settings = load_settings(EXAMPLE)
    assert {channel.kind for channel in settings.channels.values()} == {"smtp", "slack", "webhook"}
    assert (settings.retries, settings.grace, settings.oldest_days) == (Retries(), Grace(), 7)
    assert settings.channels["team"].wants("weekly", "traffic")
    assert not settings.channels["desk"].wants("monthly", "traffic")
    assert settings.channels["desk"].wants("monthly", "air_quality")


def test_paths_begin_at_the_directory_of_the_file(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, HOOK | {"ca_file": "ca.pem"}, templates="templates"))
    channel = settings.channels["way"]
    assert channel.kind == "webhook"
    assert (channel.secret.file, channel.ca_file) == (tmp_path / "hook.key", tmp_path / "ca.pem")
    assert settings.templates == tmp_path / "templates"


def test_the_address_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ALMANAC_NOTIFICATIONS", raising=False)
    assert settings_path(None) == Path("notifications.yaml")
    monkeypatch.setenv("ALMANAC_NOTIFICATIONS", "/etc/almanac.yaml")
    assert settings_path(None) == Path("/etc/almanac.yaml")
    assert settings_path(Path("mine.yaml")) == Path("mine.yaml")


@pytest.mark.parametrize(
    ("channel", "more", "message"),
    [
        (MAIL | {"port": "587"}, {}, r"channels\.way\.port: .*valid integer"),
        (MAIL | {"sender": "almanac"}, {}, r"channels\.way\.sender: 'almanac' is not a mail address"),
        (MAIL | {"recipients": []}, {}, r"channels\.way\.recipients: .*at least 1 item"),
        (MAIL | {"recipients": ["a@b.c", "a@b.c"]}, {}, r"channels\.way: recipients: a@b\.c is named twice"),
        (MAIL | {"user": "almanac"}, {}, r"channels\.way: user and password belong together"),
        (MAIL | {"tls": "none"}, {}, r"channels\.way\.tls: .*'starttls' or 'implicit'"),
        (MAIL | {"hots": "x"}, {}, r"channels\.way\.hots: unknown field; did you mean 'host'"),
        (MAIL | {"send": ["promotd"]}, {}, r"channels\.way\.send\.0: .*promoted"),
        ({"kind": "pigeon"}, {}, r"channels\.way: .*'pigeon'.*'smtp'"),
        (HOOK | {"secret": None}, {}, r"channels\.way\.secret: should be {env: NAME} or {file: PATH}"),
        (MAIL, {"console": "console.example.org"}, r"console: should be an address such as https://"),
        (MAIL, {"retries": {"attempts": 0}}, r"retries\.attempts: .*greater than or equal to 1"),
        (MAIL, {"channels": {}}, r"channels: .*at least 1 item"),
    ],
)
def test_an_error_names_its_field(tmp_path: Path, channel: dict[str, Any], more: dict[str, Any], message: str) -> None:
    with pytest.raises(NotificationError, match=message) as caught:
        load_settings(write(tmp_path, channel, **more))
    assert str(caught.value).startswith(str(tmp_path / "notifications.yaml"))


@pytest.mark.parametrize(
    "channel",
    [
        HOOK | {"url": SECRET},
        HOOK | {"url": {"value": SECRET}},
        HOOK | {"url": {"env": SECRET}},
        HOOK | {"url": {"env": "A", "file": SECRET, "text": SECRET}},
        HOOK | {"url": [SECRET]},
        HOOK | {"uri": SECRET},
        MAIL | {"password": SECRET, "user": "almanac"},
        MAIL | {"host": SECRET},
        MAIL | {"tls": SECRET},
        MAIL | {"recipients": SECRET},
    ],
)
def test_a_secret_in_the_settings_is_not_repeated(tmp_path: Path, channel: dict[str, Any]) -> None:
    with pytest.raises(NotificationError) as caught:
        load_settings(write(tmp_path, channel))
    assert "Secret" not in str(caught.value)
    assert "channels.way." in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "notifications.yaml"
    with pytest.raises(NotificationError, match=r"notifications\.yaml: cannot be read \(No such file"):
        load_settings(path)
    path.write_text(f"channels:\n  way: {{url: '{SECRET}\n")
    with pytest.raises(NotificationError, match=r"notifications\.yaml, line \d: is not YAML") as caught:
        load_settings(path)
    assert "Secret" not in str(caught.value)
    path.write_text("- a\n")
    with pytest.raises(NotificationError, match="must be a mapping with the fields console, channels"):
        load_settings(path)


def test_a_secret_that_is_missing_is_named_by_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOOK_URL", raising=False)
    channel = load_settings(write(tmp_path, HOOK)).channels["way"]
    assert channel.kind == "webhook"
    with pytest.raises(SecretError, match="the environment variable HOOK_URL is empty"):
        channel.url.read()
    with pytest.raises(SecretError, match=r"hook\.key: the secret cannot be read \(No such file"):
        channel.secret.read()
    monkeypatch.setenv("HOOK_URL", f" {SECRET}\n")
    assert channel.url.read() == SECRET

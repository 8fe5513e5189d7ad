"""Channels over real connections: mail with both kinds of TLS, Slack, and signed webhooks."""

import base64
import hashlib
import hmac
import json
import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
import yaml

from governance.registry import Registry
from operations.journal import Journal
from operations.notifications import Courier, Outcome, deliveries, load_settings
from operations.notifications.message import Message
from tests.support.mailbox import (
    PASSWORD,
    USER,
    Certificate,
    Mailbox,
    Sink,
    mail_server,
    make_certificate,
    webhook_sink,
)

SIGNING = "whsec_" + base64.b64encode(b"a key of twenty-four bytes and more").decode()
TOKEN = "T00000000/B00000000/xxSecretTokenxx"
MESSAGE = Message(
    kind="promoted",
    use_case="demo",
    identity="e" * 64,
    title="Version 2 is in production",
    lines=("By bob: better & <!channel> `tick`", ".profile"),
    link="https://console.example.org/versions/demo/2",
    command="almanac registry rollback demo",
    when="2026-11-27T09:00:00.000+00:00",
    facts={"version": 2},
    documents={"demo.html": b"<p>.\r\n..</p>", "demo.pdf": b"%PDF-1.7 \x00\xff"},
)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@dataclass
class Post:
    """A use case's journal, a clock that tests move, and the channel under test."""

    folder: Path
    now: datetime = datetime(2026, 11, 27, 9, tzinfo=UTC)
    slept: float = 0.0

    def journal(self) -> Journal:
        return Journal(str(self.folder / "registry"), "demo", lambda: self.now)

    def send(self, channel: dict[str, Any], message: Message = MESSAGE, *, again: bool = False) -> list[Outcome | None]:
        path = self.folder / "notifications.yaml"
        path.write_text(yaml.safe_dump({"console": "https://console.example.org", "channels": {"way": channel}}))
        settings = load_settings(path)
        courier = Courier(self.journal(), settings, self.sleep)
        return [courier.deliver(each, again=again) for each in deliveries(settings, message)]

    def sleep(self, seconds: float) -> None:
        self.slept += seconds

    def outcomes(self) -> list[str]:
        return [str(entry.detail["outcome"]) for entry in self.journal().entries()]


@pytest.fixture
def post(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Post:
    Registry(str(tmp_path / "registry"))
    monkeypatch.setenv("ALMANAC_TEST_PASSWORD", PASSWORD)
    (tmp_path / "signing").write_text(f"{SIGNING}\n")
    return Post(tmp_path)


def by_mail(box: Mailbox, certificate: Certificate, **changes: Any) -> dict[str, Any]:
    channel = {"kind": "smtp", "host": "localhost", "port": box.port, "sender": "almanac@example.org"}
    channel |= {"recipients": ["team@example.org"], "user": USER, "password": {"env": "ALMANAC_TEST_PASSWORD"}}
    return channel | {"ca_file": str(certificate.path)} | changes


def by_webhook(post: Post, url: str, **changes: Any) -> dict[str, Any]:
    (post.folder / "url").write_text(url)
    return {"kind": "webhook", "url": {"file": "url"}, "secret": {"file": "signing"}} | changes


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_a_mail_arrives_once_over_tls(post: Post, certificate: Certificate, tls: str) -> None:
    with mail_server(certificate.context(), implicit=tls == "implicit") as box:
        channel = by_mail(box, certificate, tls=tls, recipients=["a@example.org", "b@example.org"])
        first, second = post.send(channel), post.send(channel)
    assert [each.told for each in first if each] == ["sent", "sent"]
    assert second == [None, None]
    assert box.logins == [USER, USER]
    assert [mail["X-Recipient"] for mail in box.mails] == ["a@example.org", "b@example.org"]
    mail: EmailMessage = box.mails[0]
    assert mail["Subject"] == "[demo] Version 2 is in production"
    assert mail["Auto-Submitted"] == "auto-generated"
    body, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert body is not None
    assert html is not None
    for text in (body.get_content(), html.get_content()):
        assert "https://console.example.org/versions/demo/2" in text
        assert "almanac registry rollback demo" in text
    assert "better &amp; &lt;!channel&gt;" in html.get_content()
    attached = {part.get_filename(): part.get_content() for part in mail.iter_attachments()}
    assert attached["demo.pdf"] == b"%PDF-1.7 \x00\xff"
    assert attached["demo.html"].encode() == MESSAGE.documents["demo.html"]
    # A line that begins with a dot, which ends a mail where it is not doubled on the way.
    assert ".profile" in body.get_content().splitlines()
    assert post.outcomes() == ["sending", "sent"] * 2
    assert mail["Message-ID"] != box.mails[1]["Message-ID"]


def test_the_certificate_of_a_mail_server_is_checked(post: Post, certificate: Certificate, tmp_path: Path) -> None:
    other = make_certificate(tmp_path, "mail.example.org")
    with mail_server(other.context()) as box:
        # Unknown to this machine; then known, but of another host.
        (unknown,) = post.send(by_mail(box, certificate, ca_file=None))
        post.now += timedelta(hours=2)
        (foreign,) = post.send(by_mail(box, other))
    assert unknown is not None
    assert foreign is not None
    assert "the certificate is not trusted (self-signed certificate)" in unknown.told
    assert "Hostname mismatch" in foreign.told
    assert (box.mails, box.logins, post.outcomes()) == ([], [], ["failed", "failed"])


def test_a_server_without_tls_gets_neither_password_nor_mail(post: Post, certificate: Certificate) -> None:
    with mail_server(None) as box:
        (outcome,) = post.send(by_mail(box, certificate))
    assert outcome is not None
    assert outcome.told.endswith("the server offers no STARTTLS or no login)")
    assert (box.mails, box.logins) == ([], [])


def test_what_surely_did_not_arrive_is_tried_again(post: Post, certificate: Certificate) -> None:
    with mail_server(certificate.context()) as box:
        box.answers = ["451 greylisted", "452 no space", "421 too busy"]
        channel = by_mail(box, certificate)
        (first,) = post.send(channel)
        assert first is not None
        assert first.outcome == "failed"
        assert "421 too busy" in first.reason
        # Three attempts after waits of one and two seconds; then a minute's rest, and the next pass.
        assert post.slept == 3
        assert post.send(channel) == [None]
        post.now += timedelta(minutes=5)
        (second,) = post.send(channel)
    assert second is not None
    assert second.outcome == "sent"
    assert len(box.mails) == 1
    assert post.outcomes() == ["sending", "failed"] * 3 + ["sending", "sent"]


def test_a_recipient_that_is_refused_does_not_stop_the_others(post: Post, certificate: Certificate) -> None:
    with mail_server(certificate.context()) as box:
        box.refused = {"gone@example.org"}
        channel = by_mail(box, certificate, recipients=["gone@example.org", "team@example.org"])
        refused, sent = post.send(channel)
        assert refused is not None
        assert sent is not None
        assert refused.outcome == "refused"
        assert "recipient gone@example.org: the server answered 550 5.1.1 no such mailbox" in refused.reason
        assert sent.outcome == "sent"
        post.now += timedelta(days=2)
        assert post.send(channel) == [None, None]
        # Asked for, once the mailbox is there.
        box.refused = set()
        later, done = post.send(channel, again=True)
    assert later is not None
    assert (later.outcome, done) == ("sent", None)


def test_a_login_that_is_refused_says_no_password(
    post: Post, certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALMANAC_TEST_PASSWORD", "wrong-Password-1")
    with mail_server(certificate.context()) as box:
        (outcome,) = post.send(by_mail(box, certificate))
    assert outcome is not None
    assert outcome.told.endswith("the login of almanac is refused (code 535))")
    assert box.mails == []


def test_a_server_that_is_away_is_tried_until_it_is_given_up(post: Post, certificate: Certificate) -> None:
    with mail_server(certificate.context()) as box:
        pass
    channel = by_mail(box, certificate)
    for _ in range(120):
        if post.send(channel) == [None]:
            post.now += timedelta(minutes=20)
        if post.outcomes()[-1] == "given up":
            break
    assert post.outcomes()[-1] == "given up"
    # Rests of 1, 2, 4 … 60 minutes within 24 hours.
    assert 20 < len(post.outcomes()) < 40
    assert post.send(channel) == [None]


def test_slack_gets_a_text_that_mentions_nobody(post: Post, certificate: Certificate) -> None:
    with webhook_sink(certificate.context()) as sink:
        (post.folder / "url").write_text(f"https://localhost:{sink.port}/services/{TOKEN}")
        channel = {"kind": "slack", "url": {"file": "url"}, "ca_file": str(certificate.path)}
        (outcome,) = post.send(channel)
    assert outcome is not None
    assert outcome.outcome == "sent"
    ((path, headers, _),) = sink.requests
    assert path == f"/services/{TOKEN}"
    assert headers["content-type"].startswith("application/json")
    text = sink.bodies[0]["text"]
    assert text == (
        "*Version 2 is in production*\nBy bob: better &amp; &lt;!channel&gt; 'tick'\n.profile\n"
        "<https://console.example.org/versions/demo/2|demo in the console>\n`almanac registry rollback demo`"
    )


def test_a_webhook_is_signed_and_carries_the_documents(post: Post, certificate: Certificate) -> None:
    with webhook_sink(certificate.context()) as sink:
        channel = by_webhook(post, f"https://localhost:{sink.port}/in?x=1", ca_file=str(certificate.path))
        post.send(channel)
    ((path, headers, body),) = sink.requests
    assert path == "/in?x=1"
    # As a receiver checks it, by the words of standardwebhooks.com.
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    secret = base64.b64decode(SIGNING.removeprefix("whsec_"))
    expected = base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert headers["webhook-id"] == MESSAGE.key("webhook", "way")
    (content,) = sink.bodies
    assert (content["type"], content["timestamp"]) == ("almanac.promoted", MESSAGE.when)
    assert content["data"]["facts"] == {"version": 2}
    assert base64.b64decode(content["data"]["documents"]["demo.pdf"]) == MESSAGE.documents["demo.pdf"]


@pytest.mark.parametrize(
    ("status", "headers", "outcome", "reason", "requests"),
    [
        (503, {}, "sent", "", 2),
        (429, {"Retry-After": "7"}, "sent", "", 2),
        (429, {"Retry-After": "900"}, "failed", "answered 429 no_service", 1),
        (400, {}, "refused", "answered 400 no_service", 1),
        (302, {"Location": "https://elsewhere.example"}, "failed", "a redirect, which is not followed", 3),
    ],
)
def test_answers_of_a_webhook(
    post: Post, status: int, headers: dict[str, str], outcome: str, reason: str, requests: int
) -> None:
    with webhook_sink() as sink:
        sink.answers = [(status, headers)] * (3 if status == 302 else 1)
        (found,) = post.send(by_webhook(post, f"http://127.0.0.1:{sink.port}/"))
    assert found is not None
    assert found.outcome == outcome
    assert reason in found.reason
    assert "elsewhere" not in found.reason
    assert len(sink.requests) == requests
    assert post.slept == {"503": 1, "7": 7, "302": 3}.get(headers.get("Retry-After", str(status)), 0)
    # A receiver knows the message again.
    assert len({headers["webhook-id"] for _, headers, _ in sink.requests}) == 1


def test_a_connection_that_breaks_before_the_answer_leaves_it_uncertain(post: Post) -> None:
    with webhook_sink() as sink:

        def break_off() -> None:
            raise ConnectionResetError

        sink.before_answer = break_off
        channel = by_webhook(post, f"http://127.0.0.1:{sink.port}/")
        (found,) = post.send(channel)
        assert found is not None
        assert found.outcome == "uncertain"
        sink.before_answer = lambda: None
        post.now += timedelta(days=1)
        assert post.send(channel) == [None]
        assert len(sink.requests) == 1
        (asked,) = post.send(channel, again=True)
    assert asked is not None
    assert asked.outcome == "sent"


def test_plain_http_is_for_this_machine_alone(post: Post) -> None:
    (outcome,) = post.send(by_webhook(post, "http://receiver.example.org/in"))
    assert outcome is not None
    assert "should begin with https://" in outcome.reason


def _broken(kind: str, post: Post, certificate: Certificate, box: Mailbox, sink: Sink) -> dict[str, Any]:
    if kind == "mail":
        box.answers = [f"451 {USER} sent {PASSWORD}"] * 3
        return by_mail(box, certificate)
    (post.folder / "url").write_text(f"http://127.0.0.1:{sink.port}/services/{TOKEN}")
    sink.answers = [(404, {})] * 3
    if kind == "slack":
        return {"kind": "slack", "url": {"file": "url"}}
    return {"kind": "webhook", "url": {"file": "url"}, "secret": {"file": "signing"}}


@pytest.mark.parametrize("kind", ["mail", "slack", "webhook"])
def test_no_secret_is_in_journal_error_or_log(
    post: Post, certificate: Certificate, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with mail_server(certificate.context()) as box, webhook_sink() as sink:
        (outcome,) = post.send(_broken(kind, post, certificate, box, sink))
    assert outcome is not None
    assert outcome.outcome == "failed"
    written = json.dumps([entry.to_dict() for entry in post.journal().entries()])
    ours = "".join(record.getMessage() for record in caplog.records if not record.name.startswith("mail"))
    for secret in (PASSWORD, TOKEN, SIGNING, SIGNING.removeprefix("whsec_")):
        assert secret not in written + str(outcome) + ours

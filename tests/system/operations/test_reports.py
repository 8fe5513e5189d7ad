"""Reports by the command line: from registry and runs to HTML and PDF."""

import base64
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from sqlalchemy import select
from typer.testing import CliRunner

from almanac.core.errors import AlmanacError, ReportError
from operations.history import digest, open_history, rebuild
from operations.history.tables import NOTIFICATIONS
from operations.reports import to_pdf
from orchestration.commands.app import app
from tests.support.mailbox import PASSWORD, USER, Certificate, mail_server, make_certificate, webhook_sink
from tests.support.operations_world import World, write_world
from tests.support.pdf import needs_pango, pages
from tests.support.server import ROOT


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return write_world(tmp_path_factory.mktemp("world"), trainings=3, monitorings=31)


def command(world: World, folder: Path, *arguments: str) -> list[str]:
    made = ["report", arguments[0], "--history", f"sqlite:///{folder}/history.db", "--registry", world.registry]
    return [*made, "--runs", str(world.runs), "--log", world.log, *arguments[1:]]


def report(world: World, *arguments: str) -> tuple[str, str]:
    """Return the output of a report made in the present directory, and its error."""
    made = command(world, Path.cwd(), *arguments)
    done = CliRunner().invoke(app, made, env={"ALMANAC_TEST_PASSWORD": PASSWORD})
    error = done.exception
    assert error is None or isinstance(error, AlmanacError), error
    return done.stdout, str(error or "")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def registry(world: World, tmp_path: Path) -> Path:
    """The world's registry, to which a test may write."""
    shutil.copytree(world.registry, tmp_path / "registry")
    return tmp_path / "registry"


@needs_pango
@pytest.mark.parametrize(
    "html",
    [
        '<img src="{secret}">',
        '<link rel="attachment" href="{secret}">',
        '<a rel="attachment" href="{secret}">all of it</a>',
        '<style>@import "{secret}";</style>',
        "<style>@font-face {{font-family: x; src: url({secret})}} p {{font-family: x}}</style><p>text",
        '<img src="http://127.0.0.1:9/latest/meta-data">',
    ],
)
def test_a_report_shows_nothing_but_itself(tmp_path: Path, html: str) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("a secret of this machine")
    with pytest.raises(ReportError, match=r"(file|http)://.*: a report loads nothing from elsewhere"):
        to_pdf(html.format(secret=secret.as_uri()))
    assert to_pdf('<img alt="" src="data:image/svg+xml,%3Csvg xmlns=%22http://www.w3.org/2000/svg%22/%3E">')


@needs_pango
def test_the_report_on_a_month_is_written_as_html_and_pdf(world: World, tmp_path: Path) -> None:
    options = ("--period", "2026-01", "--html", "demo.html", "--pdf", "demo.pdf")
    assert (
        report(world, "monthly", "demo", *options)[0]
        == "demo: January 2026\n10 of 32 windows breached, the last one because wind has drifted.\n"
    )
    html, data = (tmp_path / "demo.html").read_text(), (tmp_path / "demo.pdf").read_bytes()
    assert to_pdf(html) == data
    found = pages(data)
    assert 2 <= len(found) <= 4
    for at, text in enumerate(found):
        assert f"{at + 1} of {len(found)}" in text
    whole = "\n".join(found)
    for heading in re.findall(r"<h2[^>]*>([^<]+)", html):
        assert heading in whole
    # Of the tables, and of the plots' axes.
    assert re.search(r"load_24h\s+32\s+12\.000", whole)
    assert "Share of truths within the interval" in whole


def test_a_history_is_not_emptied_because_a_directory_is_missing(world: World) -> None:
    assert report(world, "monthly", "demo")[1] == ""
    _, error = report(world, "weekly", "demo", "--runs", "nowhere")
    assert error.startswith("--runs nowhere: no such directory, though the history has 34 runs")
    assert report(world, "weekly", "demo", "--runs", "nowhere", "--no-rebuild")[1] == ""


@needs_pango
def test_the_report_is_sent_once_over_every_channel(
    world: World, registry: Path, certificate: Certificate, tmp_path: Path
) -> None:
    options = ("--period", "2026-01", "--mail", "--registry", str(registry))
    (tmp_path / "key").write_text("a text of more than 24 characters")
    with mail_server(certificate.context()) as box, webhook_sink(certificate.context()) as sink:
        (tmp_path / "url").write_text(f"https://localhost:{sink.port}/in")
        mail = {"kind": "smtp", "host": "localhost", "port": box.port, "sender": "almanac@example.org", "user": USER}
        mail |= {"password": {"env": "ALMANAC_TEST_PASSWORD"}, "recipients": ["a@example.org", "b@example.org"]}
        hook = {"kind": "webhook", "url": {"file": "url"}, "secret": {"file": "key"}, "send": ["monthly"]}
        slack = {"kind": "slack", "url": {"file": "url"}, "send": ["weekly"]}
        trust = {"ca_file": str(certificate.path)}
        channels = {"mail": mail | trust, "hook": hook | trust, "slack": slack | trust}
        settings = {"console": "https://console.example.org", "channels": channels}
        (tmp_path / "notifications.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
        (first, _), (second, _) = (report(world, "monthly", "demo", *options) for _ in range(2))
    assert first.splitlines()[2:] == ["mail: a@example.org: sent", "mail: b@example.org: sent", "hook: sent"]
    assert second.count("nothing to do now") == 3
    assert [each["X-Recipient"] for each in box.mails] == ["a@example.org", "b@example.org"]
    attached = {part.get_filename(): part.get_content() for part in box.mails[0].iter_attachments()}
    assert "January 2026" in "".join(pages(attached["demo-2026-01.pdf"]))
    assert "<h2" in attached["demo-2026-01.html"]
    (body,) = sink.bodies
    assert body["type"] == "almanac.monthly"
    assert body["data"]["facts"]["figures"]["windows_breached"] == 10
    assert base64.b64decode(body["data"]["documents"]["demo-2026-01.pdf"]) == attached["demo-2026-01.pdf"]
    # What was sent is in the history, which is made again to the same bytes.
    engine = open_history(f"sqlite:///{tmp_path}/history.db")
    with engine.connect() as connection:
        rows = connection.execute(select(NOTIFICATIONS).order_by(NOTIFICATIONS.c.number)).all()
    sent = [(row.channel, row.outcome) for row in rows if "report" in row.summary]
    assert sent == [
        (name, outcome)
        for name in ("mail: a@example.org", "mail: b@example.org", "hook")
        for outcome in ("sending", "sent")
    ]
    before = digest(engine)
    rebuild(engine, replace(world.origins, registry=str(registry)))
    assert digest(engine) == before
    engine.dispose()


@needs_pango
def test_a_killed_report_is_not_sent_twice(world: World, registry: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("a text of more than 24 characters")
    options = ("weekly", "demo", "--period", "2026-W01", "--mail", "--registry", str(registry))
    made = [sys.executable, str(ROOT / "pipeline.py"), *command(world, tmp_path, *options)]
    with webhook_sink() as sink:
        (tmp_path / "url").write_text(f"http://127.0.0.1:{sink.port}/in")
        hook = {"kind": "webhook", "url": {"file": "url"}, "secret": {"file": "key"}}
        settings = {"console": "https://console.example.org", "channels": {"hook": hook}}
        (tmp_path / "notifications.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
        process = subprocess.Popen(made, cwd=tmp_path, stdout=subprocess.DEVNULL)
        # After the receiver has it, and before the sender knows.
        sink.before_answer = process.kill
        assert process.wait(120) < 0
        sink.before_answer = lambda: None
        said, _ = report(world, *options)
    assert "hook: sending at" in said
    assert len(sink.requests) == 1


def test_a_report_on_a_period_that_is_not_over_is_not_sent(world: World, tmp_path: Path) -> None:
    settings = {"kind": "slack", "url": {"env": "ALMANAC_TEST_PASSWORD"}}
    (tmp_path / "notifications.yaml").write_text(yaml.safe_dump({"console": "https://c", "channels": {"s": settings}}))
    _, error = report(world, "monthly", "demo", "--period", "2999-01", "--mail")
    assert error.startswith("--period 2999-01: not over yet")

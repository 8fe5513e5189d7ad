"""Notifications by the command line: each event once, over every channel, also where the process is killed."""

import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
import yaml
from sqlalchemy import Engine, select
from typer.testing import CliRunner

from almanac.core.errors import AlmanacError
from governance.registry import Registry
from operations.history import open_history, rebuild
from operations.history.tables import NOTIFICATIONS
from operations.journal import Journal
from operations.notifications import Watch
from orchestration.commands.app import app
from orchestration.retraining.audit_log import Draft, Entry
from tests.support.mailbox import Sink, mail_server, make_certificate, webhook_sink
from tests.support.operations_world import World, write_world
from tests.support.pdf import needs_pango
from tests.support.server import ROOT

KEY = "a text of more than 24 characters"


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.chdir(tmp_path)
    return write_world(tmp_path, trainings=1, monitorings=1)


@pytest.fixture
def sink() -> Iterator[Sink]:
    with webhook_sink() as sink:
        yield sink


def settings(folder: Path, **channels: object) -> Path:
    (folder / "key").write_text(KEY)
    path = folder / "notifications.yaml"
    path.write_text(yaml.safe_dump({"console": "https://console.example.org", "channels": channels}, sort_keys=False))
    return path


def hook(folder: Path, sink: Sink) -> dict[str, object]:
    (folder / "url").write_text(f"http://127.0.0.1:{sink.port}/in")
    return {"kind": "webhook", "url": {"file": "url"}, "secret": {"file": "key"}}


def command(world: World, folder: Path, *options: str) -> list[str]:
    made = ["notify", "demo", "--registry", world.registry, "--runs", str(world.runs)]
    return [*made, "--history", f"sqlite:///{folder}/history.db", *options]


def notify(world: World, *options: str) -> tuple[list[str], str]:
    """Return the lines of a pass, and its error."""
    done = CliRunner().invoke(app, command(world, Path.cwd(), *options))
    assert done.exception is None or isinstance(done.exception, AlmanacError), done.exception
    return done.stdout.splitlines(), str(done.exception or "")


def test_each_event_is_sent_once_over_every_channel(world: World, tmp_path: Path, sink: Sink) -> None:
    certificate = make_certificate(tmp_path)
    with mail_server(certificate.context()) as box:
        mail = {"kind": "smtp", "host": "localhost", "port": box.port, "sender": "almanac@example.org"}
        mail |= {"recipients": ["team@example.org"], "ca_file": str(certificate.path), "send": ["approval_asked"]}
        # A login is asked for, which the settings do not give: nothing arrives, and the other channels are not held up.
        settings(tmp_path, mail=mail, hook=hook(tmp_path, sink))
        lines, error = notify(world)
        assert error.startswith("not all was sent\nmail: team@example.org: Version 2 waits for an approval: ")
        assert "530" in error
        assert [line for line in lines if line.startswith("hook")] == [
            "hook: Version 1 is in production: sent",
            "hook: Version 2 waits for an approval: sent",
            "hook: A plan of a retraining waits for an approval: sent",
        ]
    assert [body["type"] for body in sink.bodies] == ["almanac.promoted", *2 * ["almanac.approval_asked"]]
    assert sink.bodies[1]["data"]["link"] == "https://console.example.org/versions/demo/2"
    assert notify(world) == ([], "")
    Registry(world.registry).approve("demo", 2, who="bob", why="read the cards")
    Registry(world.registry).promote("demo", 2, who="bob", why="better")
    assert notify(world) == (["hook: Version 2 is in production: sent"], "")
    engine = open_history(f"sqlite:///{tmp_path}/history.db")
    rebuild(engine, world.origins)
    with engine.connect() as connection:
        rows = connection.execute(select(NOTIFICATIONS).where(NOTIFICATIONS.c.channel == "hook")).all()
    assert Counter(row.outcome for row in rows) == {"sending": 4, "sent": 4}
    engine.dispose()


def test_settings_are_read_before_anything_else(world: World, tmp_path: Path) -> None:
    _, error = notify(world, "--settings", str(tmp_path / "nothing.yaml"))
    assert "nothing.yaml: cannot be read" in error
    assert not (tmp_path / "history.db").exists()


def test_a_name_that_nothing_is_known_of_is_refused(world: World, tmp_path: Path) -> None:
    with webhook_sink() as sink:
        settings(tmp_path, hook=hook(tmp_path, sink))
    done = CliRunner().invoke(app, ["notify", "dmeo", *command(world, tmp_path)[2:]])
    assert str(done.exception) == "dmeo: no use case file, and not in the history; it has demo"


def test_a_server_that_is_away_is_asked_once_a_pass(world: World, tmp_path: Path) -> None:
    with webhook_sink() as sink:
        path = settings(tmp_path, hook=hook(tmp_path, sink))
    path.write_text(f"{path.read_text()}retries: {{first_seconds: 0}}\n")
    lines, error = notify(world)
    # Of three messages.
    assert len(lines) == 1
    assert lines[0].startswith("hook: Version 1 is in production: failed (127.0.0.1: Connection refused)")
    assert isinstance(error, str)
    assert "Connection refused" in error


def _written(draft: Draft, entries: list[Entry]) -> Draft:
    return draft


def test_a_process_that_is_killed_sends_nothing_twice(world: World, tmp_path: Path, sink: Sink) -> None:
    settings(tmp_path, hook=hook(tmp_path, sink))
    journal, wanted = Journal(world.registry, "demo"), 20
    for at in range(wanted):
        done = Draft("finished", f"{at:064x}", "agent", f"action {at}", {})
        journal.append(partial(_written, done))
    made = [sys.executable, str(ROOT / "pipeline.py"), *command(world, tmp_path, "--watch")]
    drawn, kills = random.Random(7), 0
    for _ in range(3):
        before = len(sink.requests)
        process = subprocess.Popen(made, cwd=tmp_path, stderr=subprocess.DEVNULL, env={**os.environ})
        target = before + drawn.randint(1, 6)
        arrived = threading.Event()

        def look(arrived: threading.Event = arrived, target: int = target) -> None:
            # Between the receipt and the answer, or a little later: at any step of the next message.
            if len(sink.requests) >= target:
                arrived.set()

        sink.before_answer = look
        assert arrived.wait(60)
        time.sleep(drawn.uniform(0, 0.05))
        process.kill()
        process.wait()
        kills += 1
    sink.before_answer = lambda: None
    assert notify(world)[1] == ""
    got = Counter(headers["webhook-id"] for _, headers, _ in sink.requests)
    assert set(got.values()) == {1}
    # A message on its way when its process died may have arrived; the journal names those.
    sent = [entry.detail["outcome"] for entry in journal.entries() if entry.kind == "notified"][1:]
    doubt = sent.count("sending") - sent.count("sent")
    assert doubt <= kills
    assert len(got) >= wanted + 3 - doubt


def test_a_message_in_doubt_is_named_and_sent_again_on_demand(world: World, tmp_path: Path, sink: Sink) -> None:
    path = settings(tmp_path, hook=hook(tmp_path, sink))
    notify(world)
    journal = Journal(world.registry, "demo")
    # As a process leaves it that died after the first of its two entries.
    last = journal.entries()[-1]
    journal.append(lambda _: Draft("notified", last.plan, "almanac", last.why, {**last.detail, "outcome": "sending"}))
    engine = open_history(f"sqlite:///{tmp_path}/history.db")
    now = [datetime.now(UTC)]
    watch = Watch(engine, world.origins, path, ["demo"], clock=lambda: now[0])
    assert list(watch.look()) == []
    now[0] += timedelta(minutes=16)
    (found,) = watch.look()
    assert found.told == "uncertain (the process that sent it died meanwhile)"
    assert list(watch.look()) == []
    assert [each.outcome for each in watch.look(again=True)] == ["sent"]
    assert len(sink.requests) == 4
    engine.dispose()


def test_passes_at_the_same_time_send_each_message_once(world: World, tmp_path: Path, sink: Sink) -> None:
    path = settings(tmp_path, hook=hook(tmp_path, sink))
    outcomes: list[str] = []
    sink.before_answer = lambda: time.sleep(0.05)

    engines = [open_history(f"sqlite:///{tmp_path}/history{at}.db") for at in range(4)]

    def work(engine: Engine) -> None:
        outcomes.extend(found.outcome for found in Watch(engine, world.origins, path, ["demo"]).look())

    threads = [threading.Thread(target=work, args=(engine,)) for engine in engines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for engine in engines:
        engine.dispose()
    assert outcomes == ["sent"] * 3
    assert len({headers["webhook-id"] for _, headers, _ in sink.requests}) == len(sink.requests) == 3


@needs_pango
def test_reports_are_sent_once_their_period_is_over(world: World, tmp_path: Path, sink: Sink) -> None:
    path = settings(tmp_path, hook=hook(tmp_path, sink) | {"send": ["weekly", "monthly"]})
    engine = open_history(f"sqlite:///{tmp_path}/history.db")
    now = [datetime(2026, 2, 1, 0, 0, 1, tzinfo=UTC)]
    watch = Watch(engine, world.origins, path, ["demo"], reports=True, clock=lambda: now[0])
    assert [found.delivery.message.identity for found in watch.look()] == ["2026-W04", "2026-01"]
    assert list(watch.look()) == []
    now[0] += timedelta(days=1)
    assert [found.delivery.message.identity for found in watch.look()] == ["2026-W05"]
    # On a first start long after its end, a month is no news any more.
    now[0] = datetime(2026, 3, 20, tzinfo=UTC)
    assert [found.delivery.message.identity for found in watch.look()] == ["2026-W11"]
    assert [body["type"] for body in sink.bodies] == [f"almanac.{kind}ly" for kind in ("week", "month", "week", "week")]
    engine.dispose()


def test_a_pass_that_fails_is_told_and_the_next_one_begins(world: World, tmp_path: Path, sink: Sink) -> None:
    path = settings(tmp_path, hook=hook(tmp_path, sink))
    right = path.read_text()
    path.write_text("channels: {}\n")
    engine = open_history(f"sqlite:///{tmp_path}/history.db")
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        path.write_text(right)
        if len(said) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Watch(engine, world.origins, path, ["demo"]).follow(0.01, say)
    assert said[0].startswith("error: ")
    assert said[1:] == [
        "hook: Version 1 is in production: sent",
        "hook: Version 2 waits for an approval: sent",
        "hook: A plan of a retraining waits for an approval: sent",
    ]
    engine.dispose()

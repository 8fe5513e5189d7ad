"""Runs that fail on a Kubeflow reach the room: alarm, diagnosis, history, console and message."""

import os
import re
import shlex
import threading
import traceback
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from kfp.cli.cli import cli as kfp

from almanac.core.errors import GateError, SourceError
from almanac.core.files import write_json
from components.registration.task import run as register
from operations.agent.agent import Agent
from operations.agent.followed import FollowedJournal
from operations.agent.policy import Policy
from operations.agent.site import Site
from operations.agent.work import Work
from operations.console.app import build
from operations.console.keys import add_key
from operations.console.settings import ConsoleSettings
from operations.history import open_history, update
from operations.notifications.events import EVENTS
from operations.notifications.message import Message
from operations.notifications.scene import Scene
from operations.notifications.settings import Grace
from operations.subject import Subject
from tests.support.console import serving
from tests.support.kubeflow_api import TOKEN, KubeflowApi
from tests.support.operations_world import World, publish_monitoring, write_world
from tests.support.server import wait_for

pytestmark = pytest.mark.filterwarnings("ignore:This client only works:FutureWarning")
#: The present of the agent: the world's versions are older than runs that failed an hour before.
NOW = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=2)


class Room:
    """An agent whose policy names a Kubeflow, and everything that reads what it finds."""

    def __init__(self, api: KubeflowApi, world: World, folder: Path) -> None:
        self.api, self.world, self.folder = api, world, folder
        self.said: list[str] = []

    def agent(self, namespace: str | None = None) -> Agent:
        """Return a new agent."""
        training = {"host": self.api.host, "namespace": namespace}
        rules = {"use_cases": {"demo": {"training": training}}, "causes": {}, "watch_seconds": 0.1}
        policy = Policy.model_validate(rules)
        site = Site("demo", policy, policy.use_cases["demo"], self.world.registry, self.world.runs, clock=lambda: NOW)
        work = Work(site, FollowedJournal(self.world.registry, "demo", lambda: NOW), act=False)
        return Agent(policy, {"demo": work}, self.said.append)

    def look(self, namespace: str | None = None) -> Work:
        """Let a new agent look at the use case twice."""
        agent = self.agent(namespace)
        for _ in range(2):
            agent.ask_kubeflow("demo")
            agent.look("demo")
        return agent.works["demo"]

    def failed(
        self, pipeline: str, tasks: dict[str, str], log: str = "", *, ago: float = 1.0, state: str = "FAILED"
    ) -> str:
        """Let a run of a pipeline end on the Kubeflow, with a log of the first task that failed."""
        finished = NOW - timedelta(hours=ago)
        run = self.api.add_run(pipeline, state, tasks, created=finished - timedelta(minutes=5), finished=finished)
        first = next((name for name, found in tasks.items() if found == "FAILED"), "")
        self.api.logs = {f"wf-x-system-container-impl-{sum(map(ord, first)) + 1}": log} if log else {}
        return run

    def messages(self, kind: str) -> list[Message]:
        """Return the messages about the history."""
        engine = open_history(f"sqlite:///{self.folder}/messages.db")
        update(engine, self.world.origins)
        since = (NOW - timedelta(days=7)).isoformat()[:19]
        subject = Subject("demo", None, "usecases/demo.yaml")
        scene = Scene(engine, subject, "", self.world.runs, "https://console.example.org", NOW, since, Grace())
        found = list(EVENTS[kind](scene))
        engine.dispose()
        return found


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Room]:
    monkeypatch.setenv("KFP_TOKEN", TOKEN)
    world = replace(write_world(tmp_path, trainings=0, monitorings=0), runs=tmp_path / "nowhere")
    with KubeflowApi() as api:
        yield Room(api, world, tmp_path)


def log_of(error: Exception) -> str:
    """Return a container's log whose task ended with an error."""
    try:
        raise error
    except type(error):
        text = traceback.format_exc()
    before = "I1127 05:55:40.697246      15 launcher_v2.go:449] publish success."
    return "\n".join([before, "[KFP Executor] Looking for component", text.strip(), "Error: exit status 1"])


def failures(work: Work) -> list[tuple[str, str, bool]]:
    """Return step, summary and state of the alarms on failed runs."""
    alarms = [each for each in work.ledger().episodes.values() if each.alarm.name == "RunFailed"]
    return [(each.alarm.labels["version"], each.alarm.summary, each.resolved) for each in alarms]


def causes(work: Work) -> list[str]:
    """Return the diagnosed causes of the newest alarm, the most likely first."""
    return [cause for cause, _ in list(work.ledger().episodes.values())[-1].causes(0.0)]


def test_a_run_that_fails_on_a_cluster_is_diagnosed_kept_shown_and_told(room: Room) -> None:
    error = SourceError("sources.air: cannot be read as CSV: no column pm2.5")
    run = room.failed("demo-training", {"preflight": "SUCCEEDED", "ingestion": "FAILED"}, log_of(error))
    work = room.look()
    assert failures(work) == [("ingestion", f"training: {error}", False)]
    assert causes(work)[0] == "source_broken"
    (message,) = room.messages("run_failed")
    assert message.title == "A training failed in the step ingestion"
    assert message.lines[1:] == (str(error),)
    assert message.command == f"kfp --endpoint {room.api.host} run get {run}"
    told = CliRunner().invoke(kfp, ["--existing-token", TOKEN, *shlex.split(message.command)[1:]], obj={})
    assert run in told.output, told
    page = shown(room, "/history")
    assert str(error) in page and message.command in page
    assert "training failed" in shown(room, "/")


def test_a_kubeflow_of_several_users_is_asked_by_a_token(room: Room) -> None:
    room.api.multi_user = True
    run = room.failed("demo-training", {"training": "FAILED"})
    room.look("maria")
    (message,) = room.messages("run_failed")
    assert message.command == f'kfp --endpoint {room.api.host} --existing-token "$KFP_TOKEN" run get {run}'
    told = CliRunner().invoke(kfp, shlex.split(os.path.expandvars(message.command))[1:], obj={})
    assert run in told.output, told


def shown(room: Room, path: str) -> str:
    """Return a page of the console as a person reads it."""
    keys = room.folder / "keys.json"
    keys.unlink(missing_ok=True)
    given = {"viewer": add_key(keys, "vera", "viewer")}
    history, audit = f"sqlite:///{room.folder}/console.db", room.folder / "audit.jsonl"
    settings = ConsoleSettings(history, room.world.origins, keys, None, None, False, audit)
    with serving(build(settings), given) as client:
        client.post("/login", data={"key": given["viewer"]})
        text = client.get(path).text
    return re.sub(r"\s+", " ", text)


def test_a_run_has_one_record_whoever_looks_and_however_often(room: Room) -> None:
    room.failed("demo-monitoring", {"validation": "FAILED"}, log_of(SourceError("sources.air: cannot be read")))
    for _ in range(2):
        assert len(failures(room.look())) == 1
    assert len(room.messages("run_failed")) == 1


def test_an_agent_at_work_asks_again_and_again(room: Room) -> None:
    agent = room.agent()
    working = threading.Thread(target=agent.run)
    working.start()
    try:
        wait_for(lambda: "GET /runs" in room.api.requests)
        room.failed("demo-batch", {"prediction": "FAILED"}, log_of(SourceError("sources.air: cannot be read")))
        wait_for(lambda: len(failures(agent.works["demo"])) == 1)
    finally:
        agent.stop()
        working.join()


def test_only_failed_runs_of_the_use_case_are_told(room: Room) -> None:
    broken = {"validation": "FAILED"}
    room.failed("other-training", broken)
    room.failed("demo-training-2", broken)
    room.failed("demo-training", broken, state="CANCELED")
    room.failed("demo-training", {"validation": "SUCCEEDED"}, state="SUCCEEDED")
    room.failed("demo-training", broken, ago=24 * 8)
    deleted = room.failed("gone-training", broken)
    del room.api.pipelines[room.api.runs[deleted]["pipeline_version_reference"]["pipeline_id"]]
    assert failures(room.look()) == []
    assert (room.messages("run_failed"), room.said) == ([], [])


@pytest.mark.parametrize("log", ["I1127 05:55:40.697246      15 launcher_v2.go:449] start\n[body] fitting", ""])
def test_a_container_that_was_killed_or_never_started(room: Room, log: str) -> None:
    room.failed("demo-training", {"training": "FAILED"}, log)
    work = room.look()
    ((step, summary, _),) = failures(work)
    assert (step, "killed" in summary, "left no log" in summary) == ("training", bool(log), not log)
    assert causes(work)[0] == "resources"


def test_a_closed_gate_is_no_failure(room: Room, tmp_path: Path) -> None:
    write_json(tmp_path / "gate.json", {"passed": False, "rules": [{"passed": False, "message": "rmse 23 above 21"}]})
    with pytest.raises(GateError) as closed:
        register("", "", {"decision": str(tmp_path / "gate.json")}, "", "cluster", "")
    room.failed("demo-training", {"gate": "SUCCEEDED", "registration": "FAILED"}, log_of(closed.value))
    assert failures(room.look()) == []
    assert room.messages("run_failed") == []
    (message,) = room.messages("gate_closed")
    assert message.lines[1:] == ("rmse 23 above 21",)


def test_the_alarm_ends_with_a_later_run_that_succeeds(room: Room) -> None:
    room.failed("demo-monitoring", {"monitoring": "FAILED"}, log_of(SourceError("sources.air: cannot be read")))
    assert [resolved for *_, resolved in failures(room.look())] == [False]
    publish_monitoring(room.world.registry, (NOW - datetime(2026, 1, 1, tzinfo=UTC)).days + 1)
    assert [resolved for *_, resolved in failures(room.look())] == [True]


def test_the_overview_shows_a_failure_behind_one_that_is_over(room: Room) -> None:
    room.failed("demo-monitoring", {"validation": "FAILED"}, ago=4)
    # The world's versions are newer.
    room.failed("demo-training", {"training": "FAILED"}, ago=3)
    room.look()
    assert '<p class="state">monitoring failed</p>' in shown(room, "/")


def test_a_kubeflow_that_is_away_is_said_once_and_stops_nothing(room: Room, tmp_path: Path) -> None:
    room.api.__exit__()
    run = f"{NOW:%Y%m%d}-010000-000000-abcdef01"
    write_json(
        room.world.runs / "demo" / "failed" / f"{run}.json",
        {"run_id": run, "use_case": "demo", "kind": "training", "step": "validation"}
        | {"error": "a rule does not hold", "failed_at": NOW.isoformat()},
    )
    assert failures(room.look()) == [("validation", "training: a rule does not hold", False)]
    (line,) = room.said
    assert line.startswith("demo: failed runs on Kubeflow are not seen: ") and TOKEN not in line

"""The rules of the remediation, against a real registry: replays, expiry, alterations, races, truncation."""

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from kfp import dsl

from almanac.core.errors import PersonError, PipelineError, RemediationError, TrainingError, UseCaseError
from almanac.core.files import canonical_json, sha256_bytes
from almanac.usecase import UseCase, load
from almanac.usecase.override import load_with
from components.remediation.component import remediation as component
from governance.registry import Registry
from orchestration.retraining import policy
from orchestration.retraining.audit_log import AuditLog
from orchestration.retraining.plan import LIFETIME, Plan, RetrainWithout, make, observe, retraining
from pipelines import training_pipeline
from tests.support.bundles import document_files, version_files
from tests.support.kubeflow_api import TOKEN, KubeflowApi
from tests.support.use_case_artifact import use_case_artifact

ROOT = Path(__file__).resolve().parents[3]
NOW = datetime(2015, 1, 2, tzinfo=UTC)
REASON = "error: pm25_1h 1.2 of persistence's"


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


class World:
    """A registry with a version in production, a log with a clock of its own, and one proposed plan."""

    def __init__(self, folder: Path, action: str = "ask") -> None:
        case = load(ROOT / "usecases" / "air_quality.yaml")
        policy = case.drift.policy.model_copy(update={"action": action, "retrain_window": "1460d"})
        self.case: UseCase = case.model_copy(update={"drift": case.drift.model_copy(update={"policy": policy})})
        self.url, self.folder = str(folder / "registry"), folder
        self.registry = Registry(self.url)
        self.promote("a")
        self.clock = Clock()
        self.ledger = AuditLog(self.url, self.case.name, self.clock)
        self.plan = self.make()
        self.started: list[UseCase] = []

    def promote(self, mark: str) -> None:
        files, name = version_files(self.folder, mark), self.case.name
        number = self.registry.register(name, files, who="ann", why="made", approval="none")
        documents = document_files(self.folder / mark, files)
        self.registry.attach_documents(name, number, documents, who="ann", why="documented")
        self.registry.promote(name, number, who="ann", why="better")

    def document(self) -> dict[str, Any]:
        window = {"start": "2014-12-02T00:00:00", "stop": "2015-01-01T00:00:00", "breach": True, "reasons": [REASON]}
        return {"kind": "monitoring", "use_case": self.case.name, "breached": True, "windows": [window]}

    def make(self) -> Plan:
        return make(self.case, self.document(), self.url, "pipeline", self.clock())

    def propose(self) -> str:
        plan = policy.propose(self.ledger, self.make(), self.case)
        assert plan is not None
        return plan.digest

    def execute(
        self, plan: str, start: Callable[[UseCase], dict[str, Any]] | None = None, **more: Any
    ) -> dict[str, Any]:
        def begin(case: UseCase) -> dict[str, Any]:
            self.started.append(case)
            return {"result": "promoted"}

        seen = lambda: observe(self.case, self.url)  # noqa: E731
        return policy.execute(self.ledger, plan, self.case, who="bob", observe=seen, start=start or begin, **more)

    def kinds(self) -> list[str]:
        return [entry.kind for entry in self.ledger.entries()]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_the_plan_tells_what_it_would_change_and_is_the_same_twice(world: World) -> None:
    assert world.plan.difference == ["split.test: last 365d -> last 30d", "split.train: expanding -> last 1460d"]
    assert world.plan.reasons == [f"2014-12-02 to 2015-01-01: {REASON}"]
    assert world.make().digest == world.plan.digest
    changed = world.plan.action.apply(world.case)
    assert (changed.split.test, changed.split.train) == ("last 30d", "last 1460d")


def test_a_window_that_is_too_short_for_the_folds_is_refused_when_the_file_is_read() -> None:
    with pytest.raises(UseCaseError, match=r"retrain_window: 730d is too short; .* at least 1097d: .* 3 folds of 365d"):
        load_with(ROOT / "usecases" / "air_quality.yaml", ["drift.policy.retrain_window=730d"])


def test_a_plan_of_an_earlier_release_is_still_read_and_not_executed(world: World) -> None:
    dated = {"kind": "retrain", "test_from": "2014-12-02", "train_window": "1460d"}
    stored = {**world.make().model_dump(mode="json"), "format": 1, "action": dated}
    plan = Plan.model_validate(stored)
    assert plan.digest == sha256_bytes(canonical_json(stored))
    with pytest.raises(RemediationError, match=r"pins 2014-12-02 as its test span"):
        plan.action.apply(world.case)


@pytest.mark.parametrize(
    ("split", "window", "expected"),
    [
        ("{test: last 365d, retrain: {test: last 30d}}", "null", ("last 30d", "expanding")),
        ("{test: last 60d, train: last 4y}", "null", ("last 60d", "last 4y")),
        ("{test: last 60d}", "1460d", ("last 60d", "last 1460d")),
        # Dates of an archive would never move.
        ("{test_from: 2014-01-01, train_window: 1200d}", "null", ("last 30d", "last 1200d")),
    ],
)
def test_no_retraining_pins_a_date(split: str, window: str, expected: tuple[str, str]) -> None:
    settings = [f"split={split}", f"drift.policy.retrain_window={window}"]
    case = load_with(ROOT / "usecases" / "air_quality.yaml", settings)
    changed = retraining(case).apply(case)
    assert (changed.split.test, changed.split.train) == expected
    assert (changed.split.test_from, changed.split.test_to, changed.split.train_from) == (None, None, None)
    assert retraining(changed) == retraining(case)


@pytest.mark.parametrize(("column", "left"), [("calendar", 0), ("weather", 0), ("since_rain", 0), ("rain_hours", 1)])
def test_only_features_of_the_column_are_left_out(world: World, column: str, left: int) -> None:
    """A kind, a group or a feature may have the column's name."""
    before = world.case.features.items
    after = RetrainWithout(column=column, test="last 30d", train="last 1460d").apply(world.case).features.items
    assert len(before) - len(after) == left


def test_an_approved_plan_is_executed_once(world: World) -> None:
    plan = world.propose()
    policy.approve(world.ledger, plan, who="eve", why="the winter is another")
    assert world.execute(plan) == {"result": "promoted"}
    assert world.started == [world.plan.action.apply(world.case)]
    assert world.kinds() == ["proposed", "approved", "started", "finished"]
    started = world.ledger.entries()[2]
    assert started.detail["approval"] == 2
    with pytest.raises(RemediationError, match="executed already, in entry 3; a plan is used once"):
        world.execute(plan)
    with pytest.raises(RemediationError, match="executed already"):
        policy.approve(world.ledger, plan, who="eve", why="again")
    assert len(world.started) == 1


def test_without_an_approval_nothing_starts(world: World) -> None:
    with pytest.raises(RemediationError, match="not approved; the policy's action is ask"):
        world.execute(world.propose())
    assert not world.started


@pytest.mark.parametrize("who", ["pipeline", " Pipeline", "ｐipeline"])  # a full-width letter
def test_the_proposer_cannot_approve(world: World, who: str) -> None:
    plan = world.propose()
    with pytest.raises(RemediationError, match="proposed it; somebody else has to approve"):
        policy.approve(world.ledger, plan, who=who, why="I may")
    assert world.kinds() == ["proposed"]


@pytest.mark.parametrize("who", ["pipe\u200bline", "pipelıne", "рipeline"])  # Cyrillic, without a dot
def test_nobody_who_looks_like_the_proposer_can_approve(world: World, who: str) -> None:
    plan = world.propose()
    with pytest.raises(PersonError, match="who"):
        policy.approve(world.ledger, plan, who=who, why="I may")
    assert world.kinds() == ["proposed"]


def test_an_approval_ends_with_its_plan(world: World) -> None:
    plan = world.propose()
    policy.approve(world.ledger, plan, who="eve", why="yes")
    world.clock.now += LIFETIME
    with pytest.raises(RemediationError, match="expired at 2015-01-05"):
        world.execute(plan)
    assert not world.started


def test_an_expired_plan_cannot_be_approved(world: World) -> None:
    plan = world.propose()
    world.clock.now += LIFETIME + timedelta(seconds=1)
    with pytest.raises(RemediationError, match="expired"):
        policy.approve(world.ledger, plan, who="eve", why="late")


def test_an_approval_is_for_one_plan_and_one_state(world: World) -> None:
    plan = world.propose()
    policy.approve(world.ledger, plan, who="eve", why="yes")
    world.promote("b")
    with pytest.raises(RemediationError, match="the state is another now, version 2"):
        world.execute(plan)
    other = world.propose()
    assert other != plan
    with pytest.raises(RemediationError, match="not approved"):
        world.execute(other)
    with pytest.raises(RemediationError, match="no such plan"):
        policy.approve(world.ledger, plan[:12], who="eve", why="short")
    assert not world.started


def test_another_use_case_file_is_refused(world: World) -> None:
    plan = world.propose()
    policy.approve(world.ledger, plan, who="eve", why="yes")
    world.case = world.case.model_copy(update={"title": "Another"})
    with pytest.raises(RemediationError, match="made for another use case file"):
        world.execute(plan)


def test_a_new_use_case_file_gets_a_plan_of_its_own(world: World) -> None:
    old = world.propose()
    world.case = world.case.model_copy(update={"title": "Another"})
    new = world.propose()
    assert new != old
    assert world.propose() == new
    policy.approve(world.ledger, new, who="eve", why="yes")
    assert world.execute(new) == {"result": "promoted"}


def _entry(world: World, number: int) -> Path:
    return Path(world.url) / "remediation" / world.case.name / "entries" / f"{number:08d}.json"


def _alter(path: Path, change: Callable[[dict[str, Any]], None], seal: bool) -> None:
    from almanac.core.files import canonical_json, sha256_bytes

    value = json.loads(path.read_bytes())
    digest = value.pop("digest")
    change(value)
    value["digest"] = sha256_bytes(canonical_json(value)) if seal else digest
    path.chmod(0o644)
    path.write_bytes(canonical_json(value) + b"\n")


def _extend(value: dict[str, Any]) -> None:
    value["detail"]["expires"] = "2030-01-01T00:00:00+00:00"


def test_an_altered_approval_is_found(world: World) -> None:
    plan = world.propose()
    policy.approve(world.ledger, plan, who="eve", why="yes")
    _alter(_entry(world, 2), _extend, seal=False)
    with pytest.raises(RemediationError, match=r"00000002\.json: the entry was edited"):
        world.execute(plan)


def test_an_altered_and_sealed_approval_is_found_by_the_head(world: World) -> None:
    plan = world.propose()
    policy.approve(world.ledger, plan, who="eve", why="yes")
    _alter(_entry(world, 2), _extend, seal=True)
    with pytest.raises(RemediationError, match=r"another entry than head\.json records; one of them was rewritten"):
        world.execute(plan)


def test_an_altered_plan_breaks_the_chain(world: World) -> None:
    plan = world.propose()
    policy.approve(world.ledger, plan, who="eve", why="yes")
    _alter(_entry(world, 1), lambda v: v["detail"]["plan"]["action"].update(train="last 30d"), seal=True)
    with pytest.raises(RemediationError, match=r"00000002\.json: does not continue the chain"):
        world.execute(plan)


def test_a_plan_that_was_altered_before_its_chain_grew_is_not_its_digest(world: World) -> None:
    plan = world.propose()
    _alter(_entry(world, 1), lambda v: v["detail"]["plan"]["action"].update(train="last 30d"), seal=True)
    (_entry(world, 1).parents[1] / "head.json").unlink()
    with pytest.raises(RemediationError, match="altered; its digest is"):
        policy.approve(world.ledger, plan, who="eve", why="yes")


def test_a_truncated_log_is_found(world: World) -> None:
    plan = world.propose()
    policy.approve(world.ledger, plan, who="eve", why="yes")
    world.execute(plan)
    _entry(world, 4).unlink()
    with pytest.raises(RemediationError, match=r"00000004\.json: missing; the log was truncated .*the chain ends at 3"):
        world.ledger.entries()
    _entry(world, 3).unlink()
    with pytest.raises(RemediationError, match=r"the log was truncated .*the chain ends at 2"):
        world.execute(plan)
    assert len(world.started) == 1


def _together(actions: list[Callable[[], Any]]) -> list[Exception | None]:
    gate, results = threading.Barrier(len(actions)), [None] * len(actions)  # type: tuple[threading.Barrier, list[Any]]

    def act(place: int) -> None:
        gate.wait()
        try:
            actions[place]()
        except RemediationError as error:
            results[place] = error

    threads = [threading.Thread(target=act, args=(place,)) for place in range(len(actions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_of_approvals_at_once_one_is_taken(world: World) -> None:
    plan = world.propose()

    def approval(who: str) -> Callable[[], Any]:
        ledger = AuditLog(world.url, world.case.name, world.clock)
        return lambda: policy.approve(ledger, plan, who=who, why="yes")

    failures = _together([approval(f"person {n}") for n in range(6)])
    assert sum(failure is None for failure in failures) == 1
    assert all("approved it already" in str(failure) for failure in failures if failure)
    assert world.kinds() == ["proposed", "approved"]


def test_of_executions_at_once_one_starts(world: World) -> None:
    plan = world.propose()
    policy.approve(world.ledger, plan, who="eve", why="yes")
    failures = _together([lambda: world.execute(plan) for _ in range(6)])
    assert sum(failure is None for failure in failures) == 1
    assert len(world.started) == 1
    assert sorted(world.kinds()) == ["approved", "finished", "proposed", "started"]


def test_an_hourly_pipeline_asks_once(world: World) -> None:
    first = world.propose()
    world.clock.now += timedelta(hours=1)
    assert world.propose() == first
    assert world.kinds() == ["proposed"]


def test_after_a_rejection_it_rests(world: World) -> None:
    plan = world.propose()
    policy.reject(world.ledger, plan, who="eve", why="a holiday")
    with pytest.raises(RemediationError, match="eve rejected it, in entry 2"):
        policy.approve(world.ledger, plan, who="ann", why="yes")
    world.clock.now += timedelta(days=1)
    assert policy.propose(world.ledger, world.make(), world.case) is None
    world.clock.now += policy.rest(world.case)
    assert world.propose() != plan


def test_the_rate_is_limited(world: World) -> None:
    first = world.propose()
    world.promote("b")
    second = world.propose()
    for plan in (first, second):
        policy.approve(world.ledger, plan, who="eve", why="yes")
    world.execute(second)
    world.promote("c")
    third = world.make()
    assert policy.propose(world.ledger, third, world.case) is None
    world.clock.now += policy.rest(world.case)
    fresh = world.propose()
    policy.approve(world.ledger, fresh, who="eve", why="yes")
    assert world.execute(fresh)["result"] == "promoted"


def test_the_switch_stops_everything(world: World) -> None:
    plan = world.propose()
    policy.approve(world.ledger, plan, who="eve", why="yes")
    policy.switch(world.ledger, stop=True, who="eve", why="an incident")
    with pytest.raises(RemediationError, match="remediation is stopped; release it first"):
        world.execute(plan)
    policy.switch(world.ledger, stop=False, who="eve", why="over")
    assert world.execute(plan)["result"] == "promoted"


def test_a_failure_is_written_down_and_not_tried_again_by_itself(world: World) -> None:
    plan = world.propose()
    policy.approve(world.ledger, plan, who="eve", why="yes")

    def fail(case: UseCase) -> dict[str, Any]:
        raise TrainingError("no rows")

    with pytest.raises(TrainingError):
        world.execute(plan, fail)
    assert world.kinds()[-1] == "failed"
    with pytest.raises(RemediationError, match="executed already"):
        world.execute(plan, resume=True)


def test_what_a_crash_cut_off_is_resumed_only_when_asked(world: World) -> None:
    plan = world.propose()
    policy.approve(world.ledger, plan, who="eve", why="yes")

    def crash(case: UseCase) -> dict[str, Any]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        world.execute(plan, crash)
    assert world.kinds()[-1] == "started"
    with pytest.raises(RemediationError, match="executed already"):
        world.execute(plan)
    assert world.execute(plan, resume=True)["result"] == "promoted"
    assert world.kinds() == ["proposed", "approved", "started", "finished"]


def test_by_policy_it_starts_without_an_approval(tmp_path: Path) -> None:
    world = World(tmp_path, action="retrain")
    assert world.execute(world.propose())["result"] == "promoted"
    assert world.kinds() == ["proposed", "started", "finished"]


def test_the_component_asks_and_the_command_line_approves(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from typer.testing import CliRunner

    from orchestration.commands.plans import app

    document = tmp_path / "monitoring.json"
    document.write_text(json.dumps(world.document()))
    found = dsl.Artifact(uri=str(tmp_path / "plan.json"))
    monitoring = dsl.Artifact(uri=str(document))
    case = use_case_artifact(world.case, tmp_path)
    component.python_func(case, monitoring, "", world.url, "local", "runs", "", "", found)
    plan = json.loads(Path(found.path).read_text())
    assert plan["outcome"]["result"] == found.metadata["result"] == "asked"
    monkeypatch.setenv("ALMANAC_ACTOR", "eve")
    where, runner = ["--registry", world.url], CliRunner()
    listed = runner.invoke(app, ["list", world.case.name, *where])
    assert "split.train: expanding -> last 1460d" in listed.output
    approve = ["approve", world.case.name, plan["digest"], "--why", "yes", *where]
    assert runner.invoke(app, approve).exit_code == 0
    assert isinstance(runner.invoke(app, approve).exception, RemediationError)
    assert "2 entries, unbroken" in runner.invoke(app, ["verify", world.case.name, *where]).output
    with pytest.raises(RemediationError, match="there is no plan of 'mistyped'"):
        runner.invoke(app, ["verify", "mistyped", *where], catch_exceptions=False)


def test_on_a_cluster_the_training_pipeline_is_submitted_with_the_window(monkeypatch: pytest.MonkeyPatch) -> None:
    from almanac.usecase.override import load_with
    from almanac.usecase.packed import unpack
    from orchestration.retraining.start import on_cluster

    case = load_with(ROOT / "usecases" / "air_quality.yaml", ["split.train=last 1460d"])
    monkeypatch.setenv("KFP_TOKEN", TOKEN)
    with KubeflowApi() as server:
        first = on_cluster(training_pipeline, case, server.host, "s3://bucket/registry", "s3://bucket/sources")
        second = on_cluster(training_pipeline, case, server.host, "s3://bucket/registry", "s3://bucket/sources")
        runs = list(server.runs.values())
    assert [first["result"], second["result"]] == ["submitted", "submitted"]
    assert [first["run"], second["run"]] == [run["run_id"] for run in runs]
    assert len(server.versions) == 1
    given = runs[0]["runtime_config"]["parameters"]
    spec = next(iter(server.versions.values()))["pipeline_spec"]["pipeline_spec"]
    (carried,) = spec["deploymentSpec"]["executors"]["exec-preflight"]["container"]["env"]
    assert unpack(carried["value"]).split.train == "last 1460d"
    assert (given["registry"], given["environment"]) == ("s3://bucket/registry", "cluster")
    with pytest.raises(PipelineError, match="no Kubeflow Pipelines API answers there"):
        on_cluster(training_pipeline, case, server.host, "s3://bucket/registry", "")

"""A retraining of the agent on a Kubeflow: submitted once, judged once its run has ended, and kept through a kill."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from governance.registry import Registry
from operations.agent.followed import FollowedJournal
from operations.agent.policy import Policy
from operations.agent.site import Site
from operations.agent.work import Work
from orchestration.retraining import policy as retraining
from orchestration.retraining.audit_log import AuditLog, Draft, Entry
from pipelines import training_pipeline
from tests.support.agent_at_work import alarm, breached_site, the_step
from tests.support.agent_world import KilledError
from tests.support.bundles import document_files, version_files
from tests.support.kubeflow_api import TOKEN, KubeflowApi


class Kubeflow:
    """A retraining of the agent on a Kubeflow, approved and submitted."""

    def __init__(self, api: KubeflowApi, site: Site) -> None:
        rules = {"use_cases": {site.use_case: {**site.settings.model_dump(), "training": {"host": api.host}}}}
        policy = Policy.model_validate({**rules, "causes": {"bad_release": ["retrain"]}, "verify_seconds": 0.1})
        self.api, self.policy, self.site = api, policy, site
        api.run_states = [("RUNNING", {})]

    def start(self) -> Work:
        """Return the work of a new process."""
        name, registry = self.site.use_case, self.site.registry
        site = Site(name, self.policy, self.policy.use_cases[name], registry, self.site.runs, training_pipeline)
        return Work(site, FollowedJournal(registry, name), act=True)

    def ended(self, state: str) -> None:
        """Let the run end."""
        self.api.run_states = [(state, {})]


@pytest.fixture
def kubeflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kubeflow]:
    monkeypatch.setenv("KFP_TOKEN", TOKEN)
    with KubeflowApi() as api:
        yield Kubeflow(api, breached_site(tmp_path))


def submitted(kubeflow: Kubeflow) -> Work:
    """Return the work whose retraining is approved and submitted, and goes on."""
    work = kubeflow.start()
    work.note(alarm(work.site.use_case))
    work.advance()
    assert the_step(work).state == "proposed"
    retraining.approve(work.site.plans(), the_step(work).parameters["plan"], who="bob", why="looked at it")
    work.advance()
    assert (the_step(work).state, the_step(work).result["result"]) == ("finished", "submitted")
    time.sleep(2 * kubeflow.policy.verify_seconds)
    work.advance()
    assert the_step(work).state == "finished"
    return work


def test_a_retraining_on_kubeflow_helps_once_its_version_is_in_production(kubeflow: Kubeflow, tmp_path: Path) -> None:
    work = submitted(kubeflow)
    registry, name = Registry(work.site.registry), work.site.use_case
    files = version_files(tmp_path, "b")
    number = registry.register(name, files, who="eve", why="the run made it", approval="none")
    registry.attach_documents(name, number, document_files(tmp_path / "b", files), who="eve", why="documented")
    registry.promote(name, number, who="eve", why="better")
    kubeflow.ended("SUCCEEDED")
    work.advance()
    assert the_step(work).state == "verified"
    (run,) = kubeflow.api.runs.values()
    assert run["display_name"] == f"retraining-{the_step(work).parameters['plan'][:12]}"
    assert run["runtime_config"]["parameters"]["registry"] == work.site.registry


@pytest.mark.parametrize("state", ["FAILED", "SUCCEEDED"])
def test_a_run_that_fails_or_whose_gate_closes_has_not_helped(kubeflow: Kubeflow, state: str) -> None:
    work = submitted(kubeflow)
    kubeflow.ended(state)
    work.advance()
    assert the_step(work).state == "failed"


@pytest.mark.parametrize("killed", ["before the log has it", "before the journal has it"])
def test_killed_after_a_submission_it_submits_no_second_run(
    kubeflow: Kubeflow, killed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = kubeflow.start()
    work.note(alarm(work.site.use_case))
    work.advance()
    retraining.approve(work.site.plans(), the_step(work).parameters["plan"], who="bob", why="looked at it")
    log = AuditLog if killed == "before the log has it" else FollowedJournal
    append = log.append

    def die(self: AuditLog, propose: Callable[[list[Entry]], Draft | None]) -> Entry | None:
        draft = propose(self.entries())
        if draft is not None and draft.kind == "finished" and type(self) is log:
            raise KilledError
        return append(self, propose)

    with monkeypatch.context() as patched, pytest.raises(KilledError):
        patched.setattr(log, "append", die)
        work.advance()
    assert len(kubeflow.api.runs) == 1
    again = kubeflow.start()
    again.advance()
    assert the_step(again).result["result"] == "submitted"
    assert list(kubeflow.api.runs) == [the_step(again).result["run"]]

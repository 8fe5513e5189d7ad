"""An agent on one use case whose action a person approves, and which then finds whether it has helped."""

from pathlib import Path
from typing import Any

from almanac.core.files import write_json
from governance.registry import Registry
from operations.agent import approvals
from operations.agent.alarms import Alarm
from operations.agent.followed import FollowedJournal
from operations.agent.ledger import Step
from operations.agent.policy import Policy
from operations.agent.site import Site
from operations.agent.work import Work
from tests.support.bundles import document_files, version_files
from tests.support.server import ROOT, wait_for

#: Digest of an action.
KEY = "a" * 64


def begun(folder: Path, action: str, use_case: str = "air", **settings: Any) -> Work:
    """Return the work that has carried an action out, after an approval where it asks for one.

    Args:
        folder: of registry and runs.
        action: name of the action, the only one of the policy.
        use_case: name of the use case.
        settings: of the use case, as a policy has them.
    """
    rules = {"use_cases": {use_case: settings}, "causes": {"bad_release": [action]}, "verify_seconds": 0.3}
    policy, registry = Policy.model_validate(rules), str(folder / "registry")
    site = Site(use_case, policy, policy.use_cases[use_case], registry, folder / "runs")
    work = Work(site, FollowedJournal(registry, use_case), act=True)
    work.note(alarm(use_case))
    work.advance()
    step = the_step(work)
    if step.risk == "risky":
        assert step.state == "proposed"
        approvals.approve(work.journal, step.key, who="bob", why="looked at it")
        work.advance()
    assert the_step(work).state in ("finished", "verified"), [entry.why for entry in work.journal.entries()]
    return work


def alarm(use_case: str, state: str = "firing") -> Alarm:
    """Return an alarm that speaks for a bad release."""
    words = ("AlmanacCanaryFailed", use_case, state, "page", "2026-01-05T12:00:00Z", "the canary has failed")
    return Alarm("alertmanager", *words, {"area": "serving"})


def helped(work: Work) -> None:
    """Let the alarm end, and see that the action is kept."""
    work.note(alarm(work.site.use_case, "resolved"))
    work.advance()
    assert the_step(work).state == "verified"


def not_helped(work: Work) -> None:
    """Let the time of the action pass, and see that it is undone."""

    def undone() -> bool:
        work.advance()
        return the_step(work).state == "undone"

    wait_for(undone)


def the_step(work: Work) -> Step:
    """Return the only action of the journal."""
    (step,) = work.ledger().steps.values()
    return step


def site_of(folder: Path, name: str = "air", **settings: Any) -> Site:
    """Return the place of actions on one use case."""
    policy = Policy.model_validate({"use_cases": {name: settings}, "causes": {}})
    return Site(name, policy, policy.use_cases[name], str(folder / "registry"), folder / "runs")


def breached_site(tmp_path: Path) -> Site:
    """Return the place of actions on the reference use case, with a version in production and a breach."""
    name, registry = "air_quality", Registry(str(tmp_path / "registry"))
    files = version_files(tmp_path, "a")
    number = registry.register(name, files, who="ann", why="made", approval="none")
    registry.attach_documents(name, number, document_files(tmp_path / "a", files), who="ann", why="documented")
    registry.promote(name, number, who="ann", why="better")
    write_breach(tmp_path / "runs", name, "iws drifts")
    return site_of(tmp_path, name, file=str(ROOT / "usecases" / "air_quality.yaml"))


def write_breach(runs: Path, use_case: str, reason: str) -> None:
    """Write the result of a monitoring whose newest window has a breach."""
    span = {"start": "2014-12-02T00:00:00", "stop": "2015-01-01T00:00:00"}
    window = {**span, "breach": True, "reasons": [reason], "targets": {}}
    document = {"kind": "monitoring", "use_case": use_case, "breached": True, "windows": [window]}
    write_json(runs / use_case / "monitoring" / "latest" / "monitoring.json", document)

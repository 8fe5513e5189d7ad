"""An agent on one use case whose action a person approves, and which then finds whether it has helped."""

from pathlib import Path
from typing import Any

from operations.agent import approvals
from operations.agent.alarms import Alarm
from operations.agent.followed import FollowedJournal
from operations.agent.ledger import Step
from operations.agent.policy import Policy
from operations.agent.site import Site
from operations.agent.work import Work
from tests.support.server import wait_for


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

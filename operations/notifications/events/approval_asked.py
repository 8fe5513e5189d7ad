"""A version, a plan of a retraining or an action of the agent that waits for a person's approval."""

import json
from collections.abc import Iterator
from datetime import datetime

from operations.agent.ledger import Step, read_ledger
from operations.history.tables import ACTIONS, EVENTS, PLANS, VERSIONS
from operations.journal import entry_of_row
from operations.notifications.message import Message
from operations.notifications.scene import Row, Scene, minute


def approval_asked(scene: Scene) -> Iterator[Message]:
    """Yield a message for everything that waits for an approval now."""
    yield from _versions(scene)
    yield from (_plan(scene, row) for row in scene.rows(PLANS, "created") if _is_open(row, scene))
    yield from (_action(scene, step) for step in _open_actions(scene))


def _versions(scene: Scene) -> Iterator[Message]:
    waiting = {row["number"]: row for row in scene.rows(VERSIONS, "registered", since=False)}
    # Documents that were exchanged need another approval, and are news.
    asked = {row["version"]: row for row in scene.rows(EVENTS, "when") if row["kind"] == "documented"}
    for number, event in asked.items():
        if waiting[number]["status"] == "awaits approval":
            proposer = waiting[number]["proposer"]
            yield Message(
                kind="approval_asked",
                use_case=scene.name,
                identity=event["digest"],
                title=f"Version {number} waits for an approval",
                lines=(
                    f"Proposed by {proposer}, documented {minute(event['when'])}; somebody else has to approve it.",
                ),
                link=scene.version_link(number),
                command=scene.command("registry", "approve", f"{scene.name}/{number}", why=True),
                when=event["when"],
                facts={"version": number, "proposer": proposer},
            )


def _is_open(plan: Row, scene: Scene) -> bool:
    return plan["status"] == "open" and datetime.fromisoformat(plan["expires"]) > scene.now


def _plan(scene: Scene, plan: Row) -> Message:
    return Message(
        kind="approval_asked",
        use_case=scene.name,
        identity=plan["digest"],
        title="A plan of a retraining waits for an approval",
        lines=(
            f"Proposed by {plan['proposer']}, open until {minute(plan['expires'])}.",
            *json.loads(plan["reasons"]),
            *json.loads(plan["difference"]),
        ),
        link=scene.page_link("agent", f"plan-{plan['digest'][:12]}"),
        command=scene.command("plans", "approve", scene.name, plan["digest"], why=True),
        when=plan["created"],
        facts={"plan": plan["digest"], "expires": plan["expires"]},
    )


def _open_actions(scene: Scene) -> list[Step]:
    """Return the actions that wait for an approval of their own; that of a retraining is asked for its plan."""
    ledger = read_ledger(scene.name, map(entry_of_row, scene.rows(ACTIONS, "when")))
    return [step for step in ledger.steps.values() if step.waits and step.expires > scene.now]


def _action(scene: Scene, step: Step) -> Message:
    return Message(
        kind="approval_asked",
        use_case=scene.name,
        identity=step.key,
        title=f"The agent's action {step.action} waits for an approval",
        lines=(
            step.proposal.why,
            f"Proposed by {step.proposal.who}, open until {minute(step.expires.isoformat())}.",
        ),
        link=scene.page_link("agent"),
        command=scene.command("agent", "approve", scene.name, step.key, why=True),
        when=step.proposal.when,
        facts={"action": step.key, "name": step.action, "expires": step.proposal.detail["expires"]},
    )

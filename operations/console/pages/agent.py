"""The page of the agent: diagnoses with their evidence, actions, plans of retrainings, alarms and notifications."""

from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from operations.agent.ledger import Step, read_ledger
from operations.console import queries
from operations.console.rendering import loads, moment
from operations.console.room import Room, page, room_of, session_of
from operations.journal import entry_of_row
from orchestration.retraining import policy
from orchestration.retraining.audit_log import AuditLog

#: Diagnoses and actions that are shown as a whole; the table below has all of them.
_SHOWN = 20


def agent(request: Request) -> Response:
    """Answer with the page of the agent."""
    room = room_of(request)
    use_case = room.use_case(request)
    values = room.memory.answer(("agent", use_case), lambda: _read(room, use_case))
    now, session = datetime.now(UTC), session_of(request)
    plans = [{**plan, "live": datetime.fromisoformat(plan["expires"]) > now} for plan in values["plans"]]
    asked = [{**step, "live": step["waits"] and step["expires"] > now} for step in values["steps"]]
    acts = {"stop": "stop", "plan": "approve-plan", "action": "approve-action", "switch": "stop-agent"}
    may = {name: bool(session and session.user.may(act)) for name, act in acts.items()}
    return page(request, "agent.html.j2", "Agent", **values | {"plans": plans, "steps": asked, "may": may})


def _read(room: Room, use_case: str) -> dict[str, Any]:
    entries = AuditLog(room.registry, use_case).entries() if use_case else []
    rows = queries.actions(room.engine, use_case)
    ledger = read_ledger(use_case, map(entry_of_row, reversed(rows)))
    return {
        "stopped": policy.stopped(entries),
        "agent_stopped": ledger.stopped,
        "diagnoses": [_diagnosis(row) for row in rows if row["kind"] == "diagnosed"][:_SHOWN],
        "steps": [_step(step) for step in reversed(ledger.steps.values())][:_SHOWN],
        "plans": queries.plans(room.engine, use_case),
        "actions": [
            [row["number"], moment(row["when"]), row["kind"].replace("_", " "), row["who"], row["why"]] for row in rows
        ],
        "alarms": [
            [moment(row["when"]), row["name"], row["state"], row["severity"], row["summary"]]
            for row in queries.alarms(room.engine, use_case)
        ],
        "notifications": [
            [moment(row["when"]), row["channel"], row["outcome"], row["summary"]]
            for row in queries.notifications(room.engine, use_case)
        ],
    }


def _diagnosis(row: dict[str, Any]) -> dict[str, Any]:
    detail = loads(row["detail"])
    return {
        "when": moment(row["when"]),
        "alarm": detail.get("evidence", {}).get("alarm", ""),
        "why": row["why"],
        "causes": detail.get("causes", []),
        "notes": detail.get("evidence", {}).get("notes", []),
    }


def _step(step: Step) -> dict[str, Any]:
    return {
        "digest": step.key,
        "action": step.action,
        "state": step.state,
        "risk": step.risk,
        "why": step.proposal.why,
        "proposer": step.proposal.who,
        "when": moment(step.proposal.when),
        "until": moment(step.expires.isoformat()),
        "expires": step.expires,
        "parameters": [f"{name}: {value}" for name, value in step.parameters.items()],
        "inverse": step.proposal.detail["inverse"],
        "waits": step.waits,
    }

"""The page of the agent: plans of retrainings, diagnoses, actions, alarms and notifications."""

from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from operations.console import queries
from operations.console.rendering import moment
from operations.console.room import Room, page, room_of, session_of
from orchestration.retraining import policy
from orchestration.retraining.audit_log import AuditLog


def agent(request: Request) -> Response:
    """Answer with the page of the agent."""
    room = room_of(request)
    use_case = room.use_case(request)
    values = room.memory.answer(("agent", use_case), lambda: _read(room, use_case))
    now, session = datetime.now(UTC), session_of(request)
    plans = [{**plan, "live": datetime.fromisoformat(plan["expires"]) > now} for plan in values["plans"]]
    may = {
        "stop": bool(session and session.user.may("stop")),
        "plan": bool(session and session.user.may("approve-plan")),
    }
    return page(request, "agent.html.j2", "Agent", **values | {"plans": plans, "may": may})


def _read(room: Room, use_case: str) -> dict[str, Any]:
    entries = AuditLog(room.registry, use_case).entries() if use_case else []
    return {
        "stopped": policy.stopped(entries),
        "plans": queries.plans(room.engine, use_case),
        "actions": [
            [row["number"], moment(row["when"]), row["kind"], row["who"], row["why"]]
            for row in queries.actions(room.engine, use_case)
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

"""A thousand random histories: no risky action without the approval of another person, and none twice."""

import contextlib
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from almanac.core.errors import AlmanacError
from almanac.core.people import same_person
from operations.agent import approvals
from operations.agent.work import Work
from orchestration.retraining.audit_log import Entry
from tests.support.agent_world import AgentWorld, KilledError, agent_world, policy_of

WHO = ("almanac-agent", "Almanac-Agent ", "bob", "eve")
POLICIES: tuple[dict[str, Any], ...] = (
    {},
    {"causes": {"store": ["rollback", "reload_model"]}},
    {"actions": {"reload_model": {"risk": "risky", "per_day": 1}}},
    {"actions": {"rollback": {"per_day": 0}}},
    {"stop": True},
    {"quiet_hours": {"begin": "12:00", "end": "18:00", "allowed": ["reload_model"]}},
    {"approval_hours": 1.0},
)
NUMBER = st.integers(0, 3)
EVENTS = st.one_of(
    st.tuples(st.just("alarm"), NUMBER, st.sampled_from(["firing", "resolved"])),
    st.tuples(st.just("advance"), NUMBER, NUMBER),
    st.tuples(st.just("approve"), NUMBER, st.sampled_from(WHO)),
    st.tuples(st.just("reject"), NUMBER, st.sampled_from(WHO)),
    st.tuples(st.just("switch"), NUMBER, st.booleans()),
    st.tuples(st.just("later"), st.sampled_from([1, 130, 4_000, 30_000, 300_000]), NUMBER),
    st.tuples(st.just("kill"), st.integers(0, 12), NUMBER),
    st.tuples(st.just("policy"), st.integers(0, len(POLICIES) - 1), NUMBER),
    st.tuples(st.just("cured"), NUMBER, st.booleans()),
    st.tuples(st.just("broken"), NUMBER, st.booleans()),
)


@settings(max_examples=1000, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(EVENTS, min_size=5, max_size=25))
def test_no_risky_action_without_an_approval_and_no_action_twice(events: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as folder, agent_world(Path(folder)) as world:
        one = world.start()
        one.note(world.alarm())
        for event in events:
            with contextlib.suppress(AlmanacError):
                one = happen(world, one, event)
        one.advance()
        check(world, world.journal.entries())


def happen(world: AgentWorld, one: Work, event: Any) -> Work:
    """Let an event happen, and return the work of the process that lives then."""
    kind, number, word = event
    keys = list(one.ledger().steps)
    key = keys[number % len(keys)] if keys else "0" * 64
    match kind:
        case "alarm":
            one.note(world.alarm(f"2026-01-0{number + 1}", state=word))
        case "advance":
            one.advance()
        case "approve":
            approvals.approve(world.journal, key, who=word, why="an approval")
        case "reject":
            approvals.reject(world.journal, key, who=word, why="a rejection")
        case "switch":
            approvals.switch(world.journal, stop=word, who="olga", why="a switch")
        case "later":
            world.later(seconds=number)
        case "policy":
            world.policy = policy_of(**POLICIES[number])
            return world.start()
        case "kill":
            return killed(world, one, number)
        case _:
            setattr(world.effects, kind, word)
    return one


def killed(world: AgentWorld, one: Work, left: int) -> Work:
    """Kill the process at one of its next entries or effects, and start another."""

    def kill(where: str) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise KilledError(where)

    world.kills = kill
    with contextlib.suppress(KilledError):
        one.advance()
    world.kills = lambda where: None
    return world.start()


def check(world: AgentWorld, entries: list[Entry]) -> None:
    """Check every entry that began an action against those before it, without the agent's own rules."""
    began = [entry for entry in entries if entry.kind == "started"]
    assert len({entry.plan for entry in began}) == len(began)
    assert set(world.effects.done) <= {entry.plan for entry in began}
    assert all(count == 1 for count in world.effects.done.values())
    for entry in began:
        before = entries[: entry.number - 1]
        proposal = next(each for each in before if each.kind == "proposed" and each.plan == entry.plan)
        switches = [each.kind for each in before if each.kind in ("stopped", "released")]
        assert switches[-1:] != ["stopped"]
        assert not [each for each in before if each.kind == "rejected" and each.plan == entry.plan]
        if proposal.detail["action"] != "rollback" and proposal.detail["risk"] == "safe":
            continue
        approved = [each for each in before if each.kind == "approved" and each.plan == entry.plan]
        assert len(approved) == 1
        assert not same_person(approved[0].who, proposal.who)
        assert approved[0].who in ("bob", "eve")
        assert approved[0].detail["parameters"] == proposal.detail["parameters"]
        assert entry.time - proposal.time <= timedelta(hours=72)

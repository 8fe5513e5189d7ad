"""What the agent does: once, within its limits, verified or undone, and after a kill from where it was."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from almanac.core.errors import RemediationError
from operations.agent import approvals
from tests.support.agent_world import AgentWorld, KilledError, agent_world, policy_of


@pytest.fixture
def world(tmp_path: Path) -> Iterator[AgentWorld]:
    with agent_world(tmp_path) as world:
        yield world


def proposed(world: AgentWorld, action: str) -> str:
    return next(e.plan for e in world.journal.entries() if e.kind == "proposed" and e.detail["action"] == action)


def test_a_safe_action_follows_at_once_and_is_verified(world: AgentWorld) -> None:
    one = world.start()
    one.note(world.alarm())
    one.advance()
    assert world.kinds() == ["alarm", "diagnosed", "proposed", "started", "finished"]
    world.effects.cured = True
    one.advance()
    assert world.kinds()[-1] == "verified"
    one.advance()
    assert sum(world.effects.done.values()) == 1
    assert world.journal.entries()[3].detail == {"before": {"level": 0}}


def test_an_action_that_does_not_help_is_undone_and_a_risky_one_asks(world: AgentWorld) -> None:
    one = world.start()
    one.note(world.alarm())
    one.advance()
    world.later(seconds=121)
    one.advance()
    assert world.kinds()[5:] == ["undoing", "undone", "proposed"]
    assert (world.effects.level, sum(world.effects.undone.values())) == (0, 1)
    one.advance()
    assert sum(world.effects.done.values()) == 1
    approvals.approve(world.journal, proposed(world, "rollback"), who="bob", why="looked at it")
    one.advance()
    assert world.kinds()[8:] == ["approved", "started", "finished"]
    assert world.journal.entries()[9].detail["approval"] == 9
    world.later(seconds=121)
    one.advance()
    assert world.kinds()[11:] == ["undoing", "undone", "gave_up"]


def test_who_approves_is_somebody_else_and_in_time(world: AgentWorld) -> None:
    one = world.start()
    one.note(world.alarm())
    one.advance()
    world.later(seconds=121)
    one.advance()
    key = proposed(world, "rollback")
    for who, message in (("Almanac-Agent", "somebody else"), ("almanac-аgent", "who is"), ("almanac-agemt ", "")):
        if message:
            with pytest.raises((RemediationError, ValueError), match=message):
                approvals.approve(world.journal, key, who=who, why="by myself")
    with pytest.raises(RemediationError, match="no such action"):
        approvals.approve(world.journal, key[:12], who="bob", why="short")
    world.later(hours=73)
    with pytest.raises(RemediationError, match="expired"):
        approvals.approve(world.journal, key, who="bob", why="late")
    one.advance()
    assert world.kinds()[-2:] == ["rejected", "gave_up"]
    assert sum(world.effects.done.values()) == 1


def test_an_approval_holds_for_the_action_as_it_was_read(world: AgentWorld) -> None:
    one = world.start()
    one.note(world.alarm())
    one.advance()
    world.later(seconds=121)
    one.advance()
    step = one.ledger().steps[proposed(world, "rollback")]
    approvals.approve(world.journal, step.key, who="bob", why="looked at it")
    approved = one.ledger().steps[step.key]
    assert approvals.is_approved(approved, world.now)
    assert approved.approval is not None
    approved.approval.detail["parameters"] = {"by": 100}
    assert not approvals.is_approved(approved, world.now)


def test_limits_quiet_hours_and_switches_hold_it_back(world: AgentWorld) -> None:
    world.policy = policy_of(actions={"reload_model": {"per_day": 1}}, quiet_hours={"begin": "11:00", "end": "13:00"})
    one = world.start()
    one.note(world.alarm())
    one.advance()
    assert world.kinds() == ["alarm", "diagnosed", "proposed"]
    world.later(hours=2)
    approvals.switch(world.journal, stop=True, who="olga", why="an incident")
    one.advance()
    assert world.kinds()[3:] == ["stopped"]
    approvals.switch(world.journal, stop=False, who="olga", why="over")
    one.advance()
    assert world.kinds()[4:] == ["released", "started", "finished"]
    world.effects.cured = True
    one.advance()
    world.effects.cured = False
    one.note(world.alarm("2026-01-06"))
    one.advance()
    # The limit of the day is reached, so that the next action of the policy is asked for.
    assert [entry.detail["action"] for entry in world.journal.entries() if entry.kind == "proposed"] == [
        "reload_model",
        "rollback",
    ]


def test_a_refusal_is_noted_without_its_secret(world: AgentWorld) -> None:
    world.effects.broken = True
    one = world.start()
    one.note(world.alarm())
    one.advance()
    failed = [entry for entry in world.journal.entries() if entry.kind == "failed"]
    assert [entry.why for entry in failed] == ["refused: password=***"]


def test_an_alarm_that_ends_by_itself_withdraws_what_was_not_begun(world: AgentWorld) -> None:
    world.policy = policy_of(actions={"reload_model": {"risk": "risky"}})
    one = world.start()
    one.note(world.alarm())
    one.advance()
    one.note(world.alarm(state="resolved"))
    one.advance()
    assert world.kinds() == ["alarm", "diagnosed", "proposed", "alarm", "rejected"]


def places(folder: Path) -> int:
    """Return how many places there are at which the agent can be killed on its way."""
    count = 0

    def look(where: str) -> None:
        nonlocal count
        count += 1

    with agent_world(folder) as world:
        world.kills = look
        live(world)
    return count


def live(world: AgentWorld) -> None:
    """Live through an alarm whose first action does not help, and whose second one is approved and helps."""
    one = world.start()
    one.note(world.alarm())
    one.advance()
    world.later(seconds=121)
    one.advance()
    ledger = one.ledger()
    waiting = [step for step in ledger.steps.values() if step.state == "proposed" and step.risk == "risky"]
    for step in waiting:
        approvals.approve(world.journal, step.key, who="bob", why="looked at it")
        # The second action is the right one.
        world.effects.cured = True
    one.advance()


def test_killed_anywhere_it_goes_on_and_does_nothing_twice(tmp_path: Path) -> None:
    count = places(tmp_path / "count")
    assert count > 20
    for at in range(count):
        left = at

        def kill(where: str) -> None:
            nonlocal left
            left -= 1
            if left == -1:
                raise KilledError(where)

        with agent_world(tmp_path / str(at)) as world:
            world.kills = kill
            with pytest.raises(KilledError):
                live(world)
            # A new process over the same journal and the same system.
            for _ in range(3):
                live(world)
            assert Counter(world.effects.done.values()) == {1: 2}, at
            kinds = Counter((entry.kind, entry.plan) for entry in world.journal.entries())
            once = {"proposed", "started", "finished", "verified", "undoing", "undone", "diagnosed", "gave_up"}
            assert all(number == 1 for (kind, _), number in kinds.items() if kind in once), at
            assert world.effects.level == 1, at
            assert world.kinds()[-1] == "verified", at

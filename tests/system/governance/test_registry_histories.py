"""Random histories of a registry: honest people, and somebody who appends whatever the code lets them."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from almanac.core.errors import AlmanacError
from almanac.core.people import same_person
from governance.registry import Event, Policy, Registry, State
from governance.registry.events import event_chain
from governance.registry.fold import advance
from tests.support.bundles import document_files, version_files
from tests.support.forgery import forge
from tests.support.memory_store import MemoryStore
from tests.support.ticking import Ticking

PEOPLE = st.sampled_from(["ann", "ANN", "bob", "Bob ", "cat", "eve"])
NUMBERS = st.integers(1, 4)
POLICIES = st.builds(
    Policy,
    approval=st.sampled_from(["none", "required"]),
    approvers=st.sampled_from([(), ("bob",), ("bob", "cat"), ("ann", "eve")]),
)
STAGES = st.sampled_from(["staging", "production"])


class Histories(RuleBasedStateMachine):
    """Operations in any order; the invariants are what the registry promises."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.store = MemoryStore()
        self.clock = Ticking()
        self.registry = self.reader()
        self.marks = 0
        self.files: dict[int, dict[str, Path]] = {}

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    def reader(self) -> Registry:
        registry = Registry(self.folder, clock=self.clock)
        registry.store = self.store
        return registry

    def attempt(self, act: Any) -> bool:
        """Do something that may be refused; a refusal leaves every event as it was."""
        before = self.events()
        try:
            act()
        except AlmanacError:
            # A policy that a legacy chain lacked may be written before the event that is then refused.
            assert self.events() == before
            return False
        return True

    def events(self) -> dict[str, bytes]:
        return {key: data for key, data in self.store.objects.items() if "/events/" in key or "head" in key}

    @initialize(who=PEOPLE, approval=st.sampled_from(["none", "required"]))
    def begin(self, who: str, approval: str) -> None:
        self.register(who, approval, True)

    @precondition(lambda self: len(self.files) < 4)
    @rule(who=PEOPLE, approval=st.sampled_from(["none", "required"]), passed=st.sampled_from([True, True, True, False]))
    def register(self, who: str, approval: str, passed: bool) -> None:
        self.marks += 1
        files = version_files(self.folder, f"m{self.marks}", passed)
        number = self.registry.register("demo", files, who=who, why="register", approval=approval)
        self.files[number] = files

    @rule(number=NUMBERS, who=PEOPLE, text=st.sampled_from(["first", "second"]))
    def document(self, number: int, who: str, text: str) -> None:
        files = self.files.get(number)
        if files is not None:
            documents = document_files(self.folder / f"d{number}", files, text)
            self.attempt(lambda: self.registry.attach_documents("demo", number, documents, who=who, why="document"))

    @rule(number=NUMBERS, stage=STAGES, first=PEOPLE, second=PEOPLE)
    def release(self, number: int, stage: str, first: str, second: str) -> None:
        """Do all that a promotion takes, as chance alone seldom does."""
        self.document(number, "ann", "first")
        self.approve(number, first)
        self.approve(number, second)
        self.promote(number, "ann", stage)

    @rule(number=NUMBERS, who=PEOPLE)
    def approve(self, number: int, who: str) -> None:
        self.attempt(lambda: self.registry.approve("demo", number, who=who, why="approve"))

    @rule(number=NUMBERS, who=PEOPLE)
    def reject(self, number: int, who: str) -> None:
        self.attempt(lambda: self.registry.reject("demo", number, who=who, why="reject"))

    @rule(number=NUMBERS, who=PEOPLE, stage=STAGES)
    def promote(self, number: int, who: str, stage: str) -> None:
        self.attempt(lambda: self.registry.promote("demo", number, stage, who=who, why="promote"))

    @rule(number=NUMBERS, who=PEOPLE)
    def demote(self, number: int, who: str) -> None:
        self.attempt(lambda: self.registry.demote("demo", number, who=who, why="demote"))

    @rule(who=PEOPLE)
    def roll_back(self, who: str) -> None:
        self.attempt(lambda: self.registry.rollback("demo", who=who, why="back"))

    @rule(policy=POLICIES, who=PEOPLE)
    def set_policy(self, policy: Policy, who: str) -> None:
        before = self.registry.policy("demo")
        if self.attempt(lambda: self.registry.set_policy("demo", policy, who=who, why="policy")):
            after = self.registry.policy("demo")
            assert after == before or before.approval == "none", "one person changed a policy that asks for two"

    @rule(who=PEOPLE)
    def approve_policy(self, who: str) -> None:
        state = self.registry.state("demo")
        if state.proposal is None:
            return
        digest = state.proposal.policy.digest
        if self.attempt(lambda: self.registry.approve_policy("demo", digest, who=who, why="policy")):
            assert not same_person(who, state.proposal.who)
            assert state.in_force().may_approve(who)

    @rule(number=NUMBERS, who=PEOPLE, alias=st.sampled_from(["champion", "challenger"]))
    def alias(self, number: int, who: str, alias: str) -> None:
        self.attempt(lambda: self.registry.set_alias("demo", number, alias, who=who, why="alias"))

    @rule(
        kind=st.sampled_from(Event.KINDS), number=st.integers(0, 5), who=PEOPLE, stage=STAGES, policy=POLICIES,
        about=NUMBERS, minutes=st.sampled_from([-10, -4, 0, 3, 10]), data=st.data(),
    )  # fmt: skip
    def forge_event(
        self,
        kind: str,
        number: int,
        who: str,
        stage: str,
        policy: Policy,
        about: int,
        minutes: int,
        data: st.DataObject,
    ) -> None:
        """Append what may look right; a reader accepts it only if it is right, and the invariants go on holding."""
        state = self.registry.state("demo")
        entry = state.versions.get(about)
        detail: dict[str, Any] = {
            "manifest": entry.manifest if entry else "0" * 64,
            "documents": entry.documents if entry else None,
            "model": entry.model if entry else "0" * 64,
            "approval": data.draw(st.sampled_from(["none", "required"])),
            "gate_passed": data.draw(st.booleans()),
            "stage": stage,
            "alias": "champion",
            "key": "k",
            "value": "v",
            "text": "t",
            "policy": policy.to_dict() if kind != "policy_approved" else policy.digest,
            "proposal": state.proposal.event if state.proposal else 1,
            "source": "registration",
        }
        if kind == "documented" and entry and entry.documents:
            detail["manifest"] = entry.documents
        before = dict(self.store.objects)
        changes: dict[str, Any] = {"who": who}
        if state.last is not None:
            shifted = Ticking(state.last.time)
            shifted.now = state.last.time.replace(minute=(state.last.time.minute + minutes) % 60)
            changes["when"] = shifted.now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        forge(self.registry, kind, number, detail, **changes)
        try:
            self.reader().state("demo")
        except AlmanacError:
            self.store.objects = before
            self.registry._states.clear()

    @invariant()
    def every_reader_sees_the_same(self) -> None:
        fresh = self.reader().state("demo")
        assert fresh == self.registry.state("demo")
        step = State("demo")
        for event in event_chain(self.store, "demo").read():
            step = advance(step, event)
            self.holds(step, event)
        assert step == fresh

    def holds(self, state: State, event: Event) -> None:
        """Check what must be true after each event."""
        occupied = [entry.stage for entry in state.versions.values() if entry.stage in ("staging", "production")]
        assert len(occupied) == len(set(occupied))
        assert len({entry.manifest for entry in state.versions.values()}) == len(state.versions)
        for entry in state.versions.values():
            assert not any(same_person(each.who, entry.proposer) for each in entry.approvals)
            assert not (entry.rejected and (entry.stage in ("staging", "production") or state.aliases_of(entry.number)))
            if entry.stage in ("staging", "production"):
                assert entry.gate_passed
                assert entry.documents
        if event.kind == "promoted" and event.detail["stage"] == "production":
            entry = state.versions[event.version]
            assert state.counted(entry) or not state.needs_approval(entry)
        if event.kind == "registered" and state.policy is not None:
            assert (state.versions[event.version].policy, state.policy.approval) != ("none", "required")


Histories.TestCase.settings = settings(
    max_examples=30, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)
TestHistories = Histories.TestCase

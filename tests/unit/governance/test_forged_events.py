"""Forged events: every sort that an attacker with the code and write access can append is refused by every reader."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from almanac.core.errors import AlmanacError, RegistryError
from governance.registry import Policy, Registry
from governance.registry.events import event_chain
from governance.registry.fold import CLOCK_TOLERANCE
from governance.registry.versions import put_files
from tests.support.bundles import documented_version, version_files
from tests.support.forgery import forge, forged_documents, forged_registration
from tests.support.ticking import Ticking


@pytest.fixture(scope="module")
def unforged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, datetime]:
    """The folder of a registry and its versions, and the time at which its clock stands."""
    folder, clock = tmp_path_factory.mktemp("unforged"), Ticking()
    registry = Registry(folder / "registry", clock=clock)
    one = documented_version(registry, folder, "a", approval="required")
    registry.approve("demo", one, who="bob", why="read it")
    registry.promote("demo", one, who="ann", why="go")
    documented_version(registry, folder, "b", approval="required")
    return folder, clock.now


@pytest.fixture
def registry(unforged: tuple[Path, datetime], tmp_path: Path) -> Registry:
    """A registry with an approved version in production and a second one that waits for its approval."""
    folder, now = unforged
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    return Registry(tmp_path / "registry", clock=Ticking(now))


def refused(registry: Registry, message: str) -> None:
    """Check that each way of reading refuses the chain, and that nobody can go on writing to it."""
    reader = Registry(registry.store.url, clock=registry._clock)
    for attempt in (
        lambda: reader.current("demo"),
        lambda: reader.version("demo", 1),
        lambda: reader.verify("demo"),
        reader.use_cases,
        lambda: registry.state("demo"),
        lambda: reader.demote("demo", 1, who="ann", why="stop"),
    ):
        with pytest.raises(RegistryError, match=message):
            attempt()


def binding(registry: Registry, number: int) -> dict[str, Any]:
    entry = registry.version("demo", number)
    return {"manifest": entry.manifest, "documents": entry.documents}


class TestRegistrations:
    def test_an_existing_manifest_without_its_approval(self, registry: Registry) -> None:
        """The forgery that was tried first: registered again with `approval: none`, documented, promoted."""
        entry, bound = registry.version("demo", 2), binding(registry, 2)
        detail = {"manifest": entry.manifest, "model": entry.model, "approval": "none", "gate_passed": True}
        forge(registry, "registered", 3, detail)
        forge(registry, "documented", 3, {"manifest": entry.documents})
        forge(registry, "promoted", 3, {**bound, "stage": "production"})
        refused(
            registry, "event 8 breaks a rule: version 3 is registered with approval none; the registry's policy asks"
        )

    def test_an_existing_manifest_a_second_time(self, registry: Registry) -> None:
        entry = registry.version("demo", 2)
        detail = {"manifest": entry.manifest, "model": entry.model, "approval": "required", "gate_passed": True}
        forge(registry, "registered", 3, detail)
        refused(registry, "has the manifest that was registered as version 2")

    def test_a_laxer_manifest_of_its_own(self, registry: Registry, tmp_path: Path) -> None:
        number = forged_registration(registry, tmp_path, "x")
        manifest = forged_documents(registry, tmp_path, "x", number)
        forge(registry, "promoted", number, {"manifest": "", "documents": manifest, "stage": "production"})
        refused(registry, "registered with approval none; the registry's policy asks for required")

    @pytest.mark.parametrize(
        ("claims", "message"),
        [
            ({"manifest_approval": "none", "approval": "required"}, "approval is required, its manifest says none"),
            ({"model": "0" * 64}, r"the model 000000000000… is not that of its manifest"),
            ({"passed": False}, "gate_passed is True, its gate.json says False"),
            ({"passed": None}, "gate_passed is True, its gate.json says False"),
            ({"gate_passed": False}, "gate_passed is False, its gate.json says True"),
            ({"gate_passed": "yes"}, "gate_passed is 'yes'; expected true or false"),
            ({"manifest": "0" * 64}, "the manifest is missing"),
            ({"manifest": "../../escape"}, "the manifest is missing"),
            ({"approval": "waived"}, "approval is 'waived'"),
        ],
    )
    def test_claims_that_the_manifest_contradicts(
        self, registry: Registry, tmp_path: Path, claims: dict[str, Any], message: str
    ) -> None:
        forged_registration(registry, tmp_path, "x", **{"manifest_approval": "required", **claims})
        refused(registry, f"event 8 breaks a rule: .*{message}")

    def test_a_manifest_of_another_use_case(self, registry: Registry, tmp_path: Path) -> None:
        other = Registry(tmp_path / "registry", clock=registry._clock)
        other.register("other", version_files(tmp_path, "o"), who="ann", why="first", approval="required")
        entry = other.version("other", 1)
        data = other.store.read(f"use_cases/other/manifests/{entry.manifest}.json")
        registry.store.create(f"use_cases/demo/manifests/{entry.manifest}.json", data)
        detail = {"manifest": entry.manifest, "model": entry.model, "approval": "required", "gate_passed": True}
        forge(registry, "registered", 3, detail)
        refused(registry, "its manifest is of the use case 'other'")


class TestDocuments:
    def test_of_another_version(self, registry: Registry) -> None:
        forge(registry, "documented", 2, {"manifest": registry.version("demo", 1).documents})
        refused(registry, "its documents are of version 1 of demo, not of this one")

    def test_a_manifest_that_is_none_of_documents(self, registry: Registry) -> None:
        forge(registry, "documented", 2, {"manifest": registry.version("demo", 2).manifest})
        refused(registry, "its documents are of version None")

    def test_incomplete_ones(self, registry: Registry, tmp_path: Path) -> None:
        some = {"governance/model_card.md": tmp_path / "b" / "governance" / "model_card.md"}
        forge(registry, "documented", 2, {"manifest": put_files(registry.store, "demo", some, {"version": 2})})
        refused(registry, "its documents are incomplete, without")


class TestDecisions:
    def test_a_promotion_without_the_approval(self, registry: Registry) -> None:
        forge(registry, "promoted", 2, {**binding(registry, 2), "stage": "production"})
        refused(registry, "version 2 needs an approval by somebody other than ann")

    @pytest.mark.parametrize("who", ["ann", "ANN", " Ann ", "ａnn"])
    def test_an_approval_by_the_proposer(self, registry: Registry, who: str) -> None:
        forge(registry, "approved", 2, binding(registry, 2), who=who)
        refused(registry, "proposed version 2 and cannot approve it")

    @pytest.mark.parametrize("who", ["аnn", "a\u200bnn", "ann\u2060", "αnn"])
    def test_an_approval_by_a_name_that_looks_like_the_proposers(self, registry: Registry, who: str) -> None:
        forge(registry, "approved", 2, binding(registry, 2), who=who)
        refused(registry, "event 8 breaks a rule: who")

    def test_the_id_of_an_earlier_approval(self, registry: Registry) -> None:
        """An approval that is copied counts once, although its copy has a number and a predecessor of its own."""
        earlier = next(event for event in registry.log("demo") if event.kind == "approved")
        registry.demote("demo", 1, who="ann", why="stop")
        forge(registry, "approved", 1, earlier.detail, who="bob", id=earlier.id)
        refused(registry, f"the id '{earlier.id}' was used by an earlier event; an event counts once")

    def test_an_approval_of_other_documents(self, registry: Registry) -> None:
        forge(registry, "approved", 2, {**binding(registry, 2), "documents": registry.version("demo", 1).documents})
        refused(registry, "version 2 is no longer, or never was, what this approved event is about")

    def test_an_identity_that_nobody_signed(self, registry: Registry) -> None:
        identity = {"kind": "key", "key": "0" * 64, "signature": "AAAA"}
        forge(registry, "approved", 2, {**binding(registry, 2), "identity": identity}, who="bob")
        refused(registry, "pins no key of bob")

    @pytest.mark.parametrize("identity", ["key", {"kind": "oath"}, {}, None, {"kind": ["typed"]}])
    def test_an_identity_of_no_known_kind(self, registry: Registry, identity: Any) -> None:
        forge(registry, "approved", 2, {**binding(registry, 2), "identity": identity}, who="bob")
        refused(registry, "expected kind typed, key, console or github")


class TestPolicies:
    def test_one_that_nobody_approved(self, registry: Registry) -> None:
        detail = {"policy": Policy("none").to_dict(), "source": "registration"}
        forge(registry, "policy_set", 0, detail)
        refused(registry, "a change is proposed by one person and approved by another")

    def test_one_that_its_proposer_approved(self, registry: Registry) -> None:
        policy = Policy("none")
        event = forge(registry, "policy_proposed", 0, {"policy": policy.to_dict()})
        forge(registry, "policy_approved", 0, {"proposal": event.number, "policy": policy.digest}, who="EVE")
        refused(registry, "EVE proposed the policy and cannot approve it")

    def test_an_approval_of_another_one_than_was_proposed(self, registry: Registry) -> None:
        event = forge(registry, "policy_proposed", 0, {"policy": Policy("none").to_dict()})
        forge(registry, "policy_approved", 0, {"proposal": event.number, "policy": Policy().digest[::-1]}, who="bob")
        refused(registry, "the proposed policy is that of event 8")

    @pytest.mark.parametrize(
        "policy",
        [None, [], {"approval": "none", "more": 1}, {"approval": True}, {"approvers": "eve"}, {"approval": "none"},
         {**Policy().to_dict(), "people": {"eve": "no key"}}, {**Policy().to_dict(), "approvers": ["eve", "EVE"]}],
    )  # fmt: skip
    def test_one_of_another_form(self, registry: Registry, policy: Any) -> None:
        forge(registry, "policy_proposed", 0, {"policy": policy})
        refused(registry, "event 8 breaks a rule: ")

    def test_one_of_a_version(self, registry: Registry) -> None:
        forge(registry, "policy_proposed", 1, {"policy": Policy().to_dict()})
        refused(registry, "a policy is of the whole use case")


class TestTimes:
    @pytest.mark.parametrize(
        "when",
        ["", "yesterday", "2026-02-30T00:00:00.000Z", "2026-01-01", "2026-01-01T00:00:00Z", "٢٠٢٦-01-01T00:00:00.000Z",
         "2026-01-01T00:00:00.000+00:00", "2026-01-01T00:00:00.000Z\n"],
    )  # fmt: skip
    def test_that_are_none(self, registry: Registry, when: str) -> None:
        forge(registry, "demoted", 1, {"stage": "production"}, when=when)
        refused(registry, "expected a time such as")

    def test_that_run_backwards(self, registry: Registry) -> None:
        latest = registry.log("demo")[-1].time
        early = latest - CLOCK_TOLERANCE - timedelta(milliseconds=1)
        forge(registry, "demoted", 1, {"stage": "production"}, when=_text(early))
        refused(registry, "before an earlier event by more than the tolerance of 5 minutes")

    def test_that_run_backwards_in_small_steps(self, registry: Registry) -> None:
        """The tolerance is from the latest time and not from the last one, so that steps cannot add up."""
        latest = registry.log("demo")[-1].time
        forge(registry, "tagged", 1, {"key": "a", "value": "b"}, when=_text(latest - CLOCK_TOLERANCE))
        registry.state("demo")
        forge(registry, "tagged", 1, {"key": "a", "value": "c"}, when=_text(latest - 2 * CLOCK_TOLERANCE))
        refused(registry, "before an earlier event")

    def test_that_are_to_come(self, registry: Registry) -> None:
        forge(registry, "tagged", 1, {"key": "a", "value": "b"}, when="9999-12-31T23:59:59.999Z")
        refused(registry, "ahead of this machine's clock")

    def test_a_machine_whose_clock_is_late_cannot_write(self, registry: Registry) -> None:
        latest = registry.log("demo")[-1].time
        late = Registry(registry.store.url, clock=lambda: latest - timedelta(minutes=4))
        late.set_tag("demo", 1, "a", "b", who="ann", why="within the tolerance")
        clock = Ticking(latest)
        late = Registry(registry.store.url, clock=clock)
        late.state("demo")
        clock.now = latest - timedelta(hours=1)
        with pytest.raises(RegistryError, match=r"this machine's clock says .*; set the clock"):
            late.set_tag("demo", 1, "a", "c", who="ann", why="an hour late")
        with pytest.raises(RegistryError, match="ahead of this machine's clock; check both"):
            Registry(registry.store.url, clock=clock).state("demo")


class TestLabels:
    @pytest.mark.parametrize(
        ("kind", "detail", "message"),
        [
            ("aliased", {"alias": "production"}, "neither a stage nor a version"),
            ("aliased", {"alias": "v2"}, "neither a stage nor a version"),
            ("aliased", {"alias": "../x"}, "alias is"),
            ("aliased", {}, "detail lacks alias"),
            ("unaliased", {"alias": "champion"}, "does not name version 1"),
            ("tagged", {"key": "a b", "value": "c"}, "tag is 'a b'"),
            ("tagged", {"key": "a", "value": 5}, "the value is '5'"),
            ("untagged", {"key": "a"}, "there is no tag 'a'"),
            ("described", {"text": None}, "description: expected"),
            ("described", {"text": "x" * 10_001}, "at most 10,000 characters"),
        ],
    )
    def test_of_another_form(self, registry: Registry, kind: str, detail: dict[str, Any], message: str) -> None:
        forge(registry, kind, 1, detail)
        refused(registry, message)

    def test_an_alias_of_a_rejected_version(self, registry: Registry) -> None:
        registry.reject("demo", 2, who="bob", why="biased")
        forge(registry, "aliased", 2, {"alias": "champion"})
        refused(registry, "version 2 was rejected by bob; an alias cannot name it")


def test_a_chain_of_the_first_release_cannot_be_continued_with_its_rules(registry: Registry, tmp_path: Path) -> None:
    """The first policy ends the old rules, under which each version had its own."""
    number = forged_registration(registry, tmp_path, "x")
    assert number == 3
    refused(registry, "version 3 is registered with approval none")


@pytest.mark.parametrize("who", ["b\u200bob", "bоb", "", "x" * 201])
def test_a_name_that_readers_would_refuse_is_not_written(registry: Registry, who: str) -> None:
    before = len(list(event_chain(registry.store, "demo").read()))
    with pytest.raises(AlmanacError, match="who"):
        registry.reject("demo", 2, who=who, why="biased")
    assert len(list(event_chain(registry.store, "demo").read())) == before


def _text(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

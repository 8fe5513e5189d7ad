"""The registry's policy: whose it is, how it changes, and which identities it counts."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from almanac.core.errors import RegistryError
from governance import signing
from governance.registry import Policy, Registry, Signer, read_policy
from tests.support.bundles import document_files, documented_version, version_files
from tests.support.golden import GOLDEN
from tests.support.ticking import Ticking


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "registry", clock=Ticking())


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, Path]:
    """Private keys by holder."""
    for name in ("bob", "eve", "console", "github", "pipeline"):
        signing.generate_key(tmp_path / "keys" / f"{name}.pem")
    return {path.stem: path for path in (tmp_path / "keys").iterdir()}


def public(path: Path) -> str:
    return signing.public_key(path).decode()


def kinds(registry: Registry) -> list[str]:
    return [event.kind for event in registry.log("demo")]


class TestWhoseItIs:
    def test_a_laptop_cannot_go_past_an_approved_version(self, registry: Registry, tmp_path: Path) -> None:
        """The fault that was seen: a run with `approval: none` promoted itself over an approved version."""
        one = documented_version(registry, tmp_path, "a", approval="required")
        registry.approve("demo", one, who="bob", why="read it")
        registry.promote("demo", one, who="ann", why="go")
        laptop = Registry(tmp_path / "registry", clock=registry._clock)
        two = documented_version(laptop, tmp_path, "b", approval="none")
        assert laptop.needs_approval("demo", two)
        with pytest.raises(RegistryError, match="version 2 needs an approval by somebody other than ann"):
            laptop.promote("demo", two, who="ann", why="it is mine")
        assert registry.stages("demo") == {"production": one}

    def test_a_laptop_that_came_first_is_bound_by_the_cluster(self, registry: Registry, tmp_path: Path) -> None:
        one = documented_version(registry, tmp_path, "a", approval="none")
        registry.promote("demo", one, who="ann", why="on my laptop")
        documented_version(registry, tmp_path, "b", approval="required")
        assert registry.policy("demo").approval == "required"
        three = documented_version(registry, tmp_path, "c", approval="none")
        with pytest.raises(RegistryError, match="version 3 needs an approval"):
            registry.promote("demo", three, who="ann", why="go")
        assert kinds(registry) == ["policy_set", "registered", "documented", "promoted", "policy_set", "registered",
                                   "documented", "registered", "documented"]  # fmt: skip

    def test_a_version_that_was_registered_before_needs_the_approval_too(
        self, registry: Registry, tmp_path: Path
    ) -> None:
        one = documented_version(registry, tmp_path, "a", approval="none")
        registry.set_policy("demo", Policy("required"), who="ann", why="from now on")
        with pytest.raises(RegistryError, match="version 1 needs an approval"):
            registry.promote("demo", one, who="ann", why="go")

    def test_a_caller_may_be_stricter_for_its_own_version(self, registry: Registry, tmp_path: Path) -> None:
        registry.set_policy("demo", Policy("none"), who="ann", why="a sandbox")
        one = documented_version(registry, tmp_path, "a", approval="required")
        with pytest.raises(RegistryError, match="version 1 needs an approval"):
            registry.promote("demo", one, who="ann", why="go")
        assert registry.policy("demo").approval == "none"
        registry.promote("demo", documented_version(registry, tmp_path, "b"), who="ann", why="go")

    def test_the_same_content_keeps_its_number_whatever_the_caller_asks(
        self, registry: Registry, tmp_path: Path
    ) -> None:
        files = version_files(tmp_path, "a")
        assert registry.register("demo", files, who="ann", why="first", approval="required") == 1
        assert registry.register("demo", files, who="ann", why="again", approval="none") == 1
        assert registry.version("demo", 1).policy == "required"

    def test_the_same_content_is_not_laxer_than_a_later_caller_asks(self, registry: Registry, tmp_path: Path) -> None:
        registry.set_policy("demo", Policy("none"), who="ann", why="a sandbox")
        files = version_files(tmp_path, "a")
        assert registry.register("demo", files, who="ann", why="first", approval="none") == 1
        assert registry.register("demo", files, who="ann", why="stricter", approval="required") == 2
        assert registry.register("demo", files, who="ann", why="again", approval="required") == 2


class TestChanges:
    @pytest.fixture
    def strict(self, registry: Registry) -> Registry:
        assert (
            registry.set_policy("demo", Policy("required", approvers=("bob", "cat")), who="ann", why="start") == "set"
        )
        return registry

    def test_without_approvals_it_is_set_at_once(self, registry: Registry) -> None:
        assert registry.set_policy("demo", Policy("none"), who="ann", why="start") == "set"
        assert registry.set_policy("demo", Policy("required"), who="ann", why="stricter") == "set"
        assert registry.set_policy("demo", Policy("none"), who="ann", why="back") == "proposed"
        assert registry.policy("demo") == Policy("required")

    def test_with_approvals_it_takes_two_people(self, strict: Registry) -> None:
        lax = Policy("none")
        assert strict.set_policy("demo", lax, who="bob", why="too slow") == "proposed"
        assert strict.set_policy("demo", lax, who="bob", why="again") == "unchanged"
        for who, message in (
            ("bob", "proposed the policy"),
            ("BOB", "proposed the policy"),
            ("dan", "may not approve"),
        ):
            with pytest.raises(RegistryError, match=message):
                strict.approve_policy("demo", lax.digest, who=who, why="yes")
        with pytest.raises(RegistryError, match="look again before approving"):
            strict.approve_policy("demo", "0" * 64, who="cat", why="yes")
        assert strict.policy("demo").approval == "required"
        strict.approve_policy("demo", lax.digest, who="cat", why="agreed")
        assert strict.policy("demo") == lax
        assert kinds(strict) == ["policy_set", "policy_proposed", "policy_approved"]

    def test_an_approval_is_of_the_newest_proposal(self, strict: Registry) -> None:
        first, second = Policy("none"), Policy("required", approvers=("bob",))
        strict.set_policy("demo", first, who="bob", why="one")
        strict.set_policy("demo", second, who="bob", why="two")
        with pytest.raises(RegistryError, match="look again"):
            strict.approve_policy("demo", first.digest, who="cat", why="the one that I read")
        strict.approve_policy("demo", second.digest, who="cat", why="yes")
        with pytest.raises(RegistryError, match="there is no proposed policy"):
            strict.approve_policy("demo", second.digest, who="cat", why="again")

    def test_approvers_are_those_that_it_names(self, strict: Registry, tmp_path: Path) -> None:
        one = documented_version(strict, tmp_path, "a")
        with pytest.raises(RegistryError, match="dan may not approve version 1; the policy names bob, cat"):
            strict.approve("demo", one, who="dan", why="looks good")
        strict.approve("demo", one, who="Cat", why="read it")
        strict.promote("demo", one, who="ann", why="go")

    def test_a_repeated_approval_is_done_only_where_it_counts(self, registry: Registry, tmp_path: Path) -> None:
        one = documented_version(registry, tmp_path, "a")
        assert registry.approve("demo", one, who="eve", why="read it")
        assert not registry.approve("demo", one, who="eve", why="again")
        registry.set_policy("demo", Policy("required", approvers=("bob",)), who="ann", why="start")
        with pytest.raises(RegistryError, match="eve may not approve version 1; the policy names bob"):
            registry.approve("demo", one, who="eve", why="again")

    def test_an_approval_that_the_present_policy_does_not_count(self, strict: Registry, tmp_path: Path) -> None:
        one = documented_version(strict, tmp_path, "a")
        strict.approve("demo", one, who="bob", why="read it")
        strict.set_policy("demo", Policy("required", approvers=("cat",)), who="bob", why="I leave")
        strict.approve_policy("demo", Policy("required", approvers=("cat",)).digest, who="cat", why="yes")
        with pytest.raises(RegistryError, match=r"does not count that of bob \(typed\)"):
            strict.promote("demo", one, who="ann", why="go")


class TestIdentities:
    @pytest.fixture
    def version(self, registry: Registry, tmp_path: Path, keys: dict[str, Path]) -> int:
        policy = Policy(
            "required",
            "verified",
            people={"bob": public(keys["bob"])},
            attesters={name: public(keys[name]) for name in ("console", "github")},
        )
        registry.set_policy("demo", policy, who="ann", why="start")
        return documented_version(registry, tmp_path, "a")

    def test_a_typed_name_does_not_count(self, registry: Registry, version: int) -> None:
        with pytest.raises(RegistryError, match="bob is a typed name, and the registry's policy counts verified"):
            registry.approve("demo", version, who="bob", why="read it")

    def test_a_signature_by_the_pinned_key_counts(
        self, registry: Registry, version: int, keys: dict[str, Path], tmp_path: Path
    ) -> None:
        signer = Signer("key", keys["bob"])
        assert registry.approve("demo", version, who="Bob", why="read it", signer=signer)
        assert not registry.approve("demo", version, who="bob", why="again", signer=signer)
        registry.promote("demo", version, who="ann", why="go")
        (approval,) = Registry(tmp_path / "registry", clock=registry._clock).version("demo", version).approvals
        assert (approval.who, approval.identity) == ("Bob", "key")

    @pytest.mark.parametrize("service", ["console", "github"])
    def test_a_service_says_who_it_was(
        self, registry: Registry, version: int, keys: dict[str, Path], service: str
    ) -> None:
        registry.approve("demo", version, who="cat", why="read it", signer=Signer(service, keys[service], {"run": "7"}))
        event = registry.log("demo")[-1]
        assert (event.detail["identity"]["kind"], event.detail["identity"]["run"]) == (service, "7")
        registry.promote("demo", version, who="ann", why="go")

    @pytest.mark.parametrize(
        ("kind", "holder", "who", "message"),
        [
            ("key", "eve", "bob", "not signed by bob with the pinned key"),
            ("key", "bob", "cat", "pins no key of cat"),
            ("console", "bob", "bob", "not signed by console with the pinned key"),
            ("key", "console", "bob", "not signed by bob"),
        ],
    )
    def test_another_key_does_not_count(
        self, registry: Registry, version: int, keys: dict[str, Path], kind: str, holder: str, who: str, message: str
    ) -> None:
        with pytest.raises(RegistryError, match=message):
            registry.approve("demo", version, who=who, why="read it", signer=Signer(kind, keys[holder]))

    @pytest.mark.parametrize("field", ["who", "when", "why", "version", "id", "detail"])
    def test_every_word_of_the_event_is_signed(
        self, registry: Registry, version: int, keys: dict[str, Path], field: str, tmp_path: Path
    ) -> None:
        from governance.registry.events import event_chain

        registry.approve("demo", version, who="bob", why="read it", signer=Signer("key", keys["bob"]))
        event = registry.log("demo")[-1]
        changes: dict[str, Any] = {
            "who": "BOB", "when": "2024-05-01T00:00:59.000Z", "why": "did not read it", "version": 1, "id": "other",
            "detail": {**event.detail, "more": 1},
        }  # fmt: skip
        if field == "version":
            # The same signature under another number of the chain.
            forged = replace(event, number=event.number + 1, previous=event.digest, id="other")
        else:
            path = tmp_path / "registry" / event_chain(registry.store, "demo").key(event.number)
            path.unlink()
            (tmp_path / "registry/use_cases/demo/head.json").unlink()
            forged = replace(event, **{field: changes[field]})
        assert event_chain(registry.store, "demo").append(forged)
        with pytest.raises(RegistryError, match=r"(?i)not signed by bob"):
            Registry(tmp_path / "registry", clock=registry._clock).state("demo")

    def test_a_signed_rejection_must_be_signed_rightly(
        self, registry: Registry, version: int, keys: dict[str, Path]
    ) -> None:
        with pytest.raises(RegistryError, match="not signed by bob"):
            registry.reject("demo", version, who="bob", why="biased", signer=Signer("key", keys["eve"]))
        registry.reject("demo", version, who="bob", why="biased", signer=Signer("key", keys["bob"]))
        assert registry.version("demo", version).rejected == "bob"


class TestSigners:
    @pytest.fixture
    def pinned(self, registry: Registry, keys: dict[str, Path]) -> Registry:
        policy = Policy("none", signers={"pipeline": public(keys["pipeline"])})
        registry.set_policy("demo", policy, who="ann", why="only our pipeline")
        return registry

    def signed(self, registry: Registry, folder: Path, key: Path | None) -> int:
        files = version_files(folder, "a")
        number = registry.register("demo", files, who="ann", why="first", approval="none")
        documents = document_files(folder / "a", files)
        if key:
            signing.sign(folder / "a" / "model", folder / "signature", key)
            documents |= {f"governance/model.{end}": folder / "signature" / f"model.{end}" for end in ("sig", "pub")}
        registry.attach_documents("demo", number, documents, who="ann", why="documented")
        return number

    def test_a_model_of_the_pinned_key_is_promoted(
        self, pinned: Registry, keys: dict[str, Path], tmp_path: Path
    ) -> None:
        pinned.promote("demo", self.signed(pinned, tmp_path, keys["pipeline"]), who="ann", why="go")
        assert Registry(tmp_path / "registry", clock=pinned._clock).stages("demo") == {"production": 1}

    @pytest.mark.parametrize("holder", [None, "eve"])
    def test_other_models_are_not(
        self, pinned: Registry, keys: dict[str, Path], tmp_path: Path, holder: str | None
    ) -> None:
        from tests.support.forgery import forge

        number = self.signed(pinned, tmp_path, keys[holder] if holder else None)
        message = "not signed with the key of pipeline" if holder else "version 1 is not signed"
        with pytest.raises(RegistryError, match=message):
            pinned.promote("demo", number, who="ann", why="go")
        entry = pinned.version("demo", number)
        detail = {"manifest": entry.manifest, "documents": entry.documents, "stage": "production"}
        forge(pinned, "promoted", number, detail)
        with pytest.raises(RegistryError, match=message):
            Registry(tmp_path / "registry", clock=pinned._clock).current("demo")


class TestFiles:
    def test_keys_may_be_files_beside_it(self, tmp_path: Path, keys: dict[str, Path]) -> None:
        (tmp_path / "bob.pub").write_text("a comment\n" + public(keys["bob"]).replace("\n", "\r\n"))
        file = tmp_path / "policy.yaml"
        file.write_text("approval: required\nidentity: verified\napprovers: [bob]\npeople: {bob: bob.pub}\n")
        policy = read_policy(file)
        assert policy == Policy("required", "verified", ("bob",), {"bob": public(keys["bob"])})

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("approval: maybe", "approval is 'maybe'; expected none or required"),
            ("identity: seen", "identity is 'seen'; expected typed or verified"),
            ("aproval: none", "has no field 'aproval'; expected approval, identity"),
            ("approvers: bob", "approvers is 'bob'; expected a list of names"),
            ("approvers: [bob, BOB]", "'BOB' is named twice"),
            ("approvers: [bob, b0b]", "looks like"),
            ("people: {bob: nowhere.pub}", "people.bob: neither a PEM public key nor a readable file"),
            ("people: [bob]", "expected name -> PEM public key"),
            ("attesters: {jenkins: '-----BEGIN PUBLIC KEY-----'}", "not a PEM public key"),
            ("identity: verified", "no key of people or attesters is pinned"),
            ("[]", r"the policy is \[\]"),
            ("a: b: c", "cannot be read as a policy"),
            ("approval: required\napproval: none", "cannot be read as a policy .*key 'approval' is given twice"),
            ("[" * 5000, "cannot be read as a policy .*nested too deeply"),
        ],
    )
    def test_what_is_wrong_is_named(self, tmp_path: Path, text: str, message: str) -> None:
        file = tmp_path / "policy.yaml"
        file.write_text(text)
        with pytest.raises(ValueError if "looks like" in message else RegistryError, match=message):
            read_policy(file)


class TestMigration:
    """A registry of the first release, in which versions had policies and the registry had none."""

    @pytest.fixture
    def first(self, tmp_path: Path) -> Registry:
        for name, text in json.loads((GOLDEN / "registry.json").read_text()).items():
            path = tmp_path / "registry" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return Registry(tmp_path / "registry")

    def test_it_is_read_as_it_was(self, first: Registry) -> None:
        state = first.verify("demo")
        assert state.stages() == {"production": 2}
        assert [entry.policy for entry in state.versions.values()] == ["required", "none", "required"]
        assert [each.who for each in state.versions[1].approvals] == ["bob"]
        assert [each.identity for each in state.versions[1].approvals] == ["typed"]
        assert state.versions[3].rejected == "bob"
        assert state.policy is None
        assert first.policy("demo") == Policy("required")

    def test_its_next_change_gives_it_the_strictest_policy_of_its_versions(
        self, first: Registry, tmp_path: Path
    ) -> None:
        before = len(first.log("demo"))
        number = documented_version(first, tmp_path, "d", approval="none")
        events = first.log("demo")[before:]
        assert [event.kind for event in events] == ["policy_set", "registered", "documented"]
        assert events[0].detail["policy"]["approval"] == "required"
        with pytest.raises(RegistryError, match=f"version {number} needs an approval"):
            first.promote("demo", number, who="ann", why="from a laptop")
        assert first.rollback("demo", who="ann", why="what the laptop did") == 1
        first.verify("demo")

    def test_its_first_policy_cannot_be_another_one(self, first: Registry) -> None:
        assert first.set_policy("demo", Policy("none"), who="eve", why="easier") == "proposed"
        assert first.policy("demo") == Policy("required")
        assert [event.kind for event in first.log("demo")[-2:]] == ["policy_set", "policy_proposed"]

"""The registry on a directory: versions, stages, approvals, refusals."""

import os
import shutil
import stat
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from almanac.core.errors import RegistryError
from governance.registry import Registry, fetch, parse_address, resolve
from governance.registry.events import Event, event_chain
from governance.registry.local_store import LocalStore
from tests.support.bundles import document_files, documented_version, version_files


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "registry", clock=lambda: datetime(2026, 11, 21, tzinfo=UTC))


def contents(root: Path) -> dict[str, bytes]:
    """Return every stored object, what writers left aside excepted."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and ".temporary" not in path.parts
    }


class TestLifeOfAVersion:
    def test_same_content_keeps_its_number_and_other_content_gets_the_next(
        self, registry: Registry, tmp_path: Path
    ) -> None:
        files = version_files(tmp_path, "a")
        assert registry.register("demo", files, who="ann", why="first") == 1
        assert registry.register("demo", files, who="bob", why="again") == 1
        assert registry.register("demo", version_files(tmp_path, "b"), who="ann", why="second") == 2
        assert [event.why for event in registry.log("demo")[1:]] == ["first", "second"]

    def test_promotion_archives_the_version_that_stood_there(self, registry: Registry, tmp_path: Path) -> None:
        one, two = documented_version(registry, tmp_path, "a"), documented_version(registry, tmp_path, "b")
        registry.promote("demo", one, who="ann", why="go")
        registry.promote("demo", two, "staging", who="ann", why="look")
        assert registry.stages("demo") == {"production": one, "staging": two}
        registry.promote("demo", two, who="ann", why="go")
        assert registry.stages("demo") == {"production": two}
        assert registry.version("demo", one).stage == "archived"
        registry.verify("demo")

    def test_rollback_is_a_new_event_and_goes_back_step_by_step(self, registry: Registry, tmp_path: Path) -> None:
        for mark in "abc":
            registry.promote("demo", documented_version(registry, tmp_path, mark), who="ann", why="go")
        assert registry.rollback("demo", who="bob", why="worse at night") == 2
        assert registry.rollback("demo", who="bob", why="worse still") == 1
        with pytest.raises(RegistryError, match="no earlier production version"):
            registry.rollback("demo", who="bob", why="further")
        assert registry.stages("demo") == {"production": 1}
        assert [event.kind for event in registry.log("demo")][-2:] == ["rolled_back", "rolled_back"]

    def test_demotion_empties_the_stage_and_rollback_fills_it_again(self, registry: Registry, tmp_path: Path) -> None:
        for mark in "ab":
            registry.promote("demo", documented_version(registry, tmp_path, mark), who="ann", why="go")
        registry.demote("demo", 2, who="bob", why="stop")
        assert registry.current("demo") is None
        assert registry.rollback("demo", who="bob", why="back") == 1

    def test_rollback_passes_over_what_was_rejected_since(self, registry: Registry, tmp_path: Path) -> None:
        for mark in "abcd":
            registry.promote("demo", documented_version(registry, tmp_path, mark), who="ann", why="go")
        for number in (3, 2):
            registry.reject("demo", number, who="bob", why="biased")
        assert registry.rollback("demo", who="bob", why="worse") == 1
        assert registry.log("demo")[-1].detail["passed_over"] == [3, 2]
        assert Registry(tmp_path / "registry").verify("demo").stages() == {"production": 1}

    def test_rollback_goes_nowhere_where_all_earlier_versions_were_rejected(
        self, registry: Registry, tmp_path: Path
    ) -> None:
        for mark in "ab":
            registry.promote("demo", documented_version(registry, tmp_path, mark), who="ann", why="go")
        registry.reject("demo", 1, who="bob", why="biased")
        with pytest.raises(RegistryError, match=r"to roll back to \(version 1 was rejected by bob\)"):
            registry.rollback("demo", who="bob", why="worse")

    def test_rollback_past_a_rejected_version_does_not_lead_to_where_it_starts(
        self, registry: Registry, tmp_path: Path
    ) -> None:
        for mark in "abc":
            documented_version(registry, tmp_path, mark)
        for number in (3, 1, 2, 1):
            registry.promote("demo", number, who="ann", why="go")
        registry.reject("demo", 2, who="bob", why="biased")
        assert registry.rollback("demo", who="bob", why="worse") == 3
        assert registry.log("demo")[-1].detail["passed_over"] == [2]

    def test_repeating_a_step_writes_no_second_event(self, registry: Registry, tmp_path: Path) -> None:
        number = documented_version(registry, tmp_path, "a", approval="required")
        for _ in range(2):
            registry.approve("demo", number, who="bob", why="read it")
            registry.promote("demo", number, who="ann", why="go")
        kinds = ["policy_set", "registered", "documented", "approved", "promoted"]
        assert [event.kind for event in registry.log("demo")] == kinds

    def test_each_event_says_who_when_and_why(self, registry: Registry, tmp_path: Path) -> None:
        registry.register("demo", version_files(tmp_path, "a"), who="ann", why="monthly retrain")
        event = registry.log("demo")[-1]
        assert (event.who, event.when, event.why) == ("ann", "2026-11-21T00:00:00.000Z", "monthly retrain")

    def test_another_reader_sees_the_new_version_by_one_read(self, registry: Registry, tmp_path: Path) -> None:
        reader = Registry(tmp_path / "registry")
        assert reader.current("demo") is None
        number = documented_version(registry, tmp_path, "a")
        registry.promote("demo", number, who="ann", why="go")
        current = reader.current("demo")
        assert current is not None
        assert current.number == number

    def test_publish_lays_the_model_out_as_kserve_downloads_it(self, registry: Registry, tmp_path: Path) -> None:
        files = version_files(tmp_path, "a")
        number = registry.register("demo", files, who="ann", why="first")
        url = registry.publish("demo", number)
        assert url == registry.publish("demo", number)
        assert (Path(url) / "model.bst").read_bytes() == files["model/model.bst"].read_bytes()
        assert registry.version("demo", number).model in url

    def test_publish_brings_the_signature_along(self, registry: Registry, tmp_path: Path) -> None:
        files = version_files(tmp_path, "a")
        number = registry.register("demo", files, who="ann", why="first")
        documents = document_files(tmp_path / "a", files)
        for suffix in ("sig", "pub"):
            documents[f"governance/model.{suffix}"] = tmp_path / suffix
            (tmp_path / suffix).write_text(f"{suffix} of ann")
        registry.attach_documents("demo", number, documents, who="ann", why="documented")
        published = sorted(
            path.read_text() for path in (Path(registry.publish("demo", number)) / "signature").iterdir()
        )
        assert published == ["pub of ann", "sig of ann"]


class TestRefusals:
    """Each refusal leaves every stored byte as it was."""

    @pytest.fixture
    def version(self, registry: Registry, tmp_path: Path) -> int:
        return documented_version(registry, tmp_path, "a", approval="required")

    @pytest.mark.parametrize(
        ("what", "message"),
        [
            ("7", "there is no version 7; versions: 1 to 1"),
            ("prod", "neither a version nor a stage"),
            ("production", "no version is in production"),
        ],
    )
    def test_unknown_version_or_stage(self, registry: Registry, version: int, what: str, message: str) -> None:
        with pytest.raises(RegistryError, match=message):
            registry.version("demo", what)

    def test_unknown_use_case_and_bad_names(self, registry: Registry) -> None:
        with pytest.raises(RegistryError, match="nothing is registered for 'other'"):
            registry.version("other", "production")
        with pytest.raises(RegistryError, match="not a use case name"):
            registry.state("../demo")

    def test_promotion_to_an_unknown_stage(self, registry: Registry, version: int, tmp_path: Path) -> None:
        before = contents(tmp_path / "registry")
        with pytest.raises(RegistryError, match="unknown stage 'prod'; expected staging or production"):
            registry.promote("demo", version, "prod", who="ann", why="go")
        assert contents(tmp_path / "registry") == before

    @pytest.mark.parametrize("passed", [False, None])
    def test_promotion_without_a_passed_gate(self, registry: Registry, tmp_path: Path, passed: bool | None) -> None:
        files = version_files(tmp_path, "closed", passed)
        number = registry.register("demo", files, who="ann", why="try", approval="none")
        documents = document_files(tmp_path / "closed", files)
        registry.attach_documents("demo", number, documents, who="ann", why="cards")
        before = contents(tmp_path / "registry")
        with pytest.raises(RegistryError, match=f"version {number} has no passed gate"):
            registry.promote("demo", number, who="ann", why="go")
        assert contents(tmp_path / "registry") == before

    def test_promotion_without_documents(self, registry: Registry, tmp_path: Path) -> None:
        number = registry.register("demo", version_files(tmp_path, "x"), who="ann", why="try", approval="none")
        before = contents(tmp_path / "registry")
        with pytest.raises(RegistryError, match="has no governance documents"):
            registry.promote("demo", number, who="ann", why="go")
        assert contents(tmp_path / "registry") == before

    def test_documents_that_lack_a_file_or_describe_another_version(self, registry: Registry, tmp_path: Path) -> None:
        files = version_files(tmp_path, "x")
        number = registry.register("demo", files, who="ann", why="try")
        documents = document_files(tmp_path / "x", files)
        lacking = {name: path for name, path in documents.items() if "risk" not in name}
        with pytest.raises(RegistryError, match=r"incomplete, without risk_assessment\.md"):
            registry.attach_documents("demo", number, lacking, who="ann", why="cards")
        other = document_files(tmp_path / "other", version_files(tmp_path, "other"))
        with pytest.raises(RegistryError, match="the documents describe another"):
            registry.attach_documents("demo", number, other, who="ann", why="cards")
        assert registry.version("demo", number).documents is None

    def test_promotion_without_the_required_approval(self, registry: Registry, version: int, tmp_path: Path) -> None:
        before = contents(tmp_path / "registry")
        with pytest.raises(RegistryError, match="needs an approval by somebody other than ann"):
            registry.promote("demo", version, who="bob", why="go")
        assert contents(tmp_path / "registry") == before
        registry.promote("demo", version, "staging", who="bob", why="an approver may try it there")

    @pytest.mark.parametrize("who", ["ann", "Ann", " ANN "])
    def test_approval_by_the_proposer(self, registry: Registry, version: int, tmp_path: Path, who: str) -> None:
        before = contents(tmp_path / "registry")
        with pytest.raises(RegistryError, match="proposed version 1 and cannot approve it"):
            registry.approve("demo", version, who=who, why="looks good")
        assert contents(tmp_path / "registry") == before

    def test_other_documents_need_another_approval(self, registry: Registry, tmp_path: Path) -> None:
        files = version_files(tmp_path, "x")
        number = registry.register("demo", files, who="ann", why="try")
        registry.attach_documents("demo", number, document_files(tmp_path / "x", files), who="ann", why="cards")
        registry.approve("demo", number, who="bob", why="read them")
        again = document_files(tmp_path / "x", files, "rewritten")
        registry.attach_documents("demo", number, again, who="ann", why="better")
        with pytest.raises(RegistryError, match="needs an approval"):
            registry.promote("demo", number, who="ann", why="go")

    def test_documents_of_a_version_that_was_in_production_stay(self, registry: Registry, tmp_path: Path) -> None:
        for mark in "xy":
            registry.promote("demo", documented_version(registry, tmp_path, mark), who="ann", why="go")
        for number, mark, place in ((1, "x", "archived"), (2, "y", "in production")):
            names = ("model/model.bst", "model/manifest.json", "gate.json")
            files = {name: tmp_path / mark / name for name in names}
            other = document_files(tmp_path / mark, files, "rewritten")
            with pytest.raises(RegistryError, match=f"version {number} is {place}; its documents cannot"):
                registry.attach_documents("demo", number, other, who="ann", why="better")

    def test_a_rejection_empties_staging(self, registry: Registry, version: int) -> None:
        registry.promote("demo", version, "staging", who="ann", why="look")
        registry.reject("demo", version, who="bob", why="biased at night")
        assert registry.stages("demo") == {}

    def test_a_rejected_version_stays_rejected(self, registry: Registry, version: int) -> None:
        registry.reject("demo", version, who="bob", why="biased at night")
        with pytest.raises(RegistryError, match="was rejected by bob"):
            registry.approve("demo", version, who="cat", why="I do not mind")
        with pytest.raises(RegistryError, match="was rejected by bob"):
            registry.promote("demo", version, "staging", who="cat", why="go")

    def test_who_and_why_must_be_stated(self, registry: Registry, version: int) -> None:
        with pytest.raises(RegistryError, match="who and why must be stated"):
            registry.approve("demo", version, who="bob", why=" ")

    def test_a_version_without_a_model(self, registry: Registry, tmp_path: Path) -> None:
        files = version_files(tmp_path, "x")
        del files["model/manifest.json"]
        with pytest.raises(RegistryError, match=r"model/manifest\.json is missing"):
            registry.register("demo", files, who="ann", why="try")

    def test_rollback_when_the_stages_moved_meanwhile(self, registry: Registry, tmp_path: Path) -> None:
        for mark in "bc":
            registry.promote("demo", documented_version(registry, tmp_path, mark), who="ann", why="go")
        late = Registry(tmp_path / "registry")
        late.state("demo")

        def slow_clock() -> datetime:
            # The other operator is faster: his rollback lands between this one's look and its put.
            if registry.stages("demo") == {"production": 2}:
                registry.rollback("demo", who="bob", why="worse")
            return datetime(2026, 11, 21, tzinfo=UTC)

        late._clock = slow_clock
        with pytest.raises(RegistryError, match="changed meanwhile"):
            late.rollback("demo", who="cat", why="worse")
        assert registry.stages("demo") == {"production": 1}


class TestTakenNumbers:
    def test_a_taken_number_is_retried_with_the_next(self, registry: Registry, tmp_path: Path) -> None:
        number = documented_version(registry, tmp_path, "a", approval="required")
        other = Registry(tmp_path / "registry")
        other.state("demo")
        taken: list[str] = []

        def slow_clock() -> datetime:
            if not taken:
                taken.append("once")
                registry.approve("demo", number, who="bob", why="faster")
            return datetime(2026, 11, 21, tzinfo=UTC)

        other._clock = slow_clock
        other.approve("demo", number, who="cat", why="slower")
        assert [(event.number, event.who) for event in registry.log("demo")][-2:] == [(4, "bob"), (5, "cat")]

    def test_an_event_whose_answer_was_lost_is_recognised(self, registry: Registry, tmp_path: Path) -> None:
        registry.register("demo", version_files(tmp_path, "a"), who="ann", why="first")
        event = registry.log("demo")[-1]
        assert event_chain(registry.store, "demo").append(event)
        assert not event_chain(registry.store, "demo").append(Event(**{**vars(event), "id": "another"}))


class Busy(LocalStore):
    """A store on which others write as soon as a reader has found the end of the chain."""

    def __init__(self, root: Path, writes: list[Callable[[], Any]]) -> None:
        super().__init__(str(root), root)
        self.writes = writes

    def read(self, key: str) -> bytes:
        """Read, and let the next writer write where nothing is there."""
        try:
            return super().read(key)
        except FileNotFoundError:
            if "/events/" in key and self.writes:
                self.writes.pop(0)()
            raise


def test_an_auditor_is_not_alarmed_by_what_others_write_meanwhile(registry: Registry, tmp_path: Path) -> None:
    one = documented_version(registry, tmp_path, "a", approval="required")
    registry.publish("demo", one)

    def another() -> None:
        registry.publish("demo", documented_version(registry, tmp_path, "b"))

    auditor = Registry(tmp_path / "registry")
    writes: list[Callable[[], Any]] = [another, lambda: registry.approve("demo", one, who="bob", why="read it")]
    auditor.store = Busy(tmp_path / "registry", writes)
    assert len(auditor.verify("demo").versions) == 1
    assert writes == []
    assert len(auditor.verify("demo").versions) == 2


class Beginning(LocalStore):
    """A store that has no head yet when a reader asks for it first, and two events right after."""

    def __init__(self, root: Path, write: Callable[[], Any]) -> None:
        super().__init__(str(root), root)
        self.write = write

    def read(self, key: str) -> bytes:
        """Read; a head that is not there is, right after."""
        try:
            return super().read(key)
        except FileNotFoundError:
            if key.endswith("head.json"):
                self.write()
            raise


def test_a_chain_that_begins_meanwhile_is_no_chain_without_a_head(registry: Registry, tmp_path: Path) -> None:
    reader = Registry(tmp_path / "registry")
    reader.store = Beginning(tmp_path / "registry", lambda: documented_version(registry, tmp_path, "a"))
    assert list(reader.state("demo").digests) == [1, 2, 3]


class TestTampering:
    @pytest.fixture
    def version(self, registry: Registry, tmp_path: Path) -> int:
        number = documented_version(registry, tmp_path, "a")
        registry.promote("demo", number, who="ann", why="go")
        return number

    def alter(self, path: Path, old: bytes, new: bytes) -> None:
        path.chmod(stat.S_IRUSR | stat.S_IWUSR)
        data = path.read_bytes()
        assert old in data
        path.write_bytes(data.replace(old, new, 1))

    def test_an_edited_event(self, registry: Registry, version: int, tmp_path: Path) -> None:
        for number in (1, 4):
            path = tmp_path / "registry" / event_chain(registry.store, "demo").key(number)
            self.alter(path, b'"who":"ann"', b'"who":"bob"')
            with pytest.raises(RegistryError, match=f"{number:08d}.json: the event was edited"):
                Registry(tmp_path / "registry").current("demo")
            self.alter(path, b'"who":"bob"', b'"who":"ann"')

    def test_an_event_forged_with_its_digest_breaks_the_chain(
        self, registry: Registry, version: int, tmp_path: Path
    ) -> None:
        first = registry.log("demo")[0]
        path = tmp_path / "registry" / event_chain(registry.store, "demo").key(1)
        path.unlink()
        path.write_bytes(Event(**{**vars(first), "who": "bob"}).to_bytes())
        with pytest.raises(RegistryError, match=r"00000002\.json: does not continue the chain"):
            Registry(tmp_path / "registry").current("demo")

    @pytest.mark.parametrize("kind", ["registered", "documented", "promoted", "rejected", "rolled_back"])
    def test_a_forged_event_of_wrong_types_is_named(self, registry: Registry, tmp_path: Path, kind: str) -> None:
        number = documented_version(registry, tmp_path, "x")
        entry, last = registry.version("demo", number), registry.log("demo")[-1]
        detail: dict[str, Any] = {"manifest": entry.manifest, "documents": entry.documents, "stage": "production"}
        detail |= {"model": entry.model, "approval": "none", "gate_passed": True}
        event = Event(last.number + 1, "demo", kind, number, "eve", last.when, "go", last.digest, "x", detail)
        values: list[Any] = [5, True, None, [1], {"a": [1]}, "two"]
        for name in [*vars(event), *(f"detail.{key}" for key in detail)]:
            for value in values:
                if name.startswith("detail."):
                    change = {"detail": detail | {name.removeprefix("detail."): value}}
                else:
                    change = {name: value}
                path = tmp_path / "registry" / event_chain(registry.store, "demo").key(event.number)
                path.write_bytes(Event(**{**vars(event), **change}).to_bytes())
                reader = Registry(tmp_path / "registry")
                wanted = {"number": int, "version": int, "detail": dict}.get(name, str)
                if "." not in name and type(value) is not wanted:
                    with pytest.raises(RegistryError, match=rf"{path.name}: .*{name} is "):
                        reader.verify("demo")
                else:
                    with suppress(RegistryError):
                        reader.verify("demo")

    def test_a_forged_promotion_breaks_a_rule(self, registry: Registry, tmp_path: Path) -> None:
        number = documented_version(registry, tmp_path, "x", approval="required")
        entry, last = registry.version("demo", number), registry.log("demo")[-1]
        detail = {"manifest": entry.manifest, "documents": entry.documents, "stage": "production"}
        forged = Event(last.number + 1, "demo", "promoted", number, "eve", last.when, "go", last.digest, "x", detail)
        assert event_chain(registry.store, "demo").append(forged)
        with pytest.raises(RegistryError, match="event 4 breaks a rule: version 1 needs an approval"):
            Registry(tmp_path / "registry").current("demo")

    def test_a_truncated_log(self, registry: Registry, version: int, tmp_path: Path) -> None:
        (tmp_path / "registry" / event_chain(registry.store, "demo").key(4)).unlink()
        with pytest.raises(RegistryError, match=r"00000004\.json: missing; the log was truncated"):
            Registry(tmp_path / "registry").current("demo")
        with pytest.raises(RegistryError, match="truncated"):
            Registry(tmp_path / "registry").promote("demo", version, "staging", who="ann", why="go")

    def test_a_gap_in_the_log(self, registry: Registry, version: int, tmp_path: Path) -> None:
        (tmp_path / "registry" / event_chain(registry.store, "demo").key(2)).unlink()
        with pytest.raises(RegistryError, match=r"00000004\.json: missing; the log was truncated|number 2 is missing"):
            Registry(tmp_path / "registry").verify("demo")

    def test_a_tampered_model_is_refused_at_load_promotion_and_verify(
        self, registry: Registry, version: int, tmp_path: Path
    ) -> None:
        digest = registry.files("demo", version)["model/model.bst"]["sha256"]
        self.alter(tmp_path / "registry" / "blobs" / digest[:2] / digest, b"tree", b"free")
        for attempt in (
            lambda: registry.verify("demo"),
            lambda: fetch(registry, "demo", registry.version("demo", version), tmp_path / "cache"),
            lambda: registry.promote("demo", version, "staging", who="ann", why="go"),
        ):
            with pytest.raises(RegistryError, match=r"the blob of model/model\.bst was altered"):
                attempt()
        assert registry.stages("demo") == {"production": version}
        assert not any((tmp_path / "cache").rglob("model.bst"))

    @pytest.mark.parametrize("name", ["model.bst", "manifest.json"])
    def test_the_copy_that_kserve_downloads(self, registry: Registry, version: int, tmp_path: Path, name: str) -> None:
        copy = Path(registry.publish("demo", version))
        registry.verify("demo")
        self.alter(copy / name, b"1" if name == "manifest.json" else b"=a", b"2")
        with pytest.raises(RegistryError, match=rf"models/{copy.name}/{name}: the published copy of model/{name} was"):
            registry.verify("demo")

    def test_a_copy_with_a_file_less_or_more(self, registry: Registry, version: int, tmp_path: Path) -> None:
        copy = Path(registry.publish("demo", version))
        (copy / "model.bst").unlink()
        with pytest.raises(RegistryError, match=r"model\.bst: missing; publish the version again"):
            registry.verify("demo")
        registry.publish("demo", version)
        (copy / "more.json").write_text("{}")
        with pytest.raises(RegistryError, match=r"more\.json: published, but not a file of that version"):
            registry.verify("demo")
        (copy / "more.json").unlink()
        copy.rename(copy.with_name("ab" * 32))
        with pytest.raises(RegistryError, match=rf"models/{'ab' * 32}: published, but no version has this model"):
            registry.verify("demo")

    def test_a_copy_whose_publisher_was_killed(self, registry: Registry, version: int, tmp_path: Path) -> None:
        copy = Path(registry.publish("demo", version))
        for name in ("manifest.json", "model.bst"):  # the manifest is written last
            (copy / name).unlink()
            registry.verify("demo")
        registry.publish("demo", version)
        assert {path.name for path in copy.iterdir()} == {"manifest.json", "model.bst"}

    def test_signatures_of_all_documents_that_a_version_had_may_be_published(
        self, registry: Registry, tmp_path: Path
    ) -> None:
        files = version_files(tmp_path, "s")
        number = registry.register("demo", files, who="ann", why="first")
        for signer in ("ann", "bob"):
            documents = document_files(tmp_path / signer, files)
            for suffix in ("sig", "pub"):
                documents[f"governance/model.{suffix}"] = tmp_path / f"{signer}.{suffix}"
                (tmp_path / f"{signer}.{suffix}").write_text(f"{suffix} of {signer}")
            registry.attach_documents("demo", number, documents, who=signer, why="documented")
            copy = Path(registry.publish("demo", number))
        registry.verify("demo")
        signatures = sorted((copy / "signature").iterdir())
        assert len(signatures) == 4
        self.alter(signatures[0], b"of", b"by")
        with pytest.raises(RegistryError, match=rf"{signatures[0].name}: the published copy of governance/model\."):
            registry.verify("demo")

    def test_a_second_signature_of_the_same_key_leaves_the_first_where_it_is(
        self, registry: Registry, tmp_path: Path
    ) -> None:
        files = version_files(tmp_path, "s")
        number = registry.register("demo", files, who="ann", why="first")
        for turn in ("first", "second"):
            documents = document_files(tmp_path / turn, files)
            for suffix, text in (("sig", turn), ("pub", "ann")):
                documents[f"governance/model.{suffix}"] = tmp_path / f"{turn}.{suffix}"
                (tmp_path / f"{turn}.{suffix}").write_text(text)
            registry.attach_documents("demo", number, documents, who="ann", why="documented")
            copy = Path(registry.publish("demo", number))
        (signature,) = (copy / "signature").glob("*.sig")
        assert signature.read_text() == "first"
        registry.verify("demo")

    def test_a_missing_blob_and_an_altered_manifest(self, registry: Registry, version: int, tmp_path: Path) -> None:
        manifest = tmp_path / "registry" / "use_cases" / "demo" / "manifests"
        path = manifest / f"{registry.version('demo', version).manifest}.json"
        self.alter(path, b'"format":1', b'"format":2')
        with pytest.raises(RegistryError, match="the manifest was altered"):
            registry.verify("demo")
        self.alter(path, b'"format":2', b'"format":1')
        shutil.rmtree(tmp_path / "registry" / "blobs")
        with pytest.raises(RegistryError, match="is missing"):
            registry.verify("demo")


class TestAddresses:
    def test_resolve_gives_the_verified_model_directory(self, registry: Registry, tmp_path: Path) -> None:
        number = documented_version(registry, tmp_path, "a")
        registry.promote("demo", number, who="ann", why="go")
        for address in ("registry:demo/production", f"registry:demo/{number}", f"registry:demo/v{number}"):
            model = resolve(address, tmp_path / "registry", tmp_path / "cache")
            assert (model / "model.bst").read_text().startswith("tree")
            assert (model.parent / "governance" / "model_card.md").exists()

    def test_a_spoilt_cache_is_fetched_again(self, registry: Registry, tmp_path: Path) -> None:
        number = documented_version(registry, tmp_path, "a")
        model = resolve(f"registry:demo/{number}", tmp_path / "registry", tmp_path / "cache")
        (model / "model.bst").write_text("spoilt")
        again = resolve(f"registry:demo/{number}", tmp_path / "registry", tmp_path / "cache")
        assert again == model
        assert (model / "model.bst").read_text().startswith("tree")

    @pytest.mark.parametrize("address", ["registry:demo", "demo", "registry:/production", "registry:demo/a/b"])
    def test_malformed_addresses_are_refused(self, address: str) -> None:
        with pytest.raises(RegistryError, match="is not a stage address"):
            parse_address(address)


class TestLocalStore:
    def test_what_killed_writers_left_aside_is_swept_after_an_hour(self, tmp_path: Path) -> None:
        store = LocalStore(str(tmp_path), tmp_path)
        old, young = tmp_path / ".temporary" / "old", tmp_path / ".temporary" / "young"
        store.create("a", b"1")
        for path in (old, young):
            path.write_bytes(b"half")
        os.utime(old, (0, 0))
        store.probe()
        assert not old.exists()
        assert young.exists()

    def test_a_replaced_file_is_flushed_with_its_directory(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        flushed: list[int] = []
        flush = os.fsync

        def counted(handle: int) -> None:
            flushed.append(os.fstat(handle).st_ino)
            flush(handle)

        monkeypatch.setattr(os, "fsync", counted)
        store = LocalStore(str(tmp_path), tmp_path)
        store.replace("folder/head.json", b"{}")
        assert flushed == [(tmp_path / "folder/head.json").stat().st_ino, (tmp_path / "folder").stat().st_ino]

    def test_a_directory_that_cannot_be_written_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("not a directory")
        with pytest.raises(RegistryError, match="cannot be written"):
            Registry(tmp_path / "file" / "registry").register(
                "demo", version_files(tmp_path, "a"), who="ann", why="try"
            )

    def test_another_scheme_is_refused_by_name(self) -> None:
        with pytest.raises(RegistryError, match="a memory:// store has no atomic create-only put"):
            Registry("memory://registry")

"""Verify catches what was altered, and says where: careless changes by digest, consistent forgeries by content."""

import json
import os
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from almanac.core.errors import AlmanacError, DocumentError
from almanac.core.files import canonical_json, read_json, sha256_file, write_json
from almanac.usecase import UseCase, dump, load_text
from governance import signing
from governance.documents.artifacts import Artifacts, run_files
from governance.documents.bundle import manifest_digest
from governance.registry import Registry, collect, resolve
from governance.verify import verify
from governance.verify.bundle import Bundle
from governance.verify.checks import CHECKS
from governance.verify.decided import check_gate
from governance.verify.evaluated import check_evaluation
from governance.verify.integrity import check_tables
from governance.verify.metrics import check_metrics
from governance.verify.rendered import check_rendered
from tests.support.governance_world import World, record_run
from tests.support.real_run import make_run

#: At least 200 in every run of the suite; more by the environment.
MUTATIONS = int(os.environ.get("ALMANAC_MUTATIONS", "220"))


@pytest.fixture(scope="session")
def pinned(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The key that the auditor has by another way than with the bundle."""
    path = tmp_path_factory.mktemp("auditor") / "team.pub"
    path.write_bytes(signing.public_key(signing.signing_key()))
    return path


def bundle_of(world: World) -> Bundle:
    """Return the bundle to check one by one."""
    run, folder = world.run, world.run / "governance"
    artifacts = Artifacts(run_files(run) | collect(folder, "governance"))
    tables = [path if path.exists() else None for path in (run / "data.parquet", run / "features.parquet")]
    return Bundle(run / "model", folder, artifacts, read_json(folder / "manifest.json"), None, None, run, *tables)


def whole(world: World) -> None:
    steps = {step.name: step.count for step in verify(world.run, str(world.registry))}
    assert steps["references"] > 1000
    assert steps["metrics"] > 100
    assert steps["event chain"] == 4


def mutable_files(world: World) -> list[Path]:
    """Return everything that verify vouches for: documents, artifacts, events, manifests, blobs and published copy."""
    run = [path for name in ("governance", "model") for path in (world.run / name).rglob("*") if path.is_file()]
    run += [path for path in world.run.iterdir() if path.is_file() and path.name != "run.json"]
    stored = [path for path in world.registry.rglob("*") if path.is_file() and ".temporary" not in path.parts]
    return sorted(run + stored)


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Return the data with one digit, or one byte, changed."""
    digits = [match.start() for match in re.finditer(rb"\d", data[:200_000])]
    if digits and chance.random() < 0.6:
        place = chance.choice(digits)
        other = chance.choice([digit for digit in b"0123456789" if digit != data[place]])
    else:
        place = chance.randrange(len(data))
        other = chance.choice([byte for byte in range(256) if byte != data[place]])
    return data[:place] + bytes([other]) + data[place + 1 :]


def not_named(path: Path, check: Callable[[], object]) -> str | None:
    """Return None where the check names the file that was altered, or what it does instead."""
    try:
        check()
    except AlmanacError as error:
        return None if path.name in str(error) else f"{path}: caught, but as {error}"
    return f"{path}: not caught"


def test_the_world_verifies(world: World) -> None:
    whole(world)


def test_every_single_mutation_is_caught_and_its_file_named(spoilt: World) -> None:
    chance = random.Random(11)
    registry = Registry(spoilt.registry)
    copy = Path(registry.publish("air_quality", 1))
    files = mutable_files(spoilt)
    assert {copy / "manifest.json", copy / "pm25_1h" / "model.bst"} < set(files)
    assert {path.suffix for path in files if path.parent == copy / "signature"} == {".sig", ".pub"}
    for path in files:
        path.chmod(0o644)
    missed = []
    for turn in range(MUTATIONS):
        path = files[turn] if turn < len(files) else chance.choice(files)
        data = path.read_bytes()
        path.write_bytes(mutated(data, chance))
        checks: list[Callable[[], object]] = [lambda: verify(spoilt.run, str(spoilt.registry))]
        if spoilt.registry in path.parents:
            checks.append(lambda: registry.verify("air_quality"))
        missed += [fault for check in checks if (fault := not_named(path, check))]
        path.write_bytes(data)
    assert not missed, missed[:5]
    whole(spoilt)


class TestForgeries:
    """Whoever alters a file and every digest that covers it is caught by the content."""

    def rehash(self, world: World) -> None:
        path = world.run / "governance" / "manifest.json"
        manifest = read_json(path)
        for folder, listed in ((world.run / "governance", manifest["files"]), (world.run, manifest["artifacts"])):
            for name in listed:
                file = folder / name
                listed[name] = {"sha256": sha256_file(file), "bytes": file.stat().st_size}
        manifest["digest"] = manifest_digest(manifest)
        path.write_bytes(canonical_json(manifest) + b"\n")
        # Left out, as the caller pins no key: what is caught here is caught by the content.
        (world.run / "governance" / "documents.sig").unlink(missing_ok=True)
        record_run(world.run)

    def follow(self, world: World, uri: str) -> None:
        """Make provenance and the references' digests follow an altered artifact."""
        folder = world.run / "governance"
        listed = read_json(folder / "manifest.json")
        old = (listed["artifacts"] | {f"governance/{k}": v for k, v in listed["files"].items()})[uri]["sha256"]
        provenance = folder / "provenance.json"
        provenance.write_text(provenance.read_text().replace(old, sha256_file(world.run / uri)))
        path = folder / "references.json"
        document = read_json(path)
        for entry in document["references"]:
            if entry["uri"] == uri:
                entry["sha256"] = sha256_file(world.run / uri)
        path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")

    def edit(self, path: Path, change: Callable[[Any], None]) -> None:
        document = read_json(path)
        change(document)
        path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")

    def test_digits_of_the_cards(self, spoilt: World) -> None:
        chance = random.Random(5)
        folder = spoilt.run / "governance"
        entries = [e for e in read_json(folder / "references.json")["references"] if "start" in e]
        entries = [entry for entry in entries if re.search(r"\d", entry["text"])]
        for entry in chance.sample(entries, 30):
            path = folder / entry["document"]
            text = path.read_text()
            place = entry["start"] + re.search(r"\d", entry["text"]).start()  # type: ignore[union-attr]
            path.write_text(text[:place] + str((int(text[place]) + 1) % 10) + text[place + 1 :])
            self.rehash(spoilt)
            with pytest.raises(DocumentError, match=re.escape(f"governance/{entry['document']}: line {entry['line']}")):
                verify(spoilt.run)
            path.write_text(text)
        self.rehash(spoilt)
        verify(spoilt.run)

    def test_a_number_written_into_a_card(self, spoilt: World) -> None:
        path = spoilt.run / "governance" / "model_card.md"
        path.write_text(path.read_text() + "\nThe error is 3.5 only.\n")
        self.rehash(spoilt)
        with pytest.raises(DocumentError, match=r"model_card\.md: line \d+: '3\.5' is no reference"):
            verify(spoilt.run)

    @pytest.mark.parametrize(
        "pointer",
        [("rmse",), ("mae",), ("r2",), ("n",), ("coverage", "overall"), ("coverage", "bands", "over 150"),
         ("baselines", "persistence", "rmse"), ("baselines", "persistence", "model", "mae"),
         ("disparity", "season", "rmse", "difference"), ("disparity", "band", "mae", "ratio"),
         ("skill", "persistence", "mae"), ("slices", "season", "winter", "rmse")],
    )  # fmt: skip
    def test_a_metric_and_all_that_quotes_it(self, spoilt: World, pointer: tuple[str, ...]) -> None:
        def change(metrics: Any) -> None:
            place = metrics["targets"]["pm25_1h"]
            for key in pointer[:-1]:
                place = place[key]
            # A change below what any document prints, so that only computing it again can tell.
            place[pointer[-1]] += 1 if pointer == ("n",) else 1e-7

        self.edit(spoilt.run / "metrics.json", change)
        self.follow(spoilt, "metrics.json")
        self.rehash(spoilt)
        path = "/".join(pointer)
        with pytest.raises(DocumentError, match=rf"metrics\.json#/targets/pm25_1h/({path}|n)"):
            verify(spoilt.run)

    @pytest.mark.parametrize("which", ["worst", "best"])
    def test_another_group_that_is_said_to_be_worst(self, spoilt: World, which: str) -> None:
        def change(metrics: Any) -> None:
            metrics["targets"]["pm25_1h"]["disparity"]["season"]["rmse"][which] = "spring"

        before = read_json(spoilt.run / "metrics.json")["targets"]["pm25_1h"]["disparity"]["season"]["rmse"]
        assert before[which] != "spring"
        self.edit(spoilt.run / "metrics.json", change)
        with pytest.raises(DocumentError, match=rf"metrics\.json#/targets/pm25_1h/disparity/season/rmse/{which}: "):
            check_metrics(Artifacts(run_files(spoilt.run) | collect(spoilt.run / "governance", "governance")))

    def test_a_risk_class_and_a_checklist_answer(self, spoilt: World) -> None:
        path = spoilt.run / "governance" / "computed.json"
        self.edit(path, lambda computed: computed["risk"].update(score=1, legal_reason="none at all"))
        self.follow(spoilt, "governance/computed.json")
        self.rehash(spoilt)
        with pytest.raises(DocumentError, match=r"computed\.json"):
            verify(spoilt.run)

    def test_the_description_of_another_table(self, spoilt: World) -> None:
        self.edit(spoilt.run / "tuning.json", lambda tuning: tuning["table"].update(sha256="0" * 64))
        self.follow(spoilt, "tuning.json")
        self.rehash(spoilt)
        with pytest.raises(DocumentError, match=r"tuning\.json: describes another table"):
            verify(spoilt.run)

    def test_materials_that_name_other_libraries(self, spoilt: World) -> None:
        path = spoilt.run / "governance" / "mlbom.cdx.json"
        path.write_text(path.read_text().replace('"version": "4.', '"version": "3.'))
        self.rehash(spoilt)
        with pytest.raises(
            DocumentError, match=r"mlbom\.cdx\.json: line \d+: says .*: the artifacts give something else"
        ):
            verify(spoilt.run)

    def test_documents_of_another_release_are_derived_again_where_its_rules_give_the_same(self, spoilt: World) -> None:
        path = spoilt.run / "governance" / "manifest.json"
        manifest = read_json(path)
        # Manifests once counted their rules by hand, and listed no documents.
        earlier = {key: value for key, value in manifest.items() if key not in ("documents", "renderers")} | {
            "rules": 2
        }
        path.write_bytes(canonical_json({**earlier, "digest": manifest_digest(earlier)}) + b"\n")
        (spoilt.run / "governance" / "documents.sig").unlink()
        record_run(spoilt.run)
        steps = {step.name: step for step in verify(spoilt.run)}
        assert (steps["documents"].count, steps["documents"].note) == (
            16,
            "plots compared by their data, as another version of matplotlib drew them",
        )
        assert steps["document kinds"].count == 6

        materials = spoilt.run / "governance" / "mlbom.cdx.json"
        materials.write_text(materials.read_text().replace('"version": "4.', '"version": "3.'))
        self.rehash(spoilt)
        step = {step.name: step for step in verify(spoilt.run)}["documents"]
        assert step.count == 15
        assert step.note.startswith("mlbom.cdx.json: written by another release, this one renders something else")

    def test_figures_of_another_release_are_noted(self, spoilt: World) -> None:
        self.edit(spoilt.run / "metrics.json", lambda metrics: metrics["targets"]["pm25_1h"].pop("headline"))
        check = CHECKS["metrics"][1]
        bundle = bundle_of(spoilt)
        with pytest.raises(KeyError, match="headline"):
            check(bundle)
        bundle.manifest["rules"] = "0" * 64
        count, note = check(bundle)
        assert (count, note.partition(",")[0]) == (0, "written by another release")

    def test_a_model_whose_manifests_follow(self, spoilt: World) -> None:
        folder = spoilt.run / "model"
        body = folder / "pm25_1h" / "model.bst"
        body.write_text(body.read_text().replace("leaf_value=", "leaf_value=1", 1))
        for path, name in (
            (folder / "pm25_1h" / "manifest.json", "model.bst"),
            (folder / "manifest.json", "pm25_1h/model.bst"),
        ):
            manifest = read_json(path)
            manifest["files"][name]["sha256"] = sha256_file(body)
            path.write_text(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")
        inner = sha256_file(folder / "pm25_1h" / "manifest.json")
        self.edit(folder / "manifest.json", lambda m: m["files"]["pm25_1h/manifest.json"].update(sha256=inner))
        for uri in ("model/manifest.json", "model/pm25_1h/manifest.json"):
            self.follow(spoilt, uri)
        self.rehash(spoilt)
        with pytest.raises(DocumentError, match=r"model\.sig: no valid signature .*altered: .*pm25_1h/model\.bst"):
            verify(spoilt.run)

    def test_the_chain_tells_documents_that_were_never_registered(self, spoilt: World) -> None:
        path = spoilt.run / "governance" / "retraining_plan.md"
        path.write_text(path.read_text() + "\nAnother promise.\n")
        self.rehash(spoilt)
        with pytest.raises(DocumentError, match=r"retraining_plan\.md: line \d+: says an empty line, not nothing"):
            verify(spoilt.run)
        with pytest.raises(DocumentError, match=r"governance/manifest\.json: not the documents that version 1"):
            verify(spoilt.run, str(spoilt.registry))


class TestPlaces:
    def test_a_bundle_and_a_version_from_the_registry_verify_too(self, world: World, tmp_path: Path) -> None:
        verify(world.run / "governance", str(world.registry))
        model = resolve("registry:air_quality/production", world.registry, tmp_path / "cache")
        steps = verify(model.parent, str(world.registry))
        assert {step.name for step in steps} >= {
            "hashes",
            "metrics",
            "model signature",
            "documents signature",
            "event chain",
        }

    def test_a_missing_and_an_additional_file(self, spoilt: World) -> None:
        (spoilt.run / "governance" / "notes.md").write_text("more")
        with pytest.raises(DocumentError, match=r"governance/notes\.md: not listed"):
            verify(spoilt.run)
        (spoilt.run / "governance" / "notes.md").unlink()
        (spoilt.run / "model" / "pm25_1h" / "offset.json").unlink()
        with pytest.raises(DocumentError, match=r"model/pm25_1h/offset\.json: missing"):
            verify(spoilt.run)

    def test_a_directory_without_documents(self, tmp_path: Path) -> None:
        with pytest.raises(DocumentError, match=r"manifest\.json: missing; expected the directory of a run"):
            verify(tmp_path)

    @pytest.mark.parametrize("name", ["registration.json", "report.html", "drift.html", "inferenceservice.yaml"])
    def test_a_file_of_the_run_that_no_document_quotes(self, spoilt: World, name: str) -> None:
        path = spoilt.run / name
        if not path.exists():
            path.write_text("as the run left it")
            record_run(spoilt.run)
        verify(spoilt.run)
        path.write_bytes(path.read_bytes() + b" ")
        with pytest.raises(DocumentError, match=rf"^{re.escape(name)}: altered; .*run\.json"):
            verify(spoilt.run)
        path.unlink()
        with pytest.raises(DocumentError, match=rf"^{re.escape(name)}: missing; run\.json lists it"):
            verify(spoilt.run)

    def test_what_has_no_run_record_says_so(self, spoilt: World) -> None:
        steps = {step.name: step for step in verify(spoilt.run)}
        assert steps["run record"].count == len(read_json(spoilt.run / "run.json")["artifacts"]) > 20
        assert steps["coverage"].note == "not covered: run.json"
        assert steps["run signature"].count == 0
        (spoilt.run / "run.json").unlink()
        assert {step.name: step.note for step in verify(spoilt.run)}["run record"].startswith("no run.json")

    def test_another_registry(self, world: World, tmp_path: Path) -> None:
        Registry(tmp_path / "other").register(
            "air_quality", world.artifacts, who="eve", why="elsewhere", approval="none"
        )
        with pytest.raises(DocumentError, match=r"event chain: .*event 2 is not the one in"):
            verify(world.run, str(tmp_path / "other"))

    def test_the_registry_that_the_run_recorded(self, spoilt: World) -> None:
        record_run(spoilt.run, spoilt.registry)
        step = {step.name: step for step in verify(spoilt.run)}["event chain"]
        assert (step.count, step.note) == (
            4,
            f"in {spoilt.registry}, by run.json; a rewritten end would not show: give --checkpoint",
        )
        (spoilt.registry / "use_cases" / "air_quality" / "events" / "00000004.json").unlink()
        with pytest.raises(DocumentError, match=r"00000004\.json: missing; the log was truncated"):
            verify(spoilt.run)

    @pytest.mark.parametrize(
        ("registry", "why"),
        [
            (None, "no run.json records a registry"),
            ("{tmp}/nowhere", "the run's registry {tmp}/nowhere holds nothing of air_quality any more"),
            ("{tmp}/file", "the run's registry {tmp}/file cannot be read"),
            ("ftp://nowhere", "the run's registry ftp://nowhere cannot be read"),
        ],
    )
    def test_a_chain_that_cannot_be_read_is_said_not_to_be_checked(
        self, spoilt: World, tmp_path: Path, registry: str | None, why: str
    ) -> None:
        (tmp_path / "file").write_text("")
        record_run(spoilt.run, registry and registry.format(tmp=tmp_path))
        step = {step.name: step for step in verify(spoilt.run)}["event chain"]
        assert step.count == 0
        assert step.note.startswith(why.format(tmp=tmp_path))
        assert step.note.endswith(": give --registry")

    def test_a_truncated_log(self, spoilt: World) -> None:
        (spoilt.registry / "use_cases" / "air_quality" / "events" / "00000004.json").unlink()
        with pytest.raises(DocumentError, match=r"00000004\.json: missing; the log was truncated"):
            verify(spoilt.run, str(spoilt.registry))

    def test_a_foreign_key(self, world: World, tmp_path: Path) -> None:
        signing.generate_key(tmp_path / "key.pem")
        (tmp_path / "key.pub").write_bytes(signing.public_key(tmp_path / "key.pem"))
        with pytest.raises(DocumentError, match=r"no valid signature of .*model by .*key\.pub: .*Key mismatch"):
            verify(world.run, trust=tmp_path / "key.pub")
        note = next(step.note for step in verify(world.run) if step.name == "model signature")
        assert "pin one with --public-key" in note
        shutil.rmtree(tmp_path)


class TestAgain:
    """What is done again: predictions and figures by the signed model, documents from their artifacts."""

    def test_a_whole_run_is_predicted_again(self, complete: World) -> None:
        steps = {step.name: step for step in verify(complete.run)}
        assert steps["predictions"].count == pl.read_parquet(complete.run / "predictions.parquet").height
        assert steps["run signature"].count == sum(1 for path in complete.run.rglob("*") if path.is_file()) - 1
        assert [name for name, step in steps.items() if not step.count] == []

    def test_a_run_by_its_link(self, complete: World, pinned: Path) -> None:
        (complete.run.parent / "latest").symlink_to(complete.run.name)
        verify(complete.run.parent / "latest", trust=pinned)

    def test_a_truth_that_the_table_does_not_have(self, complete: World) -> None:
        path = complete.run / "predictions.parquet"
        table = pl.read_parquet(path)
        raised = pl.when(pl.int_range(pl.len()) == 7).then(pl.col("upper") + 1).otherwise(pl.col("upper"))
        table.with_columns(raised.alias("upper")).write_parquet(path)
        with pytest.raises(DocumentError, match=r"predictions\.parquet: row 7 \(.*pm25_1h\): upper is .* give "):
            check_evaluation(bundle_of(complete))

    @pytest.mark.parametrize(
        ("file", "pointer"),
        [("metrics.json", ("ci", "rmse", 0)), ("metrics.json", ("mase",)), ("evaluation.json", ("weeks", 0, "rmse"))],
    )
    def test_a_figure_that_only_an_evaluation_gives(
        self, complete: World, file: str, pointer: tuple[str | int, ...]
    ) -> None:
        path = complete.run / file
        document = read_json(path)
        place = document["targets"]["pm25_1h"]
        for key in pointer[:-1]:
            place = place[key]
        place[pointer[-1]] *= 1.00001
        write_json(path, document)
        named = "/".join(map(str, pointer))
        with pytest.raises(DocumentError, match=rf"{file}#/targets/pm25_1h/{named}: states .*, not .* computed again"):
            check_evaluation(bundle_of(complete))

    def test_another_table_than_the_models(self, complete: World) -> None:
        path = complete.run / "data.parquet"
        pl.read_parquet(path).with_columns(pl.col("pm25") + 1).write_parquet(path)
        with pytest.raises(DocumentError, match=r"data\.parquet: altered"):
            verify(complete.run)

    def test_a_table_for_a_version_that_holds_none(self, world: World, trained: Path) -> None:
        assert check_tables(bundle_of(world))[1] == "the table is not at hand: give --data"
        bundle = bundle_of(world)
        bundle.data = trained / "data.parquet"
        assert check_tables(bundle) == (1, "")
        bundle.data = world.run / "predictions.parquet"
        with pytest.raises(DocumentError, match=r"predictions\.parquet: altered; not the table"):
            check_tables(bundle)

    @pytest.mark.parametrize(
        ("change", "place"),
        [
            (lambda gate: gate["rules"][0].update(observed=0.9), "rules/0/observed"),
            (lambda gate: gate["rules"].pop(), "rules"),
            (lambda gate: gate.update(false_refusals=0.0), "false_refusals"),
            (lambda gate: gate["rules"][1].update(message="as required"), "rules/1/message"),
        ],
    )
    def test_a_decision_that_the_gate_does_not_make(
        self, spoilt: World, change: Callable[[Any], object], place: str
    ) -> None:
        assert check_gate(bundle_of(spoilt))[0] == len(read_json(spoilt.run / "gate.json")["rules"])
        gate = read_json(spoilt.run / "gate.json")
        change(gate)
        write_json(spoilt.run / "gate.json", gate)
        with pytest.raises(DocumentError, match=rf"gate\.json#/{place}: .*when it is decided again"):
            check_gate(bundle_of(spoilt))

    def test_a_swapped_section_and_another_word(self, spoilt: World) -> None:
        path = spoilt.run / "governance" / "annex_iv.md"
        text = path.read_text()
        path.write_text(text.replace("Human oversight, Article 14", "Human insight, Article 14"))
        with pytest.raises(
            DocumentError, match=r"annex_iv\.md: line \d+: says '.*Human insight.*, not '.*Human oversight"
        ):
            check_rendered(bundle_of(spoilt))

    def test_a_plot(self, spoilt: World) -> None:
        path = spoilt.run / "governance" / "index.html"
        path.write_text(path.read_text().replace('d="M 0 0', 'd="M 0 1', 1))
        with pytest.raises(DocumentError, match=r"index\.html: line \d+: says .*"):
            check_rendered(bundle_of(spoilt))

    def test_plots_of_another_matplotlib_are_compared_by_their_data(self, spoilt: World) -> None:
        path = spoilt.run / "governance" / "index.html"
        page = path.read_text()
        bundle = bundle_of(spoilt)
        bundle.manifest["renderers"]["matplotlib"] = "3.0.0"
        path.write_text(page.replace('d="M 0 0', 'd="M 0 1', 1))
        assert "compared by their data" in check_rendered(bundle)[1]
        bundle = bundle_of(spoilt)
        bundle.manifest["renderers"]["matplotlib"] = "3.0.0"
        path.write_text(page.replace('"bars": [["-0.4", "2', '"bars": [["-0.4", "1', 1))
        with pytest.raises(DocumentError, match=r"index\.html: line \d+"):
            check_rendered(bundle)


class TestSigned:
    """With a pinned key nothing passes that its holder did not sign."""

    def test_documents_without_their_signature(self, spoilt: World, pinned: Path) -> None:
        verify(spoilt.run / "governance", trust=pinned)
        (spoilt.run / "governance" / "documents.sig").unlink()
        with pytest.raises(DocumentError, match=r"governance/documents\.sig: missing; the documents are not signed"):
            verify(spoilt.run / "governance", trust=pinned)

    def test_a_report_beside_what_is_signed(self, complete: World, pinned: Path) -> None:
        (complete.run / "report.html").write_text("better than it is")
        with pytest.raises(DocumentError, match=r"run\.sig: no valid signature .*additional: report\.html"):
            verify(complete.run, trust=pinned)
        (complete.run / "run.sig").unlink()
        with pytest.raises(
            DocumentError,
            match=r"\w+\.\w+: nothing signed covers it, as there is no run\.sig, which a run fetched",
        ):
            verify(complete.run, trust=pinned)
        verify(complete.run / "governance", trust=pinned)

    def test_an_attackers_own_signature(self, complete: World, pinned: Path, tmp_path: Path) -> None:
        signing.generate_key(tmp_path / "eve.pem")
        signing.sign_contents(complete.run / "governance", signing.DOCUMENTS_SIGNATURE, tmp_path / "eve.pem")
        with pytest.raises(DocumentError, match=r"documents\.sig: no valid signature"):
            verify(complete.run / "governance", trust=pinned)


def test_groups_of_the_calendar_are_recomputed_by_the_clocks_of_the_use_case(
    usecase: UseCase, beijing: pl.DataFrame, tmp_path: Path
) -> None:
    local = json.loads(dump(usecase)) | {"time": {"column": "timestamp", "frequency": "1h", "zone": "Asia/Shanghai"}}
    run = make_run(load_text(json.dumps(local), "air_quality"), beijing, tmp_path / "run", ("pm25_1h",))
    hours = read_json(run / "metrics.json")["targets"]["pm25_1h"]["slices"]["hour"]
    rows = pl.read_parquet(run / "predictions.parquet").filter(pl.col("target") == "pm25_1h")
    # Shanghai is eight hours ahead of UTC, the clock of the table.
    assert hours["08"]["n"] == rows.filter(pl.col("timestamp").dt.hour() == 0).height
    (tmp_path / "usecase.json").write_text(json.dumps(local))
    assert check_metrics(Artifacts({**run_files(run), "governance/usecase.json": tmp_path / "usecase.json"})) > 100

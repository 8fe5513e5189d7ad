"""The documents of a real run: every figure a reference, every statement signed, nothing missing, nothing typed in."""

import json
import time
from itertools import takewhile
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from almanac.core.errors import DocumentError
from almanac.core.files import read_json, sha256_file, write_json
from almanac.core.usage import measured
from almanac.usecase import dump
from governance.documents import plots
from governance.documents.artifacts import Artifacts, run_files
from governance.documents.bundle import not_stated, write_documents
from governance.documents.computed import compute
from governance.documents.cyclonedx import model_card, validate
from governance.documents.kind import complete_files, documents
from governance.documents.kinds.risk_assessment.risk import QUESTIONS, SCALE, assess, check_answers
from governance.documents.layout import USECASE
from governance.documents.references import References, unmark, unreferenced
from governance.documents.render import environment
from governance.documents.statements import check_statements, mandatory_statements
from tests.support.governance_world import World

MANDATORY = mandatory_statements(documents())
DOCUMENTS = [document.file for document in documents()]


@pytest.fixture
def folder(world: World) -> Path:
    return world.run / "governance"


def references(folder: Path) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = read_json(folder / "references.json")["references"]
    return listed


class TestBundle:
    def test_all_documents_are_there(self, folder: Path) -> None:
        assert set(complete_files()) <= {path.name for path in folder.iterdir()}

    def test_headline_figures_stand_in_the_model_card_as_the_metrics_have_them(
        self, world: World, folder: Path
    ) -> None:
        card = (folder / "model_card.md").read_text()
        for name, target in read_json(world.run / "metrics.json")["targets"].items():
            row = next(line for line in card.splitlines() if line.startswith(f"| {name} (µg/m³)"))
            assert f"| {target['rmse']:.2f} |" in row
            assert f"{target['ci']['rmse'][0]:.2f} to {target['ci']['rmse'][1]:.2f}" in row

    @pytest.mark.parametrize("name", DOCUMENTS)
    def test_every_number_is_a_reference(self, folder: Path, name: str) -> None:
        text = (folder / name).read_text()
        places = [entry for entry in references(folder) if entry["document"] == name]
        spans = [(entry["start"], entry["start"] + len(entry["text"])) for entry in places]
        assert len(places) > 20
        assert all(text[start:end] == entry["text"] for (start, end), entry in zip(spans, places, strict=True))
        assert unreferenced(text, spans) is None

    def test_references_give_uri_digest_and_pointer(self, world: World, folder: Path) -> None:
        artifacts = Artifacts(run_files(world.run) | {f"governance/{path.name}": path for path in folder.iterdir()})
        for entry in references(folder):
            assert artifacts[entry["uri"]].sha256 == entry["sha256"]
            artifacts.value(entry["uri"], entry["pointer"])

    def test_every_statement_is_quoted_with_author_and_date(self, folder: Path) -> None:
        quoted = {entry["pointer"] for entry in references(folder) if entry["uri"] == "governance/usecase.json"}
        for key in MANDATORY:
            assert {f"/governance/statements/{key}/{part}" for part in ("text", "author", "date")} <= quoted, key

    def test_sections_are_those_of_the_sources(self, folder: Path) -> None:
        def sections(name: str) -> list[str]:
            return [line for line in (folder / name).read_text().splitlines() if line.startswith("## ")]

        assert len(sections("model_card.md")) == 9
        assert len(sections("data_card.md")) == 7
        assert len(sections("annex_iv.md")) == 9

    def test_the_page_is_self_contained_and_has_plots(self, folder: Path) -> None:
        page = (folder / "index.html").read_text()
        assert page.count("<svg") >= 4
        assert 'src="http' not in page
        assert "<script" not in page
        assert all(f'<section id="{name[:-3].replace("_", "-")}">' in page for name in DOCUMENTS)

    def test_the_same_input_gives_the_same_bytes_in_time(self, world: World, folder: Path, tmp_path: Path) -> None:
        told = read_json(world.run / "registration.json")
        # As in another process, which has no plots yet.
        plots._NEWEST.clear()
        started = time.perf_counter()
        write_documents(run_files(world.run), dump(world.usecase), told, tmp_path / "governance")
        assert time.perf_counter() - started < 3 * 4, "3 s is the bar on a quiet machine; the suite shares two cores"
        assert (folder / "documents.sig").exists(), "made afterwards, and with other bytes each time"
        for path in (path for path in folder.iterdir() if path.name != "documents.sig"):
            assert (tmp_path / "governance" / path.name).read_bytes() == path.read_bytes(), path.name

    def test_plots_are_drawn_once_for_the_same_figures_and_anew_for_others(self, world: World, tmp_path: Path) -> None:
        files = run_files(world.run) | {USECASE: world.run / USECASE}
        first = plots.plots(Artifacts(files))
        assert plots.plots(Artifacts(files)) is first
        metrics = read_json(files["metrics.json"])
        for target in metrics["targets"].values():
            target["rmse"] = 2 * (target["rmse"] or 1.0)
        write_json(tmp_path / "metrics.json", metrics)
        other = plots.plots(Artifacts(files | {"metrics.json": tmp_path / "metrics.json"}))
        assert plots.plot_data(other[0][0]) != plots.plot_data(first[0][0])


def table(folder: Path, name: str, header: str) -> list[dict[str, str]]:
    """Return the rows of the first Markdown table whose header begins with `header`, by column."""
    lines = (folder / name).read_text().splitlines()
    start = next(place for place, line in enumerate(lines) if line.startswith(header))
    kept = takewhile(lambda line: line.startswith("|"), lines[start:])
    head, _, *rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in kept]
    return [dict(zip(head, row, strict=True)) for row in rows]


class TestWhatIsSaid:
    def test_the_data_card_tells_what_is_missing_and_what_may_be(self, trained: Path, folder: Path) -> None:
        data = pl.read_parquet(trained / "data.parquet")
        text = (folder / "data_card.md").read_text()
        span = "2010-01-01T00:00:00 to 2014-12-31T23:00:00"
        assert f"has {data.height:,} rows from {span}, with the 8 column(s) below" in text
        rows = {row["column"]: row for row in table(folder, "data_card.md", "| column | type")}
        share = data["pm25"].null_count() / data.height
        assert rows["pm25"]["missing, allowed"] == "10.0 %"
        assert rows["pm25"]["missing, observed"] == f"{share:.1%}".replace("%", " %") != "10.0 %"

    def test_the_model_card_tells_what_was_trained_on(self, world: World, folder: Path) -> None:
        rows = {row["target"]: row for row in table(folder, "model_card.md", "| target | rows trained on")}
        for name, entry in read_json(world.run / "tuning.json")["targets"].items():
            assert rows[name]["rows trained on"] == f"{entry['rows_trained']:,}"
            assert rows[name]["to"] == entry["span_trained"][1] < "2013"

    def test_cards_and_annex_disclose_what_was_known_of_the_test_year(self, folder: Path) -> None:
        for name in ("model_card.md", "annex_iv.md"):
            assert "replaced others whose coverage of 2014 was known" in (folder / name).read_text()

    def test_gate_tables_tell_figure_bound_and_what_was_not_applicable(self, world: World, folder: Path) -> None:
        rules = read_json(world.run / "gate.json")["rules"]
        rows = table(folder, "model_card.md", "| rule | target | what is judged | held")
        assert [row["what is judged"] for row in rows] == [rule["figure"] for rule in rules]
        for row, rule in zip(rows, rules, strict=True):
            idle = rule["margin"] is None
            required = "–" if rule["required"] is None else f"{rule['bound']} {rule['required']:.4g}"
            assert (row["held"], row["required"]) == ("not applicable" if idle else "yes", required)
            assert row["observed"].replace(",", "") == ("–" if idle else f"{rule['observed']:.4g}")
        counts = read_json(folder / "computed.json")["counts"]
        unjudged = sum(rule["margin"] is None for rule in rules)
        judged = len(rules) - unjudged
        assert judged > 0 and unjudged > 0
        assert (counts["gate_rules"], counts["gate_rules_not_applicable"]) == (judged, unjudged)
        text = (folder / "risk_assessment.md").read_text()
        assert f"{judged} gate check(s) evaluated, {unjudged} not applicable" in text

    def test_the_risk_score_is_shown_with_its_scale(self, folder: Path) -> None:
        rows = {row["step"]: row for row in table(folder, "risk_assessment.md", "| step")}
        assert (rows["severity, as answered"]["points"], rows["= severity"]["points"]) == ("2", "4")
        score = int(rows["= severity"]["points"]) * int(rows["= likelihood"]["points"])
        assert rows["score"]["because of"] == "severity × likelihood, at most 20"
        assert int(rows["score"]["points"]) == score == read_json(folder / "computed.json")["risk"]["score"]
        assert (
            "low up to 3, moderate up to 7, elevated up to 11, high up to 20."
            in (folder / "risk_assessment.md").read_text()
        )

    def test_the_checklist_does_not_pass_off_a_policy_as_an_approval(self, world: World, folder: Path) -> None:
        rows = {row["question"]: row for row in table(folder, "audit_checklist.md", "| area")}
        answer = rows["Was this version approved by somebody other than its proposer?"]["answer"]
        assert answer == "**not met: its policy, none, lets it be promoted without an approval**"
        checklist = read_json(folder / "computed.json")["checklist"]
        assert checklist["met"] == sum(row["answer"] == "met" for row in rows.values()) < checklist["of"] == len(rows)

    def test_a_version_that_awaits_approval_says_so(self, world: World, tmp_path: Path) -> None:
        told = {**read_json(world.run / "registration.json"), "approval": "required"}
        write_documents(run_files(world.run), dump(world.usecase), told, tmp_path / "governance")
        assert (
            "**not answered: its policy asks for an approval"
            in (tmp_path / "governance" / "audit_checklist.md").read_text()
        )

    @pytest.mark.parametrize(("within", "met"), [(0.05, True), (0.03, False)])
    def test_the_checklist_judges_coverage_by_the_gates_tolerance(
        self, world: World, tmp_path: Path, within: float, met: bool
    ) -> None:
        metrics = read_json(world.run / "metrics.json")
        for target in metrics["targets"].values():
            target["coverage"]["bands"] = dict.fromkeys(target["coverage"]["bands"], 0.945)
        (tmp_path / "metrics.json").write_text(json.dumps(metrics))
        files = {**run_files(world.run), "metrics.json": tmp_path / "metrics.json"}
        usecase = json.loads(dump(world.usecase))
        usecase["gates"] = [{"rule": "coverage", "within": within, "bands": True}]
        registration = read_json(world.run / "registration.json")
        write_documents(files, json.dumps(usecase), registration, tmp_path / "governance")
        checks = read_json(tmp_path / "governance" / "computed.json")["checklist"]["checks"]
        assert {check["key"]: check["met"] for check in checks}["coverage_bands"] is met

    def test_groups_of_few_rows_are_marked(self, world: World, tmp_path: Path) -> None:
        metrics = read_json(world.run / "metrics.json")
        metrics["targets"]["pm25_1h"]["slices"]["wind"]["NW"]["n"] = 29
        (tmp_path / "metrics.json").write_text(json.dumps(metrics))
        files = {**run_files(world.run), "metrics.json": tmp_path / "metrics.json"}
        write_documents(files, dump(world.usecase), read_json(world.run / "registration.json"), tmp_path / "governance")
        text = (tmp_path / "governance" / "model_card.md").read_text()
        assert "| NW (few rows) | 29 |" in text
        assert text.count("(few rows)") == 1


class TestBillsOfMaterials:
    @pytest.mark.parametrize("name", ["modelcard.cdx.json", "mlbom.cdx.json"])
    def test_the_librarys_own_strict_validator_agrees(self, folder: Path, name: str) -> None:
        from cyclonedx.schema import SchemaVersion
        from cyclonedx.validation.json import JsonStrictValidator

        assert JsonStrictValidator(SchemaVersion.V1_6).validate_str((folder / name).read_text()) is None

    def test_an_unknown_field_and_a_bad_hash_are_refused(self, folder: Path) -> None:
        validate((folder / "modelcard.cdx.json").read_text(), "card")
        card = read_json(folder / "modelcard.cdx.json")
        with pytest.raises(DocumentError, match=r"card: /metadata/component/modelCard.*surprise"):
            changed = json.loads(json.dumps(card))
            changed["metadata"]["component"]["modelCard"]["surprise"] = 1
            validate(json.dumps(changed), "card")
        with pytest.raises(DocumentError, match="card: /metadata/component/hashes/0/content"):
            card["metadata"]["component"]["hashes"][0]["content"] = "no digest"
            validate(json.dumps(card), "card")

    @pytest.mark.parametrize(
        ("kind", "family"),
        [
            ("lightgbm", "gradient-boosted trees"),
            ("ets", "exponential smoothing, gradient-boosted trees"),
            ("prophet", "gradient-boosted trees, prophet"),
        ],
    )
    def test_the_card_names_the_family_of_every_targets_model(
        self, world: World, folder: Path, tmp_path: Path, kind: str, family: str
    ) -> None:
        manifest = read_json(world.run / "model" / "pm25_1h" / "manifest.json") | {"kind": kind}
        (tmp_path / "manifest.json").write_text(json.dumps(manifest))
        files = run_files(world.run) | {f"governance/{path.name}": path for path in folder.iterdir()}
        artifacts = Artifacts({**files, "model/pm25_1h/manifest.json": tmp_path / "manifest.json"})
        parameters = model_card(References(artifacts))["metadata"]["component"]["modelCard"]["modelParameters"]
        assert parameters["architectureFamily"] == family

    def test_the_materials_list_files_data_and_libraries(self, world: World, folder: Path) -> None:
        bom = read_json(folder / "mlbom.cdx.json")
        manifest = read_json(world.run / "model" / "manifest.json")
        by_type = {kind: [c for c in bom["components"] if c["type"] == kind] for kind in ("data", "library")}
        assert {part["version"] for part in by_type["library"]} == set(manifest["libraries"].values())
        assert by_type["data"][0]["hashes"][0]["content"] == world.usecase.sources[0].sha256
        files = {file["name"] for part in bom["components"] for file in part.get("components", [])}
        assert {name for name in manifest["files"] if not name.endswith("manifest.json")} == files

    def test_provenance_leads_from_every_model_file_to_sources_and_revision(self, world: World, folder: Path) -> None:
        statement = read_json(folder / "provenance.json")
        manifest = read_json(world.run / "model" / "manifest.json")
        subjects = {entry["name"]: entry["digest"]["sha256"] for entry in statement["subject"]}
        assert all(subjects[f"model/{name}"] == entry["sha256"] for name, entry in manifest["files"].items())
        dependencies = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
        digests = [entry.get("digest", {}) for entry in dependencies]
        assert {"gitCommit": manifest["git_revision"]} in digests
        assert {"sha256": world.usecase.sources[0].sha256} in digests

    def test_provenance_is_what_slsas_own_messages_take(self, folder: Path) -> None:
        from google.protobuf import json_format  # type: ignore[import-untyped]
        from in_toto_attestation.predicates.provenance.v1.provenance_pb2 import Provenance  # type: ignore[import-untyped]
        from in_toto_attestation.v1.statement_pb2 import Statement  # type: ignore[import-untyped]

        statement = read_json(folder / "provenance.json")
        json_format.ParseDict(statement, Statement())
        json_format.ParseDict(statement["predicate"], Provenance())


class TestRefusals:
    def write(self, world: World, tmp_path: Path, change: Any) -> None:
        usecase = json.loads(dump(world.usecase))
        change(usecase["governance"])
        told = read_json(world.run / "registration.json")
        write_documents(run_files(world.run), json.dumps(usecase), told, tmp_path / "governance")

    @pytest.mark.parametrize("key", MANDATORY)
    def test_a_missing_statement_is_named_with_what_it_has_to_say(self, world: World, key: str) -> None:
        governance = json.loads(dump(world.usecase))["governance"]
        del governance["statements"][key]
        assert not_stated(governance) == [f"statements.{key}"]
        with pytest.raises(DocumentError) as caught:
            check_statements(governance)
        assert f"governance.statements.{key}: is missing; it has to say {MANDATORY[key]}" in str(caught.value)

    def test_an_empty_text_an_unknown_key_and_no_owner(self, world: World, tmp_path: Path) -> None:
        def change(governance: dict[str, Any]) -> None:
            governance["statements"]["caveats"]["text"] = " "
            governance["statements"]["cavets"] = governance["statements"]["caveats"]
            governance["owner"] = ""

        with pytest.raises(DocumentError) as caught:
            self.write(world, tmp_path, change)
        for fault in ("statements.caveats.text: is empty", "statements.cavets: unknown", "owner: is empty"):
            assert f"governance.{fault}" in str(caught.value)

    def test_a_missing_and_a_wrong_risk_answer(self, world: World, tmp_path: Path) -> None:
        def change(governance: dict[str, Any]) -> None:
            governance["risk"].pop("severity")
            governance["risk"]["autonomy"] = "maybe"

        with pytest.raises(DocumentError) as caught:
            self.write(world, tmp_path, change)
        assert "governance.risk.autonomy: 'maybe' is no answer; expected one of informs" in str(caught.value)
        with pytest.raises(DocumentError, match=r"governance\.risk\.severity: is missing"):
            check_answers({})
        assert not (tmp_path / "governance").exists()

    def test_a_missing_artifact(self, world: World, tmp_path: Path) -> None:
        files = run_files(world.run)
        del files["lineage.json"]
        with pytest.raises(DocumentError, match=r"lineage\.json: missing from the artifacts"):
            write_documents(files, dump(world.usecase), read_json(world.run / "registration.json"), tmp_path / "g")

    def test_a_directory_that_is_no_run(self, tmp_path: Path) -> None:
        with pytest.raises(DocumentError, match=r"model/manifest\.json: missing; expected"):
            run_files(tmp_path)


class TestTemplates:
    def references(self, tmp_path: Path, value: Any) -> References:
        (tmp_path / "a.json").write_text(json.dumps(value))
        return References(Artifacts({"a.json": tmp_path / "a.json"}))

    def test_a_bare_number_cannot_be_printed(self, tmp_path: Path) -> None:
        made = environment(self.references(tmp_path, {}))
        with pytest.raises(DocumentError, match=r"bare number 3\.14"):
            made.from_string("{{ x }}").render(x=3.14)

    def test_a_typed_number_is_found_with_its_line(self) -> None:
        assert unreferenced("# 1. Title\n\nRMSE is 20.1 here", []) == (3, "20.1")
        assert unreferenced("Annex IV point 2(d), Article 15, sha256, Mitchell et al., 2019", []) is None

    def test_a_reference_that_leads_nowhere_is_named(self, tmp_path: Path) -> None:
        references = self.references(tmp_path, {"a": {"b": 1}})
        with pytest.raises(DocumentError, match=r"a\.json#/a/c: nothing is there"):
            environment(references).from_string("{{ r.a.c | n2 }}").render(r=references.ref("a.json"))

    def test_text_cannot_turn_into_markup(self, tmp_path: Path) -> None:
        references = self.references(tmp_path, {"t": "a | b <script> [x](y) `c` *d*"})
        text, _ = unmark(environment(references).from_string("{{ r.t }}").render(r=references.ref("a.json")))
        assert text == r"a \| b \<script> \[x](y) \`c\` \*d\*"

    def test_keys_with_slashes_and_tildes(self, tmp_path: Path) -> None:
        references = self.references(tmp_path, {"a/b": {"~c": 2.5}})
        marked = environment(references).from_string("{% for x in r['a/b'] %}{{ x | key }} {{ x | n1 }}{% endfor %}")
        text, places = unmark(marked.render(r=references.ref("a.json")))
        assert text == "~c 2.5"
        assert [references[number].pointer for number, _ in places] == ["/a~1b/~0c"] * 2


class TestComputed:
    ANSWERS: dict[str, Any] = {
        "prohibited_practice": False, "safety_component": False, "annex_iii_area": "none",
        "narrow_procedural_task": False, "profiles_persons": False, "interacts_with_persons": False,
        "personal_data": "none", "autonomy": "informs", "severity": "limited", "reversibility": "easily",
        "vulnerable_groups": False, "scale": "many",
    }  # fmt: skip

    @pytest.mark.parametrize(
        ("changed", "legal"),
        [
            ({}, "minimal"),
            ({"interacts_with_persons": True}, "limited"),
            ({"annex_iii_area": "employment"}, "high"),
            ({"annex_iii_area": "employment", "narrow_procedural_task": True}, "limited"),
            ({"annex_iii_area": "employment", "narrow_procedural_task": True, "profiles_persons": True}, "high"),
            ({"safety_component": True}, "high"),
            ({"prohibited_practice": True, "safety_component": True}, "prohibited"),
        ],
    )
    def test_the_legal_class_follows_the_acts_order(self, changed: dict[str, Any], legal: str) -> None:
        assert assess({**self.ANSWERS, **changed}, {"targets": {}}, {"passed": True}).legal == legal

    def test_what_the_run_measured_raises_the_operational_class(self) -> None:
        answers = {**self.ANSWERS, "severity": "serious", "autonomy": "recommends"}
        calm = assess(answers, {"targets": {}}, {"passed": True})
        target = {"skill": {"persistence": {"rmse": -0.1}}, "coverage": {"nominal": 0.9, "bands": {"high": 0.7}}}
        worse = assess(answers, {"targets": {"load_1h": target}}, {"passed": True})
        assert (calm.operational, worse.operational) == ("moderate", "elevated")
        assert worse.findings == [
            "load_1h: no better than persistence by rmse",
            "load_1h: intervals cover too little in the band `high`",
        ]

    def test_circumstances_make_a_wrong_forecast_worse(self) -> None:
        worst: dict[str, Any] = {"vulnerable_groups": True, "scale": "population", "reversibility": "not"}
        found = [
            assess({**self.ANSWERS, **changed}, {"targets": {}}, {"passed": True}).severity
            for changed in ({}, {"scale": "population"}, {**worst, "severity": "critical"})
        ]
        assert found == [2, 3, 5]
        told = assess({**self.ANSWERS, **worst}, {"targets": {}}, {"passed": True})
        assert (told.severity, len(told.surcharges)) == (5, 3)
        assert set(told.surcharges) <= set(SCALE["surcharges"])

    @pytest.mark.parametrize(
        ("changed", "passed", "score", "operational"),
        [
            ({"severity": "negligible", "autonomy": "decides"}, True, 3, "low"),
            ({"severity": "negligible", "autonomy": "decides"}, False, 4, "moderate"),
            ({"severity": "critical", "autonomy": "recommends"}, True, 8, "elevated"),
            ({"severity": "critical", "autonomy": "decides"}, True, 12, "high"),
            ({"severity": "critical", "reversibility": "not", "autonomy": "decides"}, False, 20, "high"),
        ],
    )
    def test_the_class_follows_the_scale_that_is_printed(
        self, changed: dict[str, Any], passed: bool, score: int, operational: str
    ) -> None:
        risk = assess({**self.ANSWERS, **changed}, {"targets": {}}, {"passed": passed})
        assert (risk.score, risk.operational) == (score, operational)
        assert next(name for name, limit in SCALE["classes"].items() if score <= limit) == operational

    def test_every_question_has_an_answer_in_both_use_cases_of_the_project(self, world: World) -> None:
        assert set(self.ANSWERS) == set(QUESTIONS)
        assert set(world.usecase.governance.risk) == set(QUESTIONS)
        check_statements(json.loads(dump(world.usecase))["governance"])

    def test_the_checklist_answers_no_where_the_evidence_says_no(self, world: World, tmp_path: Path) -> None:
        files = run_files(world.run) | {f"governance/{p.name}": p for p in (world.run / "governance").iterdir()}
        gate = tmp_path / "gate.json"
        gate.write_text(json.dumps({"passed": False, "rules": []}))
        del files["governance/model.sig"]
        checks = {
            check["key"]: check["met"]
            for check in compute(Artifacts({**files, "gate.json": gate}), documents())["checklist"]["checks"]
        }
        assert (checks["gate"], checks["signed"], checks["gate_rules"]) == (False, False, False)
        assert checks["statements"]
        assert checks["files"]


def front_matter(card: str) -> Any:
    """Return the metadata at the head of a model card."""
    _, head, _ = card.split("---\n", 2)
    return yaml.safe_load(head)


class TestModelCard:
    """What a model hub reads, and what a person needs to begin."""

    def test_metadata(self, world: World, folder: Path) -> None:
        card = (folder / "model_card.md").read_text()
        told = front_matter(card)
        assert (told["library_name"], told["pipeline_tag"]) == ("almanac", "time-series-forecasting")
        (model,) = told["model-index"]
        assert model["name"] == "air_quality"
        metrics = read_json(world.run / "metrics.json")["targets"]
        assert [result["task"]["name"] for result in model["results"]] == list(metrics)
        for result in model["results"]:
            assert result["dataset"]["name"] == "Beijing PM2.5 Data (UCI data set 381)"
            stated = {each["type"]: each["value"] for each in result["metrics"]}
            assert stated == {name: metrics[result["task"]["name"]][name] for name in ("rmse", "mae")}
        assert "library_name" not in (folder / "index.html").read_text(), "people need not read it"

    def test_how_to_begin_and_what_was_used(self, folder: Path) -> None:
        card = (folder / "model_card.md").read_text()
        for part in ("How to get started", "Hyperparameters", "Compute and energy", "Citation"):
            assert f"\n### {part}\n" in card
        assert "almanac serve --model registry:air_quality/1" in card
        assert "Processor time and energy were not measured in this run." in card

    def test_measured_compute_and_energy_as_an_estimate(self, world: World, tmp_path: Path) -> None:
        with measured() as usage:
            sum(number * number for number in range(2_000_000))
        assert usage["cpu_seconds"] > 0
        told = {**read_json(world.run / "registration.json"), "compute": {**usage, "cpu_seconds": 720.0}}
        write_documents(run_files(world.run), dump(world.usecase), told, tmp_path / "governance")
        card = (tmp_path / "governance" / "model_card.md").read_text()
        assert "720.0 seconds of processor time" in card
        assert "Energy was not measured; at an assumed 10.0 W for each busy core" in card
        assert "comes to 2 Wh" in card


class TestTruthOfThisVersion:
    """A document says nothing that does not hold for the version that it is about."""

    def written(self, world: World, tmp_path: Path, previous: dict[str, Any]) -> dict[str, str]:
        told = {**read_json(world.run / "registration.json"), "previous": previous}
        write_documents(run_files(world.run), dump(world.usecase), told, tmp_path / "governance")
        return {name: (tmp_path / "governance" / name).read_text() for name in DOCUMENTS}

    def test_the_first_version_has_none_to_roll_back_to(self, world: World, folder: Path) -> None:
        assert read_json(world.run / "registration.json")["previous"] == {"production": None, "versions": []}
        for name in ("retraining_plan.md", "annex_iv.md"):
            text = (folder / name).read_text()
            assert "there is none to roll back to" in text
            assert "registry rollback" not in text
        assert "no earlier production version to roll back to" in (folder / "risk_assessment.md").read_text()
        assert "No version of it was registered before." in (folder / "annex_iv.md").read_text()
        assert "not met: none was in production" in (folder / "audit_checklist.md").read_text()

    def test_a_later_version_names_the_one_to_roll_back_to(self, world: World, tmp_path: Path) -> None:
        entry = {"number": 3, "model": "ab" * 32, "proposer": "ann", "when": "2026-10-01T00:00:00.000Z"}
        texts = self.written(world, tmp_path, {"production": 3, "versions": [entry]})
        assert "version 3 was in production. `almanac registry rollback air_quality" in texts["retraining_plan.md"]
        assert f"| 3 | 2026-10-01T00:00:00.000Z | ann | `{'ab' * 32}` |" in texts["annex_iv.md"]
        assert "rollback to version 3" in texts["risk_assessment.md"]

    def test_annex_iv_has_every_point_of_the_list(self, folder: Path) -> None:
        text = (folder / "annex_iv.md").read_text()
        headings = [line.split()[1].rstrip(".") for line in text.splitlines() if line.startswith(("## ", "### "))]
        points = {"1": "abcdefgh", "2": "abcdefgh"}
        assert headings == [
            point for number in "123456789" for point in (number, *(f"{number}({x})" for x in points.get(number, "")))
        ]
        assert f"| `metrics.json` | `{sha256_file(folder.parent / 'metrics.json')}` |" in text

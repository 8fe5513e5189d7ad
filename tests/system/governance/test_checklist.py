"""The audit checklist: met is a fact, and what artifacts cannot answer is not answered."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from almanac.core.files import read_json, write_json
from almanac.evaluation.labels import TRAINING
from governance.documents.artifacts import Artifacts, run_files
from governance.documents.kinds.audit_checklist.checks import CHECKS, answer
from governance.registry import collect
from tests.support.governance_world import World


class TestChecklist:
    """Answers from real artifacts, and from artifacts that were altered."""

    def spoiled(self, world: World, folder: Path, uri: str, change: Callable[[Any], None]) -> Artifacts:
        files = dict(run_files(world.run) | collect(world.run / "governance", "governance"))
        value = read_json(files[uri])
        change(value)
        files[uri] = folder / Path(uri).name
        write_json(files[uri], value)
        return Artifacts(files)

    def answers(self, artifacts: Artifacts) -> dict[str, str]:
        return {check.key: answer(check, artifacts)["answer"] for check in CHECKS}

    def test_every_question_has_one_of_three_answers(self, world: World, tmp_path: Path) -> None:
        told = self.answers(self.spoiled(world, tmp_path, "metrics.json", lambda metrics: None))
        assert {text.partition(":")[0] for text in told.values()} == {"met", "not met", "not answered"}
        assert told["signed"].startswith("not answered: no key is pinned")
        assert told["owner"] == "not answered: the address is a placeholder"
        assert told["disparity"] == told["files"] == told["statements"] == told["gate_rules"] == "met"

    def test_nothing_is_met_by_an_artifact_that_is_empty(self, world: World, tmp_path: Path) -> None:
        files = dict(run_files(world.run) | collect(world.run / "governance", "governance"))
        for uri, path in files.items():
            if path.suffix == ".json":
                (tmp_path / "empty.json").write_text("{}")
                files[uri] = tmp_path / "empty.json"
        told = self.answers(Artifacts(files))
        assert [key for key, text in told.items() if text == "met"] == ["no_pickle"]

    @pytest.mark.parametrize(
        ("key", "uri", "change", "expected"),
        [
            ("slices", "metrics.json", lambda m: m["targets"]["pm25_1h"]["slices"].pop("season"), "not met"),
            ("slices", "metrics.json", lambda m: m["targets"]["pm25_1h"]["slices"]["season"].pop("winter"), "not met"),
            ("disparity", "metrics.json", lambda m: m["targets"]["pm25_1h"]["disparity"].pop("hour"), "not met"),
            ("coverage", "governance/usecase.json", lambda u: u["gates"].clear(), "not answered"),
            ("gate_rules", "gate.json", lambda g: g["rules"].clear(), "not met"),
            ("gate_rules", "gate.json", lambda g: g["rules"][0].update(rule="max_error"), "not met"),
            ("gate_rules", "gate.json", lambda g: without(g, "max_disparity"), "not met"),
            ("gate_rules", "gate.json", lambda g: without(g, "coverage"), "not met"),
            ("slices", "metrics.json", lambda m: divided_by_training(m, "slices"), "met"),
            ("disparity", "metrics.json", lambda m: divided_by_training(m, "disparity"), "met"),
            ("revision", "model/manifest.json", lambda m: m.update(git_revision="unknown"), "not answered"),
            ("revision", "model/manifest.json", lambda m: m.update(git_revision="0" * 40 + "-dirty"), "not met"),
            ("files", "model/manifest.json", lambda m: m["files"].pop("pm25_1h/model.bst"), "not met"),
            ("uncertainty", "metrics.json", lambda m: m["targets"]["pm25_1h"]["ci"].update(mae=None), "not met"),
            ("baselines", "metrics.json", lambda m: m["targets"]["pm25_1h"]["skill"].clear(), "not answered"),
            ("licences", "lineage.json", lambda s: s["sources"][0].update(licence="not stated"), "not answered"),
            ("spans", "lineage.json", lambda s: s["sources"][0].pop("time_span"), "not answered"),
            ("sources", "lineage.json", lambda s: s["sources"].clear(), "not answered"),
        ],
    )
    def test_an_answer(
        self, world: World, tmp_path: Path, key: str, uri: str, change: Callable[[Any], None], expected: str
    ) -> None:
        assert self.answers(self.spoiled(world, tmp_path, uri, change))[key].partition(":")[0] == expected

    def test_probabilities_alone_have_no_interval_for_a_rule_to_judge(self, world: World, tmp_path: Path) -> None:
        files = dict(run_files(world.run) | collect(world.run / "governance", "governance"))
        for uri, change in (("gate.json", lambda g: without(g, "coverage")), ("metrics.json", without_intervals)):
            value = read_json(files[uri])
            change(value)
            files[uri] = tmp_path / uri
            write_json(files[uri], value)
        told = self.answers(Artifacts(files))
        assert told["gate_rules"] == "met"
        assert told["coverage"].startswith("not answered")

    @pytest.mark.parametrize(("forced", "expected"), [(0.06, "met"), (0.0, "not met")])
    def test_an_excess_of_coverage_that_ties_force_is_no_miss(
        self, world: World, tmp_path: Path, forced: float, expected: str
    ) -> None:
        files = dict(run_files(world.run) | collect(world.run / "governance", "governance"))
        metrics, gate = read_json(files["metrics.json"]), read_json(files["gate.json"])
        for target in metrics["targets"].values():
            target["coverage"]["overall"] = 0.99
        for check in gate["rules"]:
            if check["rule"] == "coverage":
                check["required"], check["evidence"]["forced"] = 0.05, forced
        for name, value in (("metrics.json", metrics), ("gate.json", gate)):
            files[name] = tmp_path / name
            write_json(files[name], value)
        assert self.answers(Artifacts(files))["coverage"] == expected

    @pytest.mark.parametrize("field", [{"author": " "}, {"date": "2999-01-01"}, {"date": ""}, {"text": ""}])
    def test_a_statement_without_author_or_with_a_date_to_come(
        self, world: World, tmp_path: Path, field: dict[str, str]
    ) -> None:
        def change(usecase: Any) -> None:
            usecase["governance"]["statements"]["caveats"].update(field)

        assert self.answers(self.spoiled(world, tmp_path, "governance/usecase.json", change))["statements"] == "not met"

    def test_signed_is_a_signature_under_a_pinned_key(self, world: World, tmp_path: Path) -> None:
        told = read_json(world.run / "registration.json")

        def answered(pinned: dict[str, str]) -> str:
            artifacts = self.spoiled(
                world, tmp_path, "governance/registration.json", lambda r: r["signature"].update(pinned=pinned)
            )
            return self.answers(artifacts)["signed"]

        assert answered({told["signature"]["fingerprint"]: "team"}) == "met"
        assert answered({"0" * 64: "somebody else"}) == "not met"
        assert answered({}).startswith("not answered")

    def test_a_signature_of_another_model(self, world: World, tmp_path: Path) -> None:
        spoilt = world.copy(tmp_path)
        body = spoilt.run / "model" / "pm25_1h" / "model.bst"
        body.write_bytes(body.read_bytes() + b"\n")
        fingerprint = read_json(world.run / "registration.json")["signature"]["fingerprint"]
        artifacts = self.spoiled(
            spoilt, tmp_path, "governance/registration.json", lambda r: r["signature"].update(pinned={fingerprint: "t"})
        )
        assert self.answers(artifacts)["signed"] == "not met"

    def test_a_pickle_by_another_name(self, world: World, tmp_path: Path) -> None:
        files = dict(run_files(world.run))
        for name, data in (("plain.json", b"\x80\x04K\x01."), ("inside.zip", zipped("weights/data.pkl"))):
            (tmp_path / name).write_bytes(data)
            artifacts = Artifacts(files | {f"model/{name}": tmp_path / name})
            assert self.answers(artifacts)["no_pickle"] == "not met"


def without(gate: dict[str, Any], rule: str) -> None:
    """Leave the checks of a rule out of a decision."""
    gate["rules"] = [check for check in gate["rules"] if check["rule"] != rule]


def without_intervals(metrics: dict[str, Any]) -> None:
    """Make all targets such as have no intervals."""
    for target in metrics["targets"].values():
        del target["coverage"]


def divided_by_training(metrics: dict[str, Any], field: str) -> None:
    """Add the grouping by seen and new entities that a panel has besides the declared ones."""
    for target in metrics["targets"].values():
        target[field][TRAINING] = target[field]["weekend"]


def zipped(name: str) -> bytes:
    """Return a zip archive with a file of that name."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, b"")
    return buffer.getvalue()

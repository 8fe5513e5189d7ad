"""Drafts: versions without statements, what their documents say, and where they may not go."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from almanac.core.errors import DocumentError, RegistryError
from almanac.core.files import read_json, write_json
from almanac.usecase import UseCase, dump, load_text
from governance.documentation import document
from governance.documents.bundle import not_stated
from governance.documents.statements import check_statements, unstated
from governance.registration import register
from governance.registry import Registry
from governance.registry.policy import Policy, parse_policy
from governance.verify import verify_documents
from orchestration.run import _registry_state
from tests.support.governance_world import ROOT, World, artifacts_of


def without(usecase: UseCase, **governance: Any) -> UseCase:
    content = json.loads(dump(usecase))
    content["governance"] = governance
    return load_text(json.dumps(content), "draft")


@pytest.fixture(scope="module")
def draft(world: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """The world's run, registered and documented without any statement."""
    folder = tmp_path_factory.mktemp("draft")
    shutil.copytree(world.run, folder / "run")
    shutil.rmtree(folder / "run" / "governance")
    made = World(without(world.usecase), folder / "run", folder / "registry")
    written(made, "local")
    return made


def written(made: World, environment: str) -> None:
    told = made.run / "registration.json"
    files = artifacts_of(made.run)
    register(made.usecase, files, str(made.registry), environment, told)
    document(made.usecase, files, told, str(made.registry), made.run / "governance")


def test_a_local_draft_goes_to_production_and_its_cards_say_not_stated(draft: World) -> None:
    version = Registry(str(draft.registry)).version("air_quality", "production")
    assert version.number == 1
    card = (draft.run / "governance" / "model_card.md").read_text()
    assert "> Not stated. It has to say what the forecasts are for" in card
    assert "| State | draft: " in card and "| Owner | not stated |" in card
    risk = (draft.run / "governance" / "risk_assessment.md").read_text()
    assert "**not stated** risk | not every question is answered" in risk
    assert "| How bad is a wrong forecast? | not stated |" in risk
    checklist = read_json(draft.run / "governance" / "computed.json")["checklist"]["checks"]
    assert {check["key"]: check["answer"] for check in checklist}["statements"].startswith("not met")


def test_a_draft_verifies_as_one_and_cannot_hide_it(draft: World, tmp_path: Path) -> None:
    copy = draft.copy(tmp_path)
    notes = [step.note for step in verify_documents(copy.artifacts, copy.run / "governance")]
    missing = not_stated(json.loads(dump(draft.usecase))["governance"])
    assert f"a draft: {len(missing)} statements and answers are not stated" in notes
    manifest = read_json(copy.run / "governance" / "manifest.json")
    assert manifest["not_stated"] == missing
    write_json(copy.run / "governance" / "manifest.json", manifest | {"not_stated": []})
    with pytest.raises(DocumentError):
        verify_documents(copy.artifacts, copy.run / "governance")


@pytest.mark.parametrize("policy", [Policy(documents="complete"), Policy(approval="required")])
def test_a_policy_that_asks_for_documents_keeps_a_draft_out_of_production(
    draft: World, tmp_path: Path, policy: Policy
) -> None:
    made = World(draft.usecase, draft.copy(tmp_path).run, tmp_path / "other")
    registry = Registry(str(made.registry))
    registry.set_policy("air_quality", policy, who="zoe", why="documents first")
    written(made, "local")
    assert registry.version("air_quality", 1).stage is None
    if policy.approval == "required":
        registry.approve("air_quality", 1, who="bob", why="read")
    with pytest.raises(RegistryError, match=r"version 1 is a draft.*not stated are statements\.intended_use"):
        registry.promote("air_quality", 1, who="ann", why="now")
    registry.promote("air_quality", 1, "staging", who="ann", why="for a look")


def test_edited_statements_make_another_version_of_the_same_model(draft: World, world: World, tmp_path: Path) -> None:
    copy = draft.copy(tmp_path)
    made = World(world.usecase, copy.run, copy.registry)
    before = {step: _registry_state(step, str(made.registry), "air_quality") for step in ("drift", "gate")}
    written(made, "local")
    registry = Registry(str(made.registry))
    first, second = (registry.version("air_quality", number) for number in (1, 2))
    assert (first.model, first.stage, second.stage) == (second.model, "archived", "production")
    assert "Not stated" not in (made.run / "governance" / "model_card.md").read_text()
    # Drift is not measured anew against the same model; the gate stands beside another version.
    assert registry.origin("air_quality", second) == first
    assert _registry_state("drift", str(made.registry), "air_quality") == before["drift"] != ""
    assert _registry_state("gate", str(made.registry), "air_quality") != before["gate"]
    # Both versions' model is published in one place, with one signature.
    assert registry.publish("air_quality", 1) == registry.publish("air_quality", 2)


@pytest.mark.parametrize(
    "text",
    ["TODO", "todo: ask Ann", "tbd", "Lorem ipsum dolor sit amet, consectetur", "...", "n/a", "-", "xxx", "None."],
)
def test_a_placeholder_is_no_statement(world: World, text: str) -> None:
    governance = json.loads(dump(world.usecase))["governance"]
    governance["statements"]["caveats"]["text"] = text
    assert list(unstated(governance)) == ["caveats"]
    with pytest.raises(DocumentError, match=r"governance\.statements\.caveats: holds a placeholder; it has to say"):
        check_statements(governance)


def test_the_same_text_everywhere_is_no_statement(world: World) -> None:
    governance = json.loads(dump(world.usecase))["governance"]
    for statement in governance["statements"].values():
        statement["text"] = "This model is used with care."
    assert set(unstated(governance)) == set(governance["statements"])


def test_a_sentence_that_begins_like_a_placeholder_is_a_statement(world: World) -> None:
    governance = json.loads(dump(world.usecase))["governance"]
    governance["statements"]["standards"]["text"] = "None of the harmonised standards is applied in full."
    assert not unstated(governance)


def test_a_policy_without_documents_has_the_digest_of_before() -> None:
    assert "documents" not in Policy().to_dict()
    assert parse_policy({"documents": "complete"}, "policy.yaml").documents == "complete"
    with pytest.raises(RegistryError, match="documents is 'none'; expected draft or complete"):
        parse_policy({"documents": "none"}, "policy.yaml")


def test_quoted_dates_are_dates() -> None:
    text = (ROOT / "usecases" / "traffic.yaml").read_text()
    quoted = text.replace("date: 2026-11-21", 'date: "2026-11-21"')
    assert quoted != text
    assert load_text(quoted, "quoted") == load_text(text, "plain")

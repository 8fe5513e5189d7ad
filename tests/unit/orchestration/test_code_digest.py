"""What a step's code digest follows: an edit changes the digests of the steps that read the file, and of no others."""

import importlib
import importlib.metadata
import shutil
import sys
from pathlib import Path

import pytest

from orchestration.code_digest import ROOT, _extension, code_digest
from orchestration.module_names import ModuleNames

ROOMS = ("almanac", "governance", "monitoring", "serving", "orchestration", "components", "requirements")
TABLES = {"ingestion", "validation"}


def _copy(target: Path) -> Path:
    for room in ROOMS:
        shutil.copytree(ROOT / room, target / room, ignore=shutil.ignore_patterns("__pycache__"))
    return target


def _digests(root: Path, steps: set[str]) -> dict[str, str]:
    return {step: code_digest(step, root) for step in steps}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _copy(tmp_path_factory.mktemp("tree"))


@pytest.mark.parametrize(
    ("name", "readers", "others"),
    [
        # The gate computes the features of the model in production.
        ("almanac/native/rows.c", {"preprocessing", "gate"}, TABLES),
        ("almanac/native/operations.h", {"preprocessing", "prediction"}, TABLES),
        (
            "governance/documents/kinds/model_card/model_card.md.j2",
            {"documentation"},
            {*TABLES, "preprocessing", "training"},
        ),
        ("requirements/components.txt", {"ingestion", "training"}, set()),
    ],
)
def test_an_edit_of_a_file_that_is_no_python_is_seen_by_its_readers(
    tree: Path, name: str, readers: set[str], others: set[str]
) -> None:
    before = _digests(tree, readers | others)
    with (tree / name).open("a") as file:
        file.write("\n")
    after = _digests(tree, readers | others)
    assert {step for step in before if before[step] != after[step]} == readers


@pytest.mark.parametrize("suffix", [".json", ".yaml", ".j2", ".c"])
def test_a_new_file_of_any_kind_counts_in_a_package_that_a_step_reaches(tree: Path, suffix: str) -> None:
    before = _digests(tree, {"ingestion", "training"})
    folder = tree / "almanac" / "training" / "tables"
    folder.mkdir(exist_ok=True)
    (folder / f"bounds{suffix}").write_text("{}")
    after = _digests(tree, {"ingestion", "training"})
    assert before["ingestion"] == after["ingestion"]
    assert before["training"] != after["training"]


def _step(root: Path, text: str) -> None:
    folder = root / "components" / "gate"
    folder.mkdir(parents=True)
    (folder / "component.py").write_text(text)


def test_the_modules_of_a_registry_of_kinds_are_followed(tmp_path: Path) -> None:
    _step(tmp_path, 'from house.kinds import Kinds\nRULES = Kinds("rule", folder="house.rules", group="house.rules")\n')
    rules = tmp_path / "house" / "rules"
    rules.mkdir(parents=True)
    (tmp_path / "house" / "__init__.py").write_text("")
    (rules / "__init__.py").write_text("")
    digests = [code_digest("gate", tmp_path)]
    (rules / "bound.py").write_text("from house.figures import KIND\n")
    digests.append(code_digest("gate", tmp_path))
    (tmp_path / "house" / "figures.py").write_text("KIND = 1\n")
    digests.append(code_digest("gate", tmp_path))
    (rules / "card").mkdir()
    (rules / "card" / "__init__.py").write_text("KIND = 2\n")
    digests.append(code_digest("gate", tmp_path))
    (rules / "card" / "card.md.j2").write_text("A card.")
    digests.append(code_digest("gate", tmp_path))
    assert len(set(digests)) == len(digests)


def test_kinds_of_a_room_that_a_step_does_not_reach_count_as_declarations_alone(tmp_path: Path) -> None:
    (tmp_path / "house" / "rules").mkdir(parents=True)
    (tmp_path / "usecase.py").write_text('RULES = Kinds("rule", "house.rules")\n')
    (tmp_path / "house" / "judge.py").write_text("def judge(rule): return rule.holds()\n")
    (tmp_path / "house" / "rules" / "bound.py").write_text("from figures import least\nKIND = 1\n")
    (tmp_path / "figures.py").write_text("least = 1\n")
    for name, text in (("parsing", "import usecase\n"), ("judging", "import usecase\nfrom house.judge import judge\n")):
        (tmp_path / "components" / name).mkdir(parents=True)
        (tmp_path / "components" / name / "component.py").write_text(text)
    before = {name: code_digest(name, tmp_path) for name in ("parsing", "judging")}
    (tmp_path / "figures.py").write_text("least = 2\n")
    assert code_digest("parsing", tmp_path) == before["parsing"]
    assert code_digest("judging", tmp_path) != before["judging"]
    (tmp_path / "house" / "rules" / "bound.py").write_text("from figures import least\nKIND = 2\n")
    assert code_digest("parsing", tmp_path) != before["parsing"]


def test_a_registry_whose_folder_cannot_be_read_is_refused(tmp_path: Path) -> None:
    _step(tmp_path, 'from house.kinds import Kinds\nRULES = Kinds("rule", FOLDER)\n')
    with pytest.raises(ValueError, match=r"component\.py:2: .*write them as literals"):
        code_digest("gate", tmp_path)


def test_a_program_that_is_started_by_its_name_is_followed(tmp_path: Path) -> None:
    _step(tmp_path, 'COMMAND = ["python", "-m", "house.program"]\n')
    (tmp_path / "house").mkdir()
    before = code_digest("gate", tmp_path)
    (tmp_path / "house" / "program.py").write_text("print(1)\n")
    assert code_digest("gate", tmp_path) != before


def test_an_extension_counts_by_its_version_and_its_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package, information = tmp_path / "momentum_kind", tmp_path / "momentum_kind-1.0.dist-info"
    package.mkdir()
    information.mkdir()
    (package / "__init__.py").write_text("KIND = 1\n")
    (information / "entry_points.txt").write_text("[house.kinds]\nmomentum = momentum_kind:KIND\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])

    def line(version: str) -> str:
        (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: momentum-kind\nVersion: {version}\n")
        importlib.invalidate_caches()
        (point,) = importlib.metadata.entry_points(group="house.kinds")
        return _extension(point)

    lines = [line("1.0"), line("1.1")]
    (package / "__init__.py").write_text("KIND = 2\n")
    lines.append(line("1.1"))
    assert len(set(lines)) == 3
    assert lines[0].startswith("house.kinds momentum = momentum_kind:KIND momentum-kind 1.0 ")


def test_names_that_were_kept_give_the_same_digests_and_follow_an_edit(tmp_path: Path) -> None:
    _step(tmp_path, "from house import rules\n")
    (tmp_path / "house").mkdir()
    (tmp_path / "house" / "rules.py").write_text("import house.bound\n")
    kept = tmp_path / "names.json"

    def digests() -> set[str]:
        return {code_digest("gate", tmp_path, ModuleNames(path)) for path in (None, kept)}

    first = digests()
    assert len(first) == 1 and "house.bound" in kept.read_text()
    (tmp_path / "house" / "bound.py").write_text("LEAST = 1\n")
    (second,) = digests()
    (tmp_path / "house" / "rules.py").write_text("import house.other\n")
    (third,) = digests()
    assert len({*first, second, third}) == 3


@pytest.mark.parametrize("content", ["{", "[]", '{"finder": "of other code", "modules": {}}', '{"modules": 1}'])
def test_kept_names_that_cannot_be_used_are_found_anew(tmp_path: Path, content: str) -> None:
    _step(tmp_path, "import house\n")
    kept = tmp_path / "names.json"
    kept.write_text(content)
    assert code_digest("gate", tmp_path, ModuleNames(kept)) == code_digest("gate", tmp_path)
    assert "components/gate/component.py" in kept.read_text()

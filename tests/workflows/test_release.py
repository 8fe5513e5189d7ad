"""Notes of a release and bills of materials."""

import subprocess
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from components.common.errors import PipelineError
from components.common.files import pretty_json
from components.image import VERSION
from components.orchestration.materials import bill
from components.orchestration.release import notes

ROOT = Path(__file__).resolve().parents[2]


def git(root: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, *arguments], cwd=root, check=True, capture_output=True)


def test_notes_list_the_commits_since_the_release_before(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    for number, subject in enumerate(["Old work", "Forecast further", "Refuse what is altered"]):
        git(tmp_path, "commit", "-q", "--allow-empty", "-m", subject)
        if number == 0:
            git(tmp_path, "tag", "v0.0.1")
    git(tmp_path, "tag", f"v{VERSION}")
    lines = notes(f"v{VERSION}", tmp_path).splitlines()
    assert lines[0] == f"# v{VERSION}"
    assert [line.rpartition(" (")[0] for line in lines[2:]] == ["- Refuse what is altered", "- Forecast further"]
    with pytest.raises(PipelineError, match=f"the tag should be v{VERSION}"):
        notes("v9.9.9", tmp_path)


def test_the_version_is_the_one_of_the_project() -> None:
    assert f'version = "{VERSION}"' in (ROOT / "pyproject.toml").read_text()


@pytest.mark.parametrize("image", ["components", "serving"])
def test_a_bill_of_materials_is_valid_and_lists_what_is_locked(image: str) -> None:
    requirements = (ROOT / "requirements" / f"{image}.txt").read_text()
    made = bill(image, requirements)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(pretty_json(made)) is None
    assert made == bill(image, requirements)
    names = [component["name"] for component in made["components"]]
    assert len(names) == len(set(names))
    assert {"lightgbm", "numpy"} <= set(names)
    assert not {"numba", "llvmlite", "colorama", "pywin32"} & set(names)

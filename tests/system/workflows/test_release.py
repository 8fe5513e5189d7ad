"""Notes of a release and bills of materials."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from almanac.core.errors import PipelineError
from almanac.core.files import pretty_json
from almanac.core.image import VERSION
from almanac.core.revision import git_revision
from orchestration.image_tags import tags
from orchestration.release import next_version, notes
from orchestration.sbom import bill
from tests.support.environment import install

ROOT = Path(__file__).resolve().parents[3]


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


@pytest.mark.parametrize(
    ("before", "trailers", "after"),
    [
        ("0.1.0", [""], "0.1.1"),
        ("0.1.4", ["", "Change: feature"], "0.1.5"),
        ("0.1.4", ["Change: feature", "Change: breaking", ""], "0.2.0"),
        ("1.4.2", ["", "Change: fix"], "1.4.3"),
        ("1.4.2", ["Change: Feature", ""], "1.5.0"),
        ("1.4.2", ["", "Change: breaking"], "2.0.0"),
        ("0.0.3", ["Change: breaking"], "0.0.4"),
    ],
)
def test_the_next_version_follows_from_the_commits(
    tmp_path: Path, before: str, trailers: list[str], after: str
) -> None:
    git(tmp_path, "init", "-q")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "Old work\n\nChange: breaking")
    assert next_version(tmp_path) == VERSION
    git(tmp_path, "tag", "v0.0.1")
    git(tmp_path, "tag", f"v{before}")
    with pytest.raises(PipelineError, match=f"nothing was committed since v{before}"):
        next_version(tmp_path)
    for number, trailer in enumerate(trailers):
        git(tmp_path, "commit", "-q", "--allow-empty", "-m", f"Work {number}\n\nIts why, on a line.\n\n{trailer}")
    assert next_version(tmp_path) == after
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "More\n\nChange: big")
    with pytest.raises(PipelineError, match="the trailer Change is 'big'"):
        next_version(tmp_path)


def test_make_sets_the_next_version_everywhere_and_tags_it(tmp_path: Path) -> None:
    place = tmp_path / "checkout"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        if (source := ROOT / name).is_file() and not source.is_symlink():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, place / name)
    install(place)
    git(place, "init", "-q")
    git(place, "add", "--all")
    git(place, "commit", "-q", "-m", "All of it")
    git(place, "tag", f"v{VERSION}")
    git(place, "commit", "-q", "--allow-empty", "-m", "Say less\n\nChange: breaking")
    identity = {f"GIT_{who}_{what}": "a@example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "ALMANAC_", "GIT_"))}

    def make(*target: str) -> subprocess.CompletedProcess[str]:
        environment = inherited | identity
        return subprocess.run(
            ["make", "-s", *target], cwd=place, env=environment, capture_output=True, text=True, check=False
        )

    (place / "notes.txt").write_text("not committed")
    assert "not committed" in make("release").stderr
    (place / "notes.txt").unlink()
    version = make("next-version").stdout.strip()
    assert version != VERSION
    done = make("release")
    assert done.returncode == 0, done.stderr
    assert make("check-compiled").returncode == 0
    status = subprocess.run(["git", "status", "--porcelain"], cwd=place, capture_output=True, text=True, check=True)
    assert status.stdout == ""
    tagged = subprocess.run(["git", "rev-parse", f"v{version}^{{}}", "HEAD"], cwd=place, capture_output=True, text=True)
    assert len(set(tagged.stdout.split())) == 1
    for name in (
        "pyproject.toml",
        "almanac/core/image.py",
        "components/Dockerfile",
        "serving/Dockerfile",
        "operations/Dockerfile",
        "deploy/room/kustomization.yaml",
    ):
        assert version in (place / name).read_text(), name
    for path in [*place.glob("compiled/**/*.yaml"), place / "serving/deploy/kustomize/base/servingruntime.yaml"]:
        assert f":{VERSION}" not in path.read_text(), path
    assert make("changelog", f"TAG=v{version}").returncode == 0
    assert "Say less" in (place / "build/changelog.md").read_text()


def test_an_image_is_tagged_by_revision_and_by_the_version_until_that_is_released_elsewhere(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "First")
    head = git_revision(tmp_path)
    assert tags(tmp_path) == [head, VERSION]
    git(tmp_path, "tag", f"v{VERSION}")
    assert tags(tmp_path) == [head, VERSION]
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "Second")
    assert tags(tmp_path) == [git_revision(tmp_path)] != [head]


def test_what_a_workflow_reads_needs_no_library_and_is_nothing_else() -> None:
    """The output file of a workflow takes lines of NAME=VALUE alone."""
    command = ["make", "-s", "image-tags", "NAME=ghcr.io/somebody/serving", f"PYTHON={sys.executable} -S"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    version, listed = done.stdout.splitlines()
    assert version == f"version={VERSION}"
    assert listed.startswith("tags=ghcr.io/somebody/serving:")


def planned(*arguments: str) -> str:
    """What make would run, as lines of shell."""
    return subprocess.run(["make", "-n", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_the_images_that_compiled_files_name_are_those_that_make_builds() -> None:
    commands = planned("images", "REVISION=abc", "IMAGES=ghcr.io/almanac")
    assert "name=ghcr.io/almanac/${image/components/components-python}" in commands
    assert f"-t $name:abc -t $name:{VERSION}" in commands
    assert f"--build-arg REVISION=abc --build-arg VERSION={VERSION}" in commands
    built = {f"ghcr.io/almanac/{name}:{VERSION}" for name in ("components-python", "serving")}
    named: set[str] = set()
    for path in ROOT.joinpath("compiled").rglob("*.yaml"):
        named |= set(re.findall(r"^\s+image: (\S+)$", path.read_text(), flags=re.MULTILINE))
    runtime = (ROOT / "serving/deploy/kustomize/base/servingruntime.yaml").read_text()
    named |= set(re.findall(r"^\s+image: (\S+)$", runtime, flags=re.MULTILINE))
    assert named == built


def test_a_release_names_the_images_of_its_own_owner(tmp_path: Path) -> None:
    commands = planned("release-files", "IMAGES=ghcr.io/somebody")
    settings = dict(re.findall(r"(ALMANAC_\w+)=(\S+)", commands))
    assert settings["ALMANAC_IMAGE"] == f"ghcr.io/somebody/components-python:{VERSION}"
    assert settings["ALMANAC_SERVING_IMAGE"] == f"ghcr.io/somebody/serving:{VERSION}"
    command = [sys.executable, "pipeline.py", "compile", "--out", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, env=os.environ | settings, capture_output=True, check=True)
    images = re.findall(r"image: (\S+)", (tmp_path / "air_quality_training.yaml").read_text())
    assert set(images) == {settings["ALMANAC_IMAGE"]}


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

"""What `compile` writes, held against kfp's own compiler, and used as another team would use it."""

from pathlib import Path
from typing import Any

import pytest
from kfp import compiler
from kfp.compiler.compiler_utils import KubernetesManifestOptions

from almanac.core.errors import PipelineError
from almanac.core.image import VERSION
from orchestration import compiled
from pipelines import BUILDERS, load_components
from tests.support.packages import documents

ROOT = Path(__file__).resolve().parents[3]


def _comments(data: bytes) -> list[bytes]:
    return [line for line in data.splitlines() if line.startswith(b"#")]


@pytest.fixture(scope="module")
def built() -> dict[str, Any]:
    return compiled.build_all(BUILDERS)


@pytest.fixture(scope="module")
def files(built: dict[str, Any]) -> dict[str, bytes]:
    return compiled.compile_all(built, load_components())


def test_the_committed_files_are_those_of_the_code(files: dict[str, bytes]) -> None:
    compiled.check(files, ROOT / "compiled")


def test_the_same_bytes_come_out_twice(built: dict[str, Any], files: dict[str, bytes]) -> None:
    assert compiled.compile_all(built, load_components()) == files


def test_each_package_is_what_kfp_itself_compiles(
    built: dict[str, Any], files: dict[str, bytes], tmp_path: Path
) -> None:
    stem, pipeline = next(iter(built.items()))
    compiler.Compiler().compile(pipeline, str(tmp_path / "theirs.yaml"))
    theirs = (tmp_path / "theirs.yaml").read_bytes()
    assert documents(files[f"{stem}.yaml"]) == documents(theirs)
    assert _comments(files[f"{stem}.yaml"]) == _comments(theirs)


def test_the_objects_for_kubectl_are_what_kfp_itself_writes(
    built: dict[str, Any], files: dict[str, bytes], tmp_path: Path
) -> None:
    stem, pipeline = next(iter(built.items()))
    name = pipeline.pipeline_spec.pipeline_info.name
    options = KubernetesManifestOptions(
        pipeline_name=name,
        pipeline_version_name=f"{name}-{VERSION}",
        pipeline_version_display_name=f"{name} {VERSION}",
        include_pipeline_manifest=True,
    )
    path = tmp_path / "theirs.yaml"
    compiler.Compiler().compile(
        pipeline, str(path), kubernetes_manifest_options=options, kubernetes_manifest_format=True
    )
    assert not [path for path in files if path.startswith("kubernetes/")]
    with_objects = compiled.compile_all({stem: pipeline}, {}, kubernetes=True)
    assert documents(with_objects[f"kubernetes/{stem}.yaml"]) == documents(path.read_bytes())


def test_a_directory_without_use_cases_is_refused(tmp_path: Path) -> None:
    """Rather than taken for a project whose compiled files are all stale."""
    with pytest.raises(PipelineError, match="holds no use case files"):
        compiled.build_all(BUILDERS, tmp_path)


def test_nothing_is_installed_at_run_time_and_every_image_is_pinned(files: dict[str, bytes]) -> None:
    for name, data in files.items():
        assert b"pip install" not in data, name
        assert b":latest" not in data, name


@pytest.mark.parametrize("state", ["is missing", "is stale", "is of no pipeline"])
def test_each_difference_is_named(files: dict[str, bytes], tmp_path: Path, state: str) -> None:
    compiled.write(files, tmp_path)
    path = tmp_path / "components" / "gate.yaml"
    if state == "is missing":
        path.unlink()
    elif state == "is stale":
        path.write_bytes(path.read_bytes() + b"\n")
    else:
        path = tmp_path / "old.yaml"
        path.write_text("")
    with pytest.raises(PipelineError, match=f"{path.name} {state}"):
        compiled.check(files, tmp_path)
    assert [difference.path for difference in compiled.write(files, tmp_path)] == [path]
    compiled.check(files, tmp_path)

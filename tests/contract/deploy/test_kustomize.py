"""The kustomize base and its overlays against serving.deploy.manifests."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from serving.deploy.kustomize.layout import BASE, PLACEHOLDER, files, objects
from serving.deploy.manifests import render

ROOT = BASE.parent
OVERLAYS = ("dev", "staging", "prod")


def _base(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "pipeline.py", "deploy", "base", *arguments]
    return subprocess.run(command, cwd=BASE.parents[3], capture_output=True, text=True, check=False)


def test_the_committed_base_is_what_the_manifests_give() -> None:
    written = {path.name: path.read_text() for path in BASE.glob("*.yaml")}
    assert written == files(objects()), "run `almanac deploy base`"
    listed = yaml.safe_load(written["kustomization.yaml"])["resources"]
    assert [yaml.safe_load(written[name]) for name in listed] == render(PLACEHOLDER)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_an_overlay_patches_kinds_and_fields_that_the_base_has(overlay: str) -> None:
    document = yaml.safe_load((ROOT / "overlays" / overlay / "kustomization.yaml").read_text())
    assert document["resources"] == ["../../base"]
    kinds = {item["kind"]: item for item in objects()}
    for patch in document["patches"]:
        for operation in yaml.safe_load(patch["patch"]):
            if operation["op"] == "replace" and not operation["path"].startswith("/spec/predictor/topologySpread"):
                _at(kinds[patch["target"]["kind"]], operation["path"])


def _at(item: Any, path: str) -> Any:
    for part in path.strip("/").split("/"):
        item = item[int(part)] if isinstance(item, list) else item[part]
    return item


def test_a_file_without_objects_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("a: 1\n")
    done = _base("--manifest", str(tmp_path / "x.yaml"), "--out", str(tmp_path / "base"))
    assert done.returncode == 1
    assert "holds no Kubernetes objects" in done.stderr

"""Copies of a model directory under another use case and other targets, to be served side by side."""

import shutil
from pathlib import Path

from almanac.core.files import read_json, sha256_file, write_json


def renamed(model: Path, to: Path, use_case: str) -> Path:
    """Copy a model directory as that of another use case, whose targets have its name in front."""
    to.mkdir(parents=True)
    targets = {target: f"{use_case}_{target}" for target in read_json(model / "manifest.json")["targets"]}
    for target, name in targets.items():
        shutil.copytree(model / target, to / name)
        manifest = read_json(to / name / "manifest.json")
        write_json(to / name / "manifest.json", manifest | {"use_case": use_case, "target": name})
    files = {
        str(path.relative_to(to)): {"sha256": sha256_file(path), "bytes": path.stat().st_size}
        for path in sorted(to.rglob("*"))
        if path.is_file()
    }
    manifest = read_json(model / "manifest.json")
    write_json(
        to / "manifest.json", manifest | {"use_case": use_case, "targets": list(targets.values()), "files": files}
    )
    return to

"""The smallest versions and documents that the registry takes, made of real files."""

import json
from pathlib import Path

from almanac.core.files import canonical_json, sha256_file
from governance.documents.kind import complete_files
from governance.registry import Registry, collect


def version_files(folder: Path, mark: str, passed: bool | None = True) -> dict[str, Path]:
    """Write a version whose bytes depend on `mark` and return path -> file; `passed` None leaves gate.json out."""
    model = folder / mark / "model"
    model.mkdir(parents=True)
    (model / "model.bst").write_text(f"tree\nmark={mark}\n")
    listed = {"model.bst": {"sha256": sha256_file(model / "model.bst"), "bytes": (model / "model.bst").stat().st_size}}
    (model / "manifest.json").write_text(json.dumps({"format": 1, "files": listed}))
    files = collect(model, "model")
    if passed is not None:
        gate = folder / mark / "gate.json"
        gate.write_text(json.dumps({"passed": passed, "rules": []}))
        files["gate.json"] = gate
    return files


def document_files(folder: Path, files: dict[str, Path], text: str = "written") -> dict[str, Path]:
    """Write documents about `files` and return path -> file."""
    target = folder / "governance"
    target.mkdir(parents=True, exist_ok=True)
    names = [name for name in complete_files() if name != "manifest.json"]
    for name in names:
        (target / name).write_text(f"{name}: {text}\n")
    described = {name: {"sha256": sha256_file(path), "bytes": path.stat().st_size} for name, path in files.items()}
    listed = {name: {"sha256": sha256_file(target / name)} for name in names}
    body = {"format": 1, "complete": True, "files": listed, "artifacts": described}
    (target / "manifest.json").write_bytes(canonical_json(body))
    return collect(target, "governance")


def documented_version(registry: Registry, folder: Path, mark: str, who: str = "ann", approval: str = "none") -> int:
    """Register a version with a passed gate and complete documents; return its number."""
    files = version_files(folder, mark)
    number = registry.register("demo", files, who=who, why=f"{mark} registered", approval=approval)
    documents = document_files(folder / mark, files)
    registry.attach_documents("demo", number, documents, who=who, why=f"{mark} documented")
    return number

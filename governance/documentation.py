"""The governance documents of a registered version."""

import shutil
from pathlib import Path
from typing import Any

from almanac.core.errors import RegistryError
from almanac.core.files import read_json, sha256_file
from almanac.core.progress import summary
from almanac.usecase import UseCase, dump
from governance.documents import write_documents
from governance.documents.bundle import FOLDER
from governance.registration import Artifacts, actor
from governance.registry import Registry, Version, collect
from governance.registry.versions import read_blob
from governance.verify import verify_documents


def document(usecase: UseCase, artifacts: Artifacts, registration: Path, registry_url: str, out: Path) -> Version:
    """Write the documents to `out`, verify them, attach them to the version, and promote it if its policy lets it.

    A version that is or was in production keeps its documents, which are given out again; one that was taken out of
    production is not put back by running the same thing again.

    Args:
        usecase: the use case with the statements that people must make.
        artifacts: the run's, as they were registered.
        registration: registration.json.
        registry_url: a path, s3:// or gs://.
        out: the governance directory to write.

    Returns:
        The version as it stands afterwards.

    Raises:
        DocumentError: a mandatory statement or an artifact is missing, by name, or a document does not verify.
        RegistryError: the registry refuses the documents or the promotion.
    """
    told: dict[str, Any] = read_json(registration)
    registry, number = Registry(registry_url), int(told["version"])
    entry = registry.version(usecase.name, number)
    _check_registered(registry, usecase.name, number, artifacts)
    settled = entry.stage in ("production", "archived") and entry.documents is not None
    if settled:
        _give_out(registry, usecase.name, number, out)
    else:
        write_documents(artifacts.all(), dump(usecase), told, out)
    verify_documents(artifacts.all(), out)
    why = f"{told['address']}: documents written and verified"
    if not settled:
        registry.attach_documents(usecase.name, number, collect(out, FOLDER), who=actor(), why=why)
        if entry.policy == "none":
            registry.promote(usecase.name, number, who=actor(), why="the gate passed and no approval is asked for")
    entry = registry.version(usecase.name, number)
    summary(f"{len(list(out.iterdir()))} documents; {told['address']} {_standing(entry)}")
    return entry


def _check_registered(registry: Registry, use_case: str, number: int, artifacts: Artifacts) -> None:
    """Refuse artifacts that are not those of the version."""
    listed = registry.files(use_case, number)
    for name, path in artifacts.all().items():
        if name not in listed or listed[name]["sha256"] != sha256_file(path):
            raise RegistryError(f"{name}: not the file that version {number} of {use_case} was registered with")


def _give_out(registry: Registry, use_case: str, number: int, out: Path) -> None:
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    for name, item in registry.files(use_case, number).items():
        if name.startswith(f"{FOLDER}/"):
            (out / name.removeprefix(f"{FOLDER}/")).write_bytes(read_blob(registry.store, name, item["sha256"]))


def _standing(entry: Version) -> str:
    if entry.stage == "archived":
        return "was taken out of production; promote it by hand if that is meant"
    return f"stands in {entry.stage}" if entry.stage else "awaits approval"

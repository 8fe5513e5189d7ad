"""Documents of a registered version: write, verify and attach them, and promote the version if its policy allows."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from almanac.core.errors import RegistryError
from almanac.core.files import read_json, sha256_file
from almanac.core.progress import summary
from almanac.usecase import UseCase, dump
from governance import signing
from governance.documents.bundle import write_documents
from governance.documents.layout import FOLDER, MANIFEST, REGISTRATION
from governance.registration import actor
from governance.registry import Registry, Version, collect
from governance.registry.versions import read_blob
from governance.verify import verify_documents


def document(
    usecase: UseCase,
    files: Mapping[str, Path],
    registration: Path,
    registry_url: str,
    out: Path,
    usage: Mapping[str, Any] | None = None,
) -> Version:
    """Write the documents to `out`, verify them, attach them to the version, and promote it if no approval is needed.

    A version that is or was in production keeps its documents, which are written to `out` again, and its stage: the
    same run again does not undo a demotion.

    Args:
        usecase: the use case with its statements.
        files: the version's files, as they were registered.
        registration: registration.json.
        registry_url: a path, s3:// or gs://.
        out: the governance directory to write.
        usage: what the training took, as `almanac.core.usage` measures it; None where nobody measured it.

    Returns:
        The version afterwards.

    Raises:
        DocumentError: a mandatory statement or an artifact is missing, by name, or a document does not verify.
        RegistryError: the registry refuses the documents or the promotion.
    """
    record: dict[str, Any] = read_json(registration)
    registry, number = Registry(registry_url), int(record["version"])
    entry = registry.version(usecase.name, number)
    _check_registered(registry, usecase.name, number, files)
    settled = entry.stage in ("production", "archived") and entry.documents is not None
    if settled:
        _fetch_documents(registry, usecase.name, number, out)
    else:
        if taken := _usage(registry, usecase.name, number, usage):
            record["compute"] = taken
        write_documents(files, dump(usecase), record, out)
        _sign(registry, usecase.name, number, record, out)
    verify_documents(files, out)
    if not settled:
        why = f"{record['address']}: documents written and verified"
        registry.attach_documents(usecase.name, number, collect(out, FOLDER), who=actor(), why=why)
        # Asked of the registry: its policy may need an approval of what the use case file would promote.
        if not registry.needs_approval(usecase.name, number) and not _is_held_back(registry, usecase.name, number, out):
            registry.promote(usecase.name, number, who=actor(), why="the gate passed and no approval is asked for")
    entry = registry.version(usecase.name, number)
    draft = "draft " if read_json(out / MANIFEST).get("not_stated") else ""
    summary(f"{len(list(out.iterdir()))} {draft}documents; {record['address']} {_status(entry)}")
    return entry


def _is_held_back(registry: Registry, use_case: str, number: int, out: Path) -> bool:
    """Return whether a version is a draft that the registry's policy keeps out of production."""
    draft = bool(read_json(out / MANIFEST)["not_stated"])
    return draft and registry.state(use_case).needs_documents(registry.version(use_case, number))


def _check_registered(registry: Registry, use_case: str, number: int, files: Mapping[str, Path]) -> None:
    listed = registry.files(use_case, number)
    for name, path in files.items():
        if name not in listed or listed[name]["sha256"] != sha256_file(path):
            raise RegistryError(f"{name}: not the file that version {number} of {use_case} was registered with")


def _usage(registry: Registry, use_case: str, number: int, measured: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the cost of the training; of a repeated training, the cost that its documents already state."""
    item = registry.files(use_case, number).get(REGISTRATION)
    # The same model never takes the same time, but is the same version, and its documents stand.
    told = json.loads(read_blob(registry.store, REGISTRATION, item["sha256"])).get("compute") if item else None
    return dict(told or measured or {})


def _sign(registry: Registry, use_case: str, number: int, record: Mapping[str, Any], out: Path) -> None:
    """Sign the documents by the key that signed the model, or keep the signature of the same documents."""
    key = signing.key_of(record["signature"]["fingerprint"])
    attached, name = registry.files(use_case, number), f"{FOLDER}/{signing.DOCUMENTS_SIGNATURE}"
    before = attached.get(f"{FOLDER}/{MANIFEST}", {}).get("sha256")
    # Every signature has other bytes: a new one would make other documents of the same ones, which need an approval.
    if name in attached and before == sha256_file(out / MANIFEST):
        (out / signing.DOCUMENTS_SIGNATURE).write_bytes(read_blob(registry.store, name, attached[name]["sha256"]))
    else:
        signing.sign_contents(out, signing.DOCUMENTS_SIGNATURE, key)


def _fetch_documents(registry: Registry, use_case: str, number: int, out: Path) -> None:
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    for name, item in registry.files(use_case, number).items():
        if name.startswith(f"{FOLDER}/"):
            (out / name.removeprefix(f"{FOLDER}/")).write_bytes(read_blob(registry.store, name, item["sha256"]))


def _status(entry: Version) -> str:
    if entry.stage == "archived":
        return "was taken out of production; promote it by hand if that is meant"
    return f"is in {entry.stage}" if entry.stage else "awaits approval"

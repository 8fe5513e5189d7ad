"""Checks of a version's bytes before the version counts: gate, documents, and the sha256 of every file."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from almanac.core.errors import RegistryError
from almanac.core.files import parse_json, sha256_bytes
from governance.registry.state import State, Version
from governance.registry.store import Store
from governance.registry.versions import read_blob, read_manifest

_FOLDER = "governance"


def gate_passed(data: bytes) -> bool:
    """Return whether gate.json has `"passed": true`; anything else is a closed gate.

    Raises:
        RegistryError: not JSON.
    """
    try:
        return parse_json(data).get("passed") is True
    except (ValueError, AttributeError) as error:
        raise RegistryError(f"gate.json: not a gate's result ({error})") from error


def check_documents(documents: Mapping[str, bytes], version_files: Mapping[str, Any], entry: Version) -> None:
    """Check that a version's documents are complete, unaltered, and about this version's files.

    Args:
        documents: `governance/<name>` -> bytes.
        version_files: path -> {"sha256"} of the registered version.
        entry: the version, which records the documents that its promotion requires.

    Raises:
        RegistryError: a document is missing, altered or about other files, by name.
    """
    name = f"version {entry.number}"
    _check_complete(documents, entry)
    bundle = parse_json(documents[f"{_FOLDER}/manifest.json"])
    if bundle.get("complete") is not True:
        raise RegistryError(f"{name}: governance/manifest.json does not call the documents complete")
    for file, listed in bundle["files"].items():
        data = documents.get(f"{_FOLDER}/{file}")
        if data is None or sha256_bytes(data) != listed["sha256"]:
            raise RegistryError(f"{name}: governance/{file} is missing or not what its manifest lists")
    for file, listed in version_files.items():
        described = bundle["artifacts"].get(file)
        if described is None or described["sha256"] != listed["sha256"]:
            raise RegistryError(f"{name}: the documents describe another {file} than the version holds")


def _check_complete(documents: Mapping[str, bytes], entry: Version) -> None:
    # Imported here because a server reads the registry and never checks documents.
    from governance.documents.kind import required_files
    from governance.documents.layout import COMMON_FILES

    # Versions registered before requirements were recorded need the documents that this release requires.
    required = entry.requires if entry.requires is not None else required_files()
    missing = [name for name in (*required, *COMMON_FILES) if f"{_FOLDER}/{name}" not in documents]
    if missing:
        packages = sorted({required[name] for name in missing if required.get(name)})
        install = f"; install {', '.join(packages)} where the documents are written" if packages else ""
        raise RegistryError(
            f"version {entry.number}: the documents are incomplete, without {', '.join(missing)}{install}"
        )


def check_version(store: Store, use_case: str, entry: Version, for_promotion: bool = False) -> None:
    """Read every byte of a version and compare it with the digests in its events.

    Raises:
        RegistryError: the first file that is missing, altered, or contradicts its event.
    """
    files = read_manifest(store, use_case, entry.manifest)["files"]
    blobs = {name: read_blob(store, name, item["sha256"]) for name, item in files.items()}
    name = f"{use_case} version {entry.number}"
    if sha256_bytes(blobs["model/manifest.json"]) != entry.model:
        raise RegistryError(f"{name}: model/manifest.json is not the model that the event names")
    if ("gate.json" in blobs and gate_passed(blobs["gate.json"])) != entry.gate_passed:
        raise RegistryError(f"{name}: gate.json contradicts the registration event")
    if entry.documents is None:
        if for_promotion:
            raise RegistryError(f"{name} has no governance documents; write and attach them first")
        return
    listed = read_manifest(store, use_case, entry.documents)["files"]
    check_documents({key: read_blob(store, key, item["sha256"]) for key, item in listed.items()}, files, entry)


def event_names(store: Store, use_case: str) -> list[str]:
    """Return the names among a use case's events; call it before reading the events, as others may write meanwhile."""
    return store.keys(f"use_cases/{use_case}/events")


def check_event_names(store: Store, use_case: str, names: Iterable[str], state: State) -> None:
    """Refuse objects among the events that are no events, and events after a gap.

    Args:
        store: the registry's store.
        use_case: the use case.
        names: `event_names` from before the events were read.
        state: the fold over the events.

    Raises:
        RegistryError: the first name that does not belong there.
    """
    expected = {f"{number:08d}.json" for number in state.digests}
    for name in names:
        if name not in expected:
            number = re.fullmatch(r"(\d{8})\.json", name)
            fault = f"an event beyond a gap; number {len(expected) + 1} is missing" if number else "not an event"
            raise RegistryError(f"{store.url}/use_cases/{use_case}/events/{name}: {fault}")

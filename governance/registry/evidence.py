"""What must be true of a version's bytes before it counts: gate, documents, every sha256."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from almanac.core.errors import RegistryError
from almanac.core.files import sha256_bytes
from governance.registry.state import State, Version
from governance.registry.stores import Store
from governance.registry.versions import REQUIRED_DOCUMENTS, read_blob, read_manifest

_FOLDER = "governance"


def gate_passed(data: bytes) -> bool:
    """Return what gate.json says; anything but a plain `true` is a closed gate.

    Raises:
        RegistryError: not JSON.
    """
    try:
        return json.loads(data).get("passed") is True
    except (ValueError, AttributeError) as error:
        raise RegistryError(f"gate.json: not a gate's result ({error})") from error


def check_documents(documents: Mapping[str, bytes], version_files: Mapping[str, Any], version: int) -> None:
    """Check that the documents are all there, unaltered, complete, and about this version's files.

    Args:
        documents: `governance/<name>` -> bytes.
        version_files: path -> {"sha256"} of the registered version.
        version: its number.

    Raises:
        RegistryError: what is missing or does not match, by file name.
    """
    missing = [name for name in REQUIRED_DOCUMENTS if f"{_FOLDER}/{name}" not in documents]
    if missing:
        raise RegistryError(f"version {version}: the documents are incomplete, without {', '.join(missing)}")
    bundle = json.loads(documents[f"{_FOLDER}/manifest.json"])
    if bundle.get("complete") is not True:
        raise RegistryError(f"version {version}: governance/manifest.json does not call the documents complete")
    for name, entry in bundle["files"].items():
        data = documents.get(f"{_FOLDER}/{name}")
        if data is None or sha256_bytes(data) != entry["sha256"]:
            raise RegistryError(f"version {version}: governance/{name} is missing or not what its manifest lists")
    for name, entry in version_files.items():
        described = bundle["artifacts"].get(name)
        if described is None or described["sha256"] != entry["sha256"]:
            raise RegistryError(f"version {version}: the documents describe another {name} than the version holds")


def check_version(store: Store, use_case: str, entry: Version, for_promotion: bool = False) -> None:
    """Read every byte of a version and check it against the digests in its events.

    Raises:
        RegistryError: the first file that is missing, altered, or says otherwise than the event.
    """
    files = read_manifest(store, use_case, entry.manifest)["files"]
    blobs = {name: read_blob(store, name, item["sha256"]) for name, item in files.items()}
    name = f"{use_case} version {entry.number}"
    if sha256_bytes(blobs["model/manifest.json"]) != entry.model:
        raise RegistryError(f"{name}: model/manifest.json is not the model that the event names")
    if (gate_passed(blobs["gate.json"]) if "gate.json" in blobs else False) != entry.gate_passed:
        raise RegistryError(f"{name}: gate.json says otherwise than the registration event")
    if entry.documents is None:
        if for_promotion:
            raise RegistryError(f"{name} has no governance documents; write and attach them first")
        return
    listed = read_manifest(store, use_case, entry.documents)["files"]
    check_documents({key: read_blob(store, key, item["sha256"]) for key, item in listed.items()}, files, entry.number)


def event_names(store: Store, use_case: str) -> list[str]:
    """Return the names among the events; list them before the events are read, for others may write meanwhile."""
    return store.keys(f"use_cases/{use_case}/events")


def check_event_names(store: Store, use_case: str, names: Iterable[str], state: State) -> None:
    """Refuse strange objects among the events, and events beyond a gap.

    Args:
        store: the registry's store.
        use_case: whose chain.
        names: `event_names` from before the events were read.
        state: the fold over the events.

    Raises:
        RegistryError: the first name that does not belong.
    """
    expected = {f"{number:08d}.json" for number in state.digests}
    for name in names:
        if name not in expected:
            number = re.fullmatch(r"(\d{8})\.json", name)
            what = f"an event beyond a gap; number {len(expected) + 1} is missing" if number else "not an event"
            raise RegistryError(f"{store.url}/use_cases/{use_case}/events/{name}: {what}")

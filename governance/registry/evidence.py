"""Checks of an event against the objects that it names: manifest, gate, documents and signature.

Whoever reads a chain makes them, so that an event that contradicts its version is refused by servers, too.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from almanac.core.errors import RegistryError
from almanac.core.files import parse_json
from governance.dsse import signed_files
from governance.registry.events import Event
from governance.registry.release_checks import gate_passed
from governance.registry.state import State, Version
from governance.registry.store import Store
from governance.registry.versions import blob_key, manifest_key, read_blob, read_manifest

_MODEL, _MODEL_MANIFEST, _GATE = "model/", "model/manifest.json", "gate.json"
_FOLDER = "governance/"
_AT_ONCE = 500
_SHOWN = 3


def check_evidence(store: Store, state: State, event: Event) -> None:
    """Check an event against the objects that it names.

    Args:
        store: the registry's store.
        state: the state after the event.
        event: the event.

    Raises:
        RegistryError: an object that is missing or altered, or that says something else than the event.
    """
    if event.kind == "registered":
        _check_registered(store, state.use_case, event)
    elif event.kind == "documented":
        _check_documented(store, state.use_case, state.version(event.version))
    elif event.kind in ("promoted", "rolled_back"):
        entry = state.version(event.version)
        if entry.stage == "production" and state.needs_documents(entry):
            check_stated(store, state.use_case, entry)
        if state.in_force().signers:
            check_signed(store, state, entry)


def fetch_evidence(store: Store, use_case: str, events: Iterable[Event]) -> None:
    """Read ahead the objects that the checks of many events need: manifests, and the gates that these name."""
    named = (event.detail.get("manifest") for event in events if event.kind in ("registered", "documented"))
    keys = list(dict.fromkeys(manifest_key(use_case, digest) for digest in named if isinstance(digest, str)))
    for first in range(0, len(keys), _AT_ONCE):
        gates = map(_gate, store.read_ahead(keys[first : first + _AT_ONCE]).values())
        if blobs := [blob_key(digest) for digest in dict.fromkeys(gates) if digest]:
            store.read_ahead(blobs)


def _gate(manifest: bytes) -> str | None:
    try:
        digest = parse_json(manifest)["files"][_GATE]["sha256"]
    # What is wrong with a manifest is said by its check.
    except (ValueError, KeyError, TypeError):
        return None
    return digest if isinstance(digest, str) else None


def _check_registered(store: Store, use_case: str, event: Event) -> None:
    manifest, detail = read_manifest(store, use_case, event.detail["manifest"]), event.detail
    files = manifest["files"]
    if manifest.get("use_case") != use_case:
        raise RegistryError(f"its manifest is of the use case {manifest.get('use_case')!r}")
    if manifest.get("approval") != detail["approval"]:
        raise RegistryError(f"approval is {detail['approval']}, its manifest says {manifest.get('approval')}")
    if files.get(_MODEL_MANIFEST, {}).get("sha256") != detail["model"]:
        raise RegistryError(f"the model {detail['model'][:12]}… is not that of its manifest")
    # Read from the file, as the event's word is what somebody may have forged.
    passed = _GATE in files and gate_passed(read_blob(store, _GATE, files[_GATE]["sha256"]))
    if passed != detail["gate_passed"]:
        raise RegistryError(f"gate_passed is {detail['gate_passed']}, its gate.json says {passed}")


def _check_documented(store: Store, use_case: str, entry: Version) -> None:
    manifest = read_manifest(store, use_case, str(entry.documents))
    if (manifest.get("use_case"), manifest.get("version")) != (use_case, entry.number):
        raise RegistryError(
            f"its documents are of version {manifest.get('version')} of {manifest.get('use_case')}, not of this one"
        )
    # Names only: reading every document on each look would cost a server more than the model itself.
    missing = [name for name in entry.requires or () if f"{_FOLDER}{name}" not in manifest["files"]]
    if missing:
        raise RegistryError(f"its documents are incomplete, without {', '.join(missing)}")


def check_stated(store: Store, use_case: str, entry: Version) -> None:
    """Check that a version is no draft: that its documents lack no statement.

    Raises:
        RegistryError: what is not stated, by name.
    """
    if entry.documents is None:
        return
    name = f"{_FOLDER}manifest.json"
    item = read_manifest(store, use_case, entry.documents)["files"].get(name)
    bundle = parse_json(read_blob(store, name, item["sha256"])) if item else {}
    # Documents of earlier releases could not be written without every statement.
    if missing := bundle.get("not_stated"):
        more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        raise RegistryError(
            f"version {entry.number} is a draft, and the registry's policy asks for documents: not stated are "
            f"{', '.join(missing[:_SHOWN])}{more}; `almanac statements FILE` asks for them"
        )


def check_signed(store: Store, state: State, entry: Version) -> None:
    """Check that a version's model is signed with one of the keys that the policy pins.

    The signature lists each file's sha256, and so does the version's manifest: no byte of the model is read.

    Raises:
        RegistryError: no signature, or none with a pinned key of exactly these files.
    """
    name = f"version {entry.number}"
    documents = read_manifest(store, state.use_case, str(entry.documents))["files"] if entry.documents else {}
    item = documents.get(f"{_FOLDER}model.sig")
    if item is None:
        raise RegistryError(f"{name} is not signed, and the registry's policy pins the keys of its models")
    bundle = read_blob(store, f"{_FOLDER}model.sig", item["sha256"])
    model = _model_files(read_manifest(store, state.use_case, entry.manifest)["files"])
    # Any pinned key will do: while a key is replaced, models of both are about.
    faults = []
    for signer, pem in state.in_force().signers.items():
        try:
            if signed_files(bundle, pem.encode(), f"{_FOLDER}model.sig", f"of {signer}") == model:
                return
            faults.append(f"it signs other files than {name} holds")
        except RegistryError as error:
            faults.append(str(error))
    raise RegistryError(f"{name} is not signed with a key that the registry's policy pins: {'; '.join(faults)}")


def _model_files(files: Mapping[str, Any]) -> dict[str, str]:
    return {name.removeprefix(_MODEL): item["sha256"] for name, item in files.items() if name.startswith(_MODEL)}

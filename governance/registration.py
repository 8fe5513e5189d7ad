"""Registration of a run whose gate passed."""

import getpass
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from almanac.core.errors import RegistryError
from almanac.core.files import read_json, sha256_file, write_json
from almanac.core.progress import summary
from almanac.usecase import UseCase, digest
from governance import signing
from governance.registry import Event, Registry, State, Version, collect, fetch
from governance.registry.fold import fold
from governance.registry.versions import read_blob, read_manifest

_ENVIRONMENTS = ("local", "cluster")
#: Number of earlier versions that documents list.
_PREVIOUS = 12
#: Files of a version that depend on the model that was in production beside it.
_JUDGED = {"gate.json", "predictions.parquet"}
#: Inputs of the pipeline's tasks whose files have another name in a run directory.
_FILES = {"figures": "metrics.json", "decision": "gate.json", "predictions": "predictions.parquet"}


def version_files(model: str, **inputs: str) -> dict[str, Path]:
    """Return the files of a version, path in the version -> file, from a task's inputs.

    Args:
        model: the model directory.
        inputs: path of each further artifact by the name that it has in the pipeline.
    """
    named = {_FILES.get(name, f"{name}.json"): Path(path) for name, path in inputs.items()}
    return {**collect(Path(model), "model"), **named}


def registered_files(registry_url: str, use_case: str, number: int) -> dict[str, Path]:
    """Return the verified local files of a version as it was registered, path in the version -> file."""
    registry = Registry(registry_url)
    entry = registry.version(use_case, number)
    folder = fetch(registry, use_case, entry).parent
    return {name: folder / name for name in read_manifest(registry.store, use_case, entry.manifest)["files"]}


def register(
    usecase: UseCase, files: Mapping[str, Path], registry_url: str, environment: str, out: Path
) -> dict[str, Any]:
    """Register a run's files, sign the model, write registration.json to `out` and return its content.

    The same files registered again keep their version and, with the same key, their signature. So does the model in
    production: the gate compared it with itself, and the version stays as it was judged before.

    Args:
        usecase: the use case; its policy for the environment can make the registry's stricter, and no laxer.
        files: path in the version -> file.
        registry_url: a path, s3:// or gs://.
        environment: `local` or `cluster`.
        out: the file to write.

    Raises:
        RegistryError: the gate is closed, the environment is unknown, there is no key, or the store is refused.
    """
    if environment not in _ENVIRONMENTS:
        raise RegistryError(f"environment is {environment!r}; expected local or cluster")
    if read_json(files["gate.json"]).get("passed") is not True:
        raise RegistryError("gate.json: the gate is closed; nothing is registered")
    key = None if signing.keyless() else signing.signing_key(environment)
    registry = Registry(registry_url)
    entry = _again(registry, usecase, files)
    if entry is None:
        number = registry.register(
            usecase.name,
            files,
            who=actor(),
            why=f"{usecase.title}: the gate passed",
            approval=getattr(usecase.governance.approval, environment),
            use_case_digest=digest(usecase),
        )
        entry = registry.version(usecase.name, number)
    registration = _description(registry, usecase.name, entry)
    signature: dict[str, Any] = _signature(registry, usecase.name, entry, files["model/manifest.json"].parent, key)
    registration["signature"] = {**signature, "pinned": _pinned(registry, usecase.name, registration["event"])}
    write_json(out, registration)
    summary(f"{registration['address']}, model {entry.model[:12]}")
    return registration


def _again(registry: Registry, usecase: UseCase, files: Mapping[str, Path]) -> Version | None:
    """Return the version in production if these files are its own, but for the gate's."""
    entry = registry.current(usecase.name)
    if entry is None:
        return None
    manifest = read_manifest(registry.store, usecase.name, entry.manifest)
    if manifest.get("metadata", {}).get("use_case_digest") != digest(usecase):
        return None
    listed = {name: item["sha256"] for name, item in manifest["files"].items() if name not in _JUDGED}
    return entry if listed == {name: sha256_file(files[name]) for name in files if name not in _JUDGED} else None


def actor() -> str:
    """Return the name for events: ALMANAC_ACTOR, or the user of this process."""
    configured = os.environ.get("ALMANAC_ACTOR", "").strip()
    if configured:
        return configured
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user often has no name
        return f"uid {os.getuid()}"


def _description(registry: Registry, use_case: str, entry: Version) -> dict[str, Any]:
    """Return the content of registration.json, without the signature."""
    event = next(
        event for event in registry.log(use_case) if event.kind == "registered" and event.version == entry.number
    )
    return {
        "use_case": use_case,
        "version": entry.number,
        "address": f"registry:{use_case}/{entry.number}",
        "model": entry.model,
        "manifest": entry.manifest,
        # The stricter of the caller's and the registry's policy at that time; documents that are written again say the
        # same, also after a change of the policy.
        "approval": entry.policy,
        "event": {"number": event.number, "digest": event.digest, "who": event.who, "when": event.when},
        "previous": _previous(registry, use_case, event),
    }


def _before(registry: Registry, use_case: str, number: int) -> State:
    """Return the state before an event, so that documents stay true whatever happens later."""
    return fold(use_case, [event for event in registry.log(use_case) if event.number < number])


def _pinned(registry: Registry, use_case: str, registered: dict[str, Any]) -> dict[str, str]:
    """Return fingerprint -> name of the keys that the registry's policy pinned when the version was registered."""
    signers = _before(registry, use_case, registered["number"]).in_force().signers
    return {signing.fingerprint(pem.encode()): name for name, pem in signers.items()}


def _previous(registry: Registry, use_case: str, registered: Event) -> dict[str, Any]:
    """Return the versions before a registration, and which of them was in production then."""
    state = _before(registry, use_case, registered.number)
    versions = [
        {"number": entry.number, "model": entry.model, "proposer": entry.proposer, "when": entry.registered_at}
        for entry in state.versions.values()
    ]
    return {"production": state.stages().get("production"), "versions": versions[-_PREVIOUS:]}


def _signature(registry: Registry, use_case: str, entry: Version, model: Path, key: Path | None) -> dict[str, str]:
    """Return the version's signature: that of its documents if our key made it, else a new one."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if key is None:
            signing.sign_keyless(model, folder)
            return {"fingerprint": "keyless", "bundle": (folder / signing.SIGNATURE).read_text()}
        public = signing.public_key(key)
        _fetch_signature(registry, use_case, entry, folder)
        kept = folder / signing.PUBLIC_KEY
        # Every signature has other bytes: a new one would give the same run other documents.
        if kept.exists() and kept.read_bytes() == public:
            signing.verify(model, folder / signing.SIGNATURE, kept)
        else:
            signing.sign(model, folder, key)
        return {
            "fingerprint": signing.fingerprint(public),
            "public_key": public.decode(),
            "bundle": (folder / signing.SIGNATURE).read_text(),
        }


def _fetch_signature(registry: Registry, use_case: str, entry: Version, folder: Path) -> None:
    # Other statements about the same model are another version, and the model is signed as before.
    twins = [one for one in registry.state(use_case).versions.values() if one.model == entry.model and one.documents]
    files = registry.files(use_case, twins[-1].number if twins and not entry.documents else entry.number)
    for part in (signing.SIGNATURE, signing.PUBLIC_KEY):
        if item := files.get(f"governance/{part}"):
            (folder / part).write_bytes(read_blob(registry.store, f"governance/{part}", item["sha256"]))

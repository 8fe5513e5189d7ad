"""Registration of a run whose gate passed."""

import getpass
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from almanac.core.errors import RegistryError
from almanac.core.files import read_json, write_json
from almanac.core.progress import summary
from almanac.usecase import UseCase
from governance import signing
from governance.registry import Registry, Version, collect
from governance.registry.versions import read_blob

_ENVIRONMENTS = ("local", "cluster")


@dataclass(frozen=True)
class Artifacts:
    """What a version is made of: the model directory, and files by their name in the run directory."""

    model: Path
    files: Mapping[str, Path]

    @classmethod
    def of(cls, model: str, **files: str) -> "Artifacts":
        """Return the artifacts of a task's inputs, named `figures`, `decision`, `lineage` … as in the pipeline."""
        names = {"figures": "metrics.json", "decision": "gate.json", "predictions": "predictions.parquet"}
        return cls(Path(model), {names.get(key, f"{key}.json"): Path(path) for key, path in files.items()})

    def all(self) -> dict[str, Path]:
        """Return path in the version -> file."""
        return {**collect(self.model, "model"), **self.files}


def register(usecase: UseCase, artifacts: Artifacts, registry_url: str, environment: str, out: Path) -> dict[str, Any]:
    """Register a run's artifacts, sign the model, write registration.json to `out` and return its content.

    The same artifacts registered again keep their version and, with the same key, their signature.

    Args:
        usecase: the use case, whose policy for the environment goes with the version.
        artifacts: the run's.
        registry_url: a path, s3:// or gs://.
        environment: `local` or `cluster`.
        out: where to write.

    Raises:
        RegistryError: the gate is closed, the environment is unknown, there is no key, or the store is refused.
    """
    if environment not in _ENVIRONMENTS:
        raise RegistryError(f"environment is {environment!r}; right would be local or cluster")
    if read_json(artifacts.files["gate.json"]).get("passed") is not True:
        raise RegistryError("gate.json: the gate is closed; nothing is registered")
    key = None if signing.keyless() else signing.signing_key(environment)
    registry = Registry(registry_url)
    number = registry.register(
        usecase.name,
        artifacts.all(),
        who=actor(),
        why=f"{usecase.title}: the gate passed",
        approval=getattr(usecase.governance.approval, environment),
    )
    entry = registry.version(usecase.name, number)
    registration = describe(registry, usecase.name, entry)
    registration["signature"] = _signature(registry, usecase.name, entry, artifacts.model, key)
    write_json(out, registration)
    summary(f"{registration['address']}, model {entry.model[:12]}")
    return registration


def describe(registry: Registry, use_case: str, entry: Version) -> dict[str, Any]:
    """Return what registration.json says of a version, without its signature."""
    event = next(
        event for event in registry.log(use_case) if event.kind == "registered" and event.version == entry.number
    )
    return {
        "use_case": use_case,
        "version": entry.number,
        "address": f"registry:{use_case}/{entry.number}",
        "model": entry.model,
        "manifest": entry.manifest,
        "approval": entry.policy,
        "event": {"number": event.number, "digest": event.digest, "who": event.who, "when": event.when},
    }


def actor() -> str:
    """Return who acts: ALMANAC_ACTOR, or the user of this process."""
    named = os.environ.get("ALMANAC_ACTOR", "").strip()
    if named:
        return named
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user often has no name
        return f"uid {os.getuid()}"


def _signature(registry: Registry, use_case: str, entry: Version, model: Path, key: Path | None) -> dict[str, str]:
    """Return the version's signature; the one that its documents hold if our key made it, else a new one."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if key is None:
            signing.sign_keyless(model, folder)
            return {"fingerprint": "keyless", "bundle": (folder / signing.SIGNATURE).read_text()}
        public = signing.public_key(key)
        _fetch_kept(registry, use_case, entry, folder)
        kept = folder / signing.PUBLIC_KEY
        if kept.exists() and kept.read_bytes() == public:
            signing.verify(model, folder / signing.SIGNATURE, kept)
        else:
            signing.sign(model, folder, key)
        return {
            "fingerprint": signing.fingerprint(public),
            "public_key": public.decode(),
            "bundle": (folder / signing.SIGNATURE).read_text(),
        }


def _fetch_kept(registry: Registry, use_case: str, entry: Version, folder: Path) -> None:
    files = registry.files(use_case, entry.number)
    for part in (signing.SIGNATURE, signing.PUBLIC_KEY):
        if item := files.get(f"governance/{part}"):
            (folder / part).write_bytes(read_blob(registry.store, f"governance/{part}", item["sha256"]))

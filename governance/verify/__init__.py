"""Verification of governance documents: hashes, references, metrics, signature and event chain."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from almanac.core.errors import AlmanacError, DocumentError
from almanac.core.files import canonical_json
from governance import signing
from governance.documents.artifacts import Artifacts, run_files
from governance.documents.bundle import manifest_digest
from governance.documents.layout import FOLDER, MANIFEST
from governance.registry import collect
from governance.verify.bundle import CHECKS, Bundle

__all__ = ["Step", "verify", "verify_documents"]


@dataclass(frozen=True)
class Step:
    """One step of a verification.

    Attributes:
        name: of the check.
        count: number of checked items; 0 if they could not be checked, for the reason in the note.
        seconds: duration.
        note: limits of the check.
    """

    name: str
    count: int
    seconds: float
    note: str = ""


def verify(directory: Path, registry: str | None = None, trust: Path | signing.Identity | None = None) -> list[Step]:
    """Verify a run directory, its governance directory, or a version fetched from the registry.

    Args:
        directory: the run, or the `governance` directory in it.
        registry: the registry that must hold the version; None takes the one that run.json names, and leaves the chain
            unchecked if that cannot be read.
        trust: the key or identity that must have signed; None takes the key in the bundle.

    Returns:
        The steps, all of which passed.

    Raises:
        DocumentError: the first broken link, with its file.
    """
    root = directory.parent if directory.name == FOLDER and (directory / MANIFEST).exists() else directory
    manifest = _manifest(root / FOLDER)
    artifacts = _artifacts(run_files(root), root / FOLDER)
    return _run(Bundle(root / "model", root / FOLDER, artifacts, manifest, registry, trust, run=root))


def verify_documents(files: Mapping[str, Path], documents: Path) -> list[Step]:
    """Verify documents that are not in their run's directory, as in a pipeline, without the event chain.

    Args:
        files: URI -> path of the artifacts.
        documents: the governance directory.

    Raises:
        DocumentError: the first broken link, with its file.
    """
    manifest = _manifest(documents)
    model = files["model/manifest.json"].parent
    return _run(Bundle(model, documents, _artifacts(files, documents), manifest, None, None))


def _run(bundle: Bundle) -> list[Step]:
    steps = []
    for name, check in CHECKS.items():
        started = time.perf_counter()
        try:
            count, note = check(bundle)
        except (AlmanacError, KeyError, TypeError, IndexError, AttributeError, ValueError, OSError) as error:
            if isinstance(error, DocumentError):
                raise
            raise DocumentError(f"{name}: {error if isinstance(error, AlmanacError) else repr(error)}") from error
        steps.append(Step(name, count, time.perf_counter() - started, note))
    return steps


def _manifest(folder: Path) -> dict[str, Any]:
    """Return the bundle's manifest, with which everything else is compared."""
    path = folder / MANIFEST
    name = f"{FOLDER}/{MANIFEST}"
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DocumentError(f"{path}: missing; expected the directory of a run that has documents") from error
    try:
        manifest = json.loads(data)
        intact = canonical_json(manifest) + b"\n" == data and manifest["digest"] == manifest_digest(manifest)
    except (ValueError, KeyError, TypeError, AlmanacError) as error:
        raise DocumentError(f"{name}: altered; not a manifest any more ({error!r})") from error
    if not intact:
        raise DocumentError(f"{name}: altered; its bytes do not match its digest")
    return dict(manifest)


def _artifacts(files: Mapping[str, Path], folder: Path) -> Artifacts:
    documents = {uri: path for uri, path in collect(folder, FOLDER).items() if uri != f"{FOLDER}/{MANIFEST}"}
    return Artifacts({**files, **documents})

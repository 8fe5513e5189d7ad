"""Verification of a bundle: every hash, pointer, figure and metric, the signature and the event chain, read again."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from almanac.core.errors import AlmanacError, DocumentError
from almanac.core.files import canonical_json
from governance import signing
from governance.documents.bundle import FOLDER, MANIFEST, manifest_digest
from governance.documents.evidence import Evidence, run_files
from governance.registry import collect
from governance.verify.bundle import CHECKS, Bundle


@dataclass(frozen=True)
class Step:
    """One step of a verification.

    Attributes:
        name: what was checked.
        count: how many of it; 0 where it could not be checked, and the note says why.
        seconds: how long it took.
        note: what a reader has to know.
    """

    name: str
    count: int
    seconds: float
    note: str = ""


def verify(directory: Path, registry: str | None = None, trust: Path | signing.Identity | None = None) -> list[Step]:
    """Verify a run directory, its governance directory, or a version fetched from the registry.

    Args:
        directory: the run, or the `governance` directory in it.
        registry: the registry whose chain must hold the version; None takes the one that run.json names, and leaves
            the chain unchecked where that cannot be read.
        trust: the key or identity that must have signed; None takes the key in the bundle, and says so.

    Returns:
        The steps, all of which held.

    Raises:
        DocumentError: the first broken link, with the file that it is in.
    """
    root = directory.parent if directory.name == FOLDER and (directory / MANIFEST).exists() else directory
    manifest = _manifest(root / FOLDER)
    evidence = _evidence(run_files(root), root / FOLDER)
    return _run(Bundle(root / "model", root / FOLDER, evidence, manifest, registry, trust, run=root))


def verify_documents(files: Mapping[str, Path], documents: Path) -> list[Step]:
    """Verify documents that lie apart from the artifacts they quote, as in a pipeline; the chain is left unchecked.

    Args:
        files: uri -> path of the artifacts.
        documents: the governance directory.

    Raises:
        DocumentError: the first broken link, with the file that it is in.
    """
    manifest = _manifest(documents)
    model = files["model/manifest.json"].parent
    return _run(Bundle(model, documents, _evidence(files, documents), manifest, None, None))


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
    """Return the bundle's manifest, which everything else is held against."""
    path = folder / MANIFEST
    name = f"{FOLDER}/{MANIFEST}"
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DocumentError(f"{path}: missing; right would be the directory of a run that has documents") from error
    try:
        manifest = json.loads(data)
        whole = canonical_json(manifest) + b"\n" == data and manifest["digest"] == manifest_digest(manifest)
    except (ValueError, KeyError, TypeError, AlmanacError) as error:
        raise DocumentError(f"{name}: altered; not a manifest any more ({error!r})") from error
    if not whole:
        raise DocumentError(f"{name}: altered; its bytes do not match its digest")
    return dict(manifest)


def _evidence(files: Mapping[str, Path], folder: Path) -> Evidence:
    documents = {uri: path for uri, path in collect(folder, FOLDER).items() if uri != f"{FOLDER}/{MANIFEST}"}
    return Evidence.of({**files, **documents})

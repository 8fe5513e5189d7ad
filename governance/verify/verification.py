"""A verification from start to end: the bundle is opened, and every check is done and timed."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from almanac.core.errors import AlmanacError, DocumentError
from almanac.core.files import canonical_json, parse_json
from governance import signing
from governance.documents.artifacts import Artifacts, run_files
from governance.documents.bundle import manifest_digest
from governance.documents.layout import FOLDER, MANIFEST
from governance.registry import collect
from governance.verify.bundle import Bundle
from governance.verify.checks import CHECKS


@dataclass(frozen=True)
class Step:
    """One step of a verification.

    Attributes:
        name: of the check.
        what: what it checks, in words.
        count: number of checked items; 0 if they could not be checked, for the reason in the note.
        seconds: duration.
        note: limits of the check.
        fault: the first difference, with its file and place; empty if there is none.
    """

    name: str
    what: str
    count: int
    seconds: float
    note: str = ""
    fault: str = ""


@dataclass(frozen=True)
class Request:
    """Request of a verification: a run and the sources to check it against.

    Attributes:
        directory: the run, or the `governance` directory in it, which leaves the run's other files aside.
        registry: the registry that must hold the version; None takes the one that run.json names, and leaves the chain
            unchecked if that cannot be read.
        trust: the key or identity that must have signed; None takes the key in the bundle.
        data: the validated table; None takes the run's, if it has one.
        checkpoint: a signed note of the registry's newest event, kept elsewhere; None leaves a rewritten end unseen.
    """

    directory: Path
    registry: str | None = None
    trust: Path | signing.Identity | None = None
    data: Path | None = None
    checkpoint: Path | None = None


def verify(
    directory: Path,
    registry: str | None = None,
    trust: Path | signing.Identity | None = None,
    data: Path | None = None,
) -> list[Step]:
    """Verify a run directory, its governance directory, or a version fetched from the registry; see `Request`.

    Returns:
        The steps, all of which passed.

    Raises:
        DocumentError: the first broken link, with its file.
    """
    return _all_passed(examine(Request(directory, registry, trust, data)))


def examine(request: Request) -> Iterator[Step]:
    """Yield every step of a verification, those that failed included.

    Raises:
        DocumentError: there are no documents, or their manifest is altered.
    """
    # A run is often named by the link `latest`, and signatures are of directories, not of links.
    directory = request.directory.resolve()
    alone = directory.name == FOLDER and (directory / MANIFEST).exists()
    root = directory.parent if alone else directory
    manifest = _manifest(root / FOLDER)
    bundle = Bundle(
        root / "model",
        root / FOLDER,
        _artifacts(run_files(root), root / FOLDER),
        manifest,
        request.registry,
        request.trust,
        run=None if alone else root,
        data=request.data or _existing(root / "data.parquet"),
        features=_existing(root / "features.parquet"),
        checkpoint=request.checkpoint,
    )
    yield from _steps(bundle)


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
    return _all_passed(_steps(Bundle(model, documents, _artifacts(files, documents), manifest, None, None)))


def _steps(bundle: Bundle) -> Iterator[Step]:
    for name, (what, check) in CHECKS.items():
        started = time.perf_counter()
        count, note, fault = 0, "", ""
        try:
            count, note = check(bundle)
        except DocumentError as error:
            fault = str(error)
        # Whatever a file was altered to, the verdict is a sentence and never a traceback.
        except (AlmanacError, KeyError, TypeError, IndexError, AttributeError, ValueError, OSError) as error:
            fault = f"{name}: {error if isinstance(error, AlmanacError) else repr(error)}"
        yield Step(name, what, count, time.perf_counter() - started, note, fault)


def _all_passed(steps: Iterator[Step]) -> list[Step]:
    passed = []
    for step in steps:
        if step.fault:
            raise DocumentError(step.fault)
        passed.append(step)
    return passed


def _existing(path: Path) -> Path | None:
    return path if path.is_file() else None


def _manifest(folder: Path) -> dict[str, Any]:
    """Return the bundle's manifest, with which everything else is compared."""
    path = folder / MANIFEST
    name = f"{FOLDER}/{MANIFEST}"
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DocumentError(f"{path}: missing; expected the directory of a run that has documents") from error
    try:
        manifest = parse_json(data)
        intact = canonical_json(manifest) + b"\n" == data and manifest["digest"] == manifest_digest(manifest)
    except (ValueError, KeyError, TypeError, AlmanacError) as error:
        raise DocumentError(f"{name}: altered; not a manifest any more ({error!r})") from error
    if not intact:
        raise DocumentError(f"{name}: altered; its bytes do not match its digest")
    return dict(manifest)


def _artifacts(files: Mapping[str, Path], folder: Path) -> Artifacts:
    documents = {uri: path for uri, path in collect(folder, FOLDER).items() if uri != f"{FOLDER}/{MANIFEST}"}
    return Artifacts({**files, **documents})

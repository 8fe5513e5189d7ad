"""A model directory read for serving: every listed file's sha256 checked, nothing unpickled."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from almanac.core.errors import ModelError
from almanac.core.files import sha256_bytes

_FORMAT = 1


@dataclass(frozen=True)
class Directory:
    """One target's directory, verified.

    Attributes:
        path: where it was read from.
        manifest: the manifest as read.
        digest: sha256 of manifest.json, which lists every other file's: the model's identity.
        documents: the JSON documents by file name.
        files: the content of every listed file by name.
    """

    path: Path
    manifest: dict[str, Any]
    digest: str
    documents: dict[str, dict[str, Any]]
    files: dict[str, bytes]

    @property
    def target(self) -> str:
        """Name of the target."""
        return str(self.manifest["target"])

    def document(self, name: str) -> dict[str, Any]:
        """Return a document that every model has.

        Raises:
            ModelError: the manifest does not list it.
        """
        if name not in self.documents:
            raise ModelError(f"{self.path / 'manifest.json'}: files does not list {name}, which every model has")
        return self.documents[name]


def read_directory(path: Path) -> Directory:
    """Read and verify one target's directory.

    Raises:
        ModelError: a file is missing, altered, unlisted or of an unknown format; the message names it.
    """
    data = _bytes(path / "manifest.json")
    manifest = _object(path / "manifest.json", data)
    _check_manifest(path, manifest)
    documents, files = {}, {}
    for name, entry in manifest["files"].items():
        content = files[name] = _bytes(path / name)
        if (found := sha256_bytes(content)) != (listed := listed_digest(path, name, entry)):
            raise ModelError(f"{path / name}: altered; sha256 is {found}, the manifest says {listed}")
        if name.endswith(".json"):
            documents[name] = _object(path / name, content)
    return Directory(path, manifest, sha256_bytes(data), documents, files)


def listed_digest(path: Path, name: str, entry: Any) -> str:
    """Return the sha256 that a manifest's entry gives.

    Raises:
        ModelError: it gives none.
    """
    if not isinstance(entry, dict) or "sha256" not in entry:
        raise ModelError(f"{path / 'manifest.json'}: files: {name} has no sha256")
    return str(entry["sha256"])


def _check_manifest(path: Path, manifest: dict[str, Any]) -> None:
    place = path / "manifest.json"
    if manifest.get("format") != _FORMAT:
        raise ModelError(f"{place}: format {manifest.get('format')!r} is not known; this version reads {_FORMAT}")
    if missing := [key for key in ("target", "kind", "files") if key not in manifest]:
        raise ModelError(f"{place}: the field {missing[0]!r} is missing; is this one target's directory?")
    if not isinstance(manifest["files"], dict):
        raise ModelError(f"{place}: files must hold an object")
    for name in manifest["files"]:
        if Path(name).name != name or name in ("", ".", ".."):
            raise ModelError(f"{place}: {name!r} is not a plain file name")
    found = {body.name for pattern in ("*.bst", "*.skops") for body in path.glob(pattern)}
    if unlisted := sorted(found - set(manifest["files"])):
        raise ModelError(f"{path / unlisted[0]}: not listed in manifest.json; a directory holds one model alone")


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}); the model is incomplete") from error


def _object(path: Path, data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except ValueError as error:
        raise ModelError(f"{path}: not JSON ({error})") from error
    if not isinstance(value, dict):
        raise ModelError(f"{path}: must hold an object")
    return value

"""Verified reading of a model directory: only files that the manifest lists are read, and nothing is unpickled."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from almanac.core.errors import ModelError
from almanac.core.files import parse_json, sha256_bytes, sha256_file

FORMAT = 1
MANIFEST = "manifest.json"
FEATURES, SIGNATURE, INTERVALS = "features.json", "signature.json", "intervals.json"
#: Trees whose sum is the relative width of a row's interval, where intervals.json asks for them.
WIDTH = "width.bst"
#: For comparison with later windows: the profile of inputs and outputs, and the model of the loss.
REFERENCE, LOSS = "reference.json", "loss.json"
#: Of all targets together: the prediction of each training row by a model that was fitted without it.
OUT_OF_FOLD = "oof.parquet"


@dataclass(frozen=True)
class Directory:
    """One target's directory, verified.

    Attributes:
        path: path of the directory.
        manifest: the manifest as read.
        digest: sha256 of manifest.json, which lists every other file's: the model's identity.
        files: the content of every listed file by name.
    """

    path: Path
    manifest: dict[str, Any]
    digest: str
    files: dict[str, bytes]

    def document(self, name: str) -> dict[str, Any]:
        """Return a JSON document that every model has.

        Raises:
            ModelError: the manifest does not list it, or it is no JSON object.
        """
        if name not in self.files:
            raise ModelError(f"{self.path / MANIFEST}: files does not list {name}, which every model has")
        return parse_object(self.path / name, self.files[name])


def read_directory(path: Path) -> Directory:
    """Read and verify one target's directory.

    Raises:
        ModelError: a file is missing, altered, unlisted or of an unknown format; the message names it.
    """
    data = _bytes(path / MANIFEST)
    manifest = parse_object(path / MANIFEST, data)
    _check_manifest(path, manifest)
    files = {}
    for name, entry in manifest["files"].items():
        # The digest is that of the bytes which are parsed later: a file read twice could change in between.
        content = files[name] = _bytes(path / name)
        if (digest := sha256_bytes(content)) != (listed := _listed_digest(path, name, entry)):
            raise ModelError(f"{path / name}: altered; sha256 is {digest}, the manifest says {listed}")
    return Directory(path, manifest, sha256_bytes(data), files)


def verify_files(path: Path, manifest: dict[str, Any]) -> None:
    """Compare every file that the manifest of several targets lists, in their directories as well, with its sha256.

    Raises:
        ModelError: a file that is missing, altered or outside of the directory.
    """
    files = manifest.get("files", {})
    if not isinstance(files, dict):
        raise ModelError(f"{path / MANIFEST}: files must hold an object")
    for name, entry in files.items():
        if name.startswith("/") or ".." in Path(name).parts:
            raise ModelError(f"{path / MANIFEST}: {name!r} lies outside of the model directory")
        if not (path / name).is_file():
            raise ModelError(f"{path / name}: missing; the manifest lists it")
        if sha256_file(path / name) != _listed_digest(path, name, entry):
            raise ModelError(f"{path / name}: altered; its sha256 is not the manifest's")


def parse_object(path: Path, data: bytes) -> dict[str, Any]:
    """Return the JSON object in the content of a file.

    Raises:
        ModelError: it is no JSON object.
    """
    try:
        value = parse_json(data)
    except ValueError as error:
        raise ModelError(f"{path}: not JSON ({error})") from error
    if not isinstance(value, dict):
        raise ModelError(f"{path}: must hold an object")
    return value


def _listed_digest(path: Path, name: str, entry: Any) -> str:
    if not isinstance(entry, dict) or "sha256" not in entry:
        raise ModelError(f"{path / MANIFEST}: files: {name} has no sha256")
    return str(entry["sha256"])


def _check_manifest(path: Path, manifest: dict[str, Any]) -> None:
    place = path / MANIFEST
    if manifest.get("format") != FORMAT:
        raise ModelError(f"{place}: format {manifest.get('format')!r} is not known; this version reads {FORMAT}")
    if missing := [key for key in ("target", "kind", "files") if key not in manifest]:
        raise ModelError(f"{place}: the field {missing[0]!r} is missing; is this one target's directory?")
    if not isinstance(manifest["files"], dict):
        raise ModelError(f"{place}: files must hold an object")
    for name in manifest["files"]:
        # A name with a directory in it could lead outside of the model directory.
        if Path(name).name != name or name in ("", ".", ".."):
            raise ModelError(f"{place}: {name!r} is not a plain file name")
    # A second body would look like the model to people, and be loaded by nobody.
    bodies = {body.name for pattern in ("*.bst", "*.skops") for body in path.glob(pattern)}
    if unlisted := sorted(bodies - set(manifest["files"])):
        raise ModelError(f"{path / unlisted[0]}: not listed in {MANIFEST}; a directory holds one model only")


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}); the model is incomplete") from error

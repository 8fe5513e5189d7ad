"""Content of a version: blobs named by their sha256, and a manifest that lists them.

Blobs are written first, then the manifest, which is named by its sha256 too, and last the event that registers it.
Whatever an event names is therefore complete.
"""

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from almanac.core.errors import RegistryError
from almanac.core.files import canonical_json, parse_json, sha256_bytes, sha256_file
from governance.registry.store import Store

_DIGEST = re.compile(r"[0-9a-f]{64}")


def collect(directory: Path, prefix: str) -> dict[str, Path]:
    """Return `prefix`/relative path -> file for every file below `directory` that is not hidden.

    Raises:
        RegistryError: not a directory, or an empty one.
    """
    files = {
        f"{prefix}/{path.relative_to(directory).as_posix()}": path
        for path in sorted(directory.rglob("*"))
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(directory).parts)
    }
    if not files:
        raise RegistryError(f"{directory}: no files to register; expected a directory with a manifest.json")
    return files


def blob_key(digest: str) -> str:
    """Return the key of the blob with this sha256."""
    # A folder for each two digits keeps the directories of a large registry small.
    return f"blobs/{digest[:2]}/{digest}"


def manifest_key(use_case: str, digest: str) -> str:
    """Return the key of the manifest with this sha256."""
    return f"use_cases/{use_case}/manifests/{digest}.json"


def put_immutable(store: Store, key: str, data: bytes) -> None:
    """Create `key`; a key that exists must hold the same bytes.

    Raises:
        RegistryError: the key holds other bytes.
    """
    try:
        store.create(key, data)
    except FileExistsError:
        if store.read(key) != data:
            raise RegistryError(f"{store.url}/{key}: holds other bytes than its name says; it was altered") from None


def put_files(store: Store, use_case: str, files: Mapping[str, Path], extra: Mapping[str, Any]) -> str:
    """Store the files as blobs and then their manifest; return the manifest's sha256."""
    return put_manifest(store, use_case, manifest_bytes(use_case, put_blobs(store, files), extra))


def put_blobs(store: Store, files: Mapping[str, Path]) -> dict[str, dict[str, Any]]:
    """Store the files as blobs; return path in the version -> {"sha256", "bytes"}."""
    listed: dict[str, dict[str, Any]] = {}
    for name, path in sorted(files.items()):
        data = path.read_bytes()
        digest = sha256_bytes(data)
        put_immutable(store, blob_key(digest), data)
        listed[_safe(name, str(path))] = {"sha256": digest, "bytes": len(data)}
    return listed


def manifest_bytes(use_case: str, listed: Mapping[str, Any], extra: Mapping[str, Any]) -> bytes:
    """Return the manifest of the listed files; its name is its sha256."""
    return canonical_json({"format": 1, "use_case": use_case, "files": listed, **extra}) + b"\n"


def put_manifest(store: Store, use_case: str, body: bytes) -> str:
    """Store a manifest, after its blobs, and return its sha256."""
    digest = sha256_bytes(body)
    put_immutable(store, manifest_key(use_case, digest), body)
    return digest


def read_manifest(store: Store, use_case: str, digest: str) -> dict[str, Any]:
    """Return the manifest with this sha256, after checking it.

    Raises:
        RegistryError: missing or altered, named.
    """
    key = manifest_key(use_case, digest)
    try:
        data = store.read(key)
    except FileNotFoundError as error:
        raise RegistryError(f"{store.url}/{key}: the manifest is missing") from error
    if sha256_bytes(data) != digest:
        raise RegistryError(f"{store.url}/{key}: the manifest was altered; its sha256 is {sha256_bytes(data)[:12]}…")
    manifest: dict[str, Any] = parse_json(data)
    for name, entry in manifest["files"].items():
        _safe(name, key)
        if not _DIGEST.fullmatch(str(entry.get("sha256"))):
            raise RegistryError(f"{store.url}/{key}: {name} has no sha256")
    return manifest


def read_blob(store: Store, name: str, digest: str) -> bytes:
    """Return a file's bytes, checked against its sha256.

    Raises:
        RegistryError: missing or altered; names the file and the blob.
    """
    key = blob_key(digest)
    try:
        data = store.read(key)
    except FileNotFoundError as error:
        raise RegistryError(f"{store.url}/{key}: the blob of {name} is missing") from error
    actual = sha256_bytes(data)
    if actual != digest:
        raise RegistryError(f"{store.url}/{key}: the blob of {name} was altered; its sha256 is {actual[:12]}…")
    return data


def check_directory(directory: Path, files: Mapping[str, Any]) -> None:
    """Check that `directory` holds exactly the listed files with the listed bytes.

    Raises:
        RegistryError: a missing, altered or additional file, named.
    """
    present = {path.relative_to(directory).as_posix(): path for path in directory.rglob("*") if path.is_file()}
    for name, entry in sorted(files.items()):
        if name not in present:
            raise RegistryError(f"{directory / name}: missing")
        digest = sha256_file(present[name])
        if digest != entry["sha256"]:
            raise RegistryError(f"{directory / name}: altered; sha256 {digest[:12]}…, not {entry['sha256'][:12]}…")
    for name in sorted(present.keys() - files.keys()):
        raise RegistryError(f"{directory / name}: not listed in the version's manifest")


def _safe(name: str, where: str) -> str:
    # Names become paths where a version is fetched, and must not lead out of its directory.
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or str(path) != name:
        raise RegistryError(f"{where}: {name!r} is not a relative path inside the version")
    return name

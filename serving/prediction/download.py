"""Download a model directory from an object store or a web server; it is verified on loading."""

import urllib.error
import urllib.request
from pathlib import Path, PurePosixPath

from almanac.core.errors import ServingError
from almanac.core.files import parse_json
from governance.dsse import signer
from serving.prediction.signed import INSIDE

#: Statuses of web servers for a missing file; object stores that may not be listed answer 403.
_ABSENT = (403, 404, 410)


def download(url: str, target: Path, trusted: Path | None = None) -> None:
    """Download a model directory.

    Args:
        url: of the directory, on a web server or in an object store.
        target: the local directory.
        trusted: the key whose signature is fetched from a web server, which cannot list the signatures.

    Raises:
        ServingError: it cannot be fetched, or is no model directory.
        RegistryError: the trusted key is not a public key.
    """
    # Imported here: a local model needs no object store.
    import fsspec

    try:
        if url.partition("://")[0] in ("http", "https"):
            _download_listed(url.rstrip("/"), target, trusted)
        else:
            filesystem, path = fsspec.core.url_to_fs(url)
            filesystem.get(path.rstrip("/") + "/", str(target) + "/", recursive=True)
    except (OSError, ImportError, ValueError) as error:
        raise ServingError(f"cannot be fetched ({error})") from error


def _download_listed(url: str, target: Path, trusted: Path | None) -> None:
    """Fetch manifest.json, the files that it lists, and the trusted key's signature."""
    data = _fetch(f"{url}/manifest.json")
    (target / "manifest.json").write_bytes(data)
    manifest = parse_json(data)
    if not isinstance(manifest, dict) or not isinstance(manifest.get("files"), dict):
        raise ServingError(f"{url}/manifest.json: lists no files; expected that of a model directory")
    for name in manifest["files"]:
        # The manifest is not verified yet, and its names must not write elsewhere.
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise ServingError(f"{url}/manifest.json: {name!r} lies outside of the model directory")
        _write(target / name, _fetch(f"{url}/{name}"))
    if trusted is not None:
        _download_signature(f"{url}/{INSIDE}/{signer(trusted)}.sig", target / INSIDE)


def _download_signature(url: str, folder: Path) -> None:
    """Fetch a signature if it exists; the check of the directory reports a missing one."""
    try:
        _write(folder / PurePosixPath(url).name, _fetch(url))
    except urllib.error.HTTPError as error:
        if error.code not in _ABSENT:
            raise


def _fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310  (the scheme was checked)
        data: bytes = answer.read()
        return data


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)

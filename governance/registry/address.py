"""Addresses such as `registry:<use case>/<stage or version>`, and the local copies of the versions that they name."""

import os
import shutil
import tempfile
from pathlib import Path

from almanac.core.errors import RegistryError
from almanac.core.files import sha256_bytes
from governance.registry.registry import Registry
from governance.registry.state import Version
from governance.registry.stores import DEFAULT
from governance.registry.versions import check_directory, read_blob

SCHEME = "registry:"


def default_url() -> str:
    """Return the registry's URL: ALMANAC_REGISTRY, or the directory `registry`."""
    return os.environ.get("ALMANAC_REGISTRY", DEFAULT)


def require_address(url: str, environment: str) -> None:
    """Refuse a registry on a cluster whose address is neither given nor configured.

    Raises:
        RegistryError: it would be a directory of a pod, which ends with the pod.
    """
    if environment == "cluster" and url in ("", DEFAULT) and not os.environ.get("ALMANAC_REGISTRY"):
        raise RegistryError(
            "no registry: the config map almanac of this namespace has no key registry; run `kubectl create configmap "
            "almanac --from-literal=registry=s3://BUCKET/registry`, or give the run's parameter registry an address"
        )


def default_cache() -> Path:
    """Return the directory of fetched versions: in ALMANAC_CACHE, or in the user's cache directory."""
    base = os.environ.get("XDG_CACHE_HOME")
    home = Path(base) if base else Path.home() / ".cache"
    return Path(os.environ.get("ALMANAC_CACHE") or home / "almanac") / "versions"


def parse_address(address: str) -> tuple[str, str]:
    """Return (use case, selector) of `registry:<use case>/<stage or version>` or `registry:<use case>@<alias>`.

    The scheme is optional; the selector of an alias keeps its @.

    Raises:
        RegistryError: another form.
    """
    name = address.removeprefix(SCHEME)
    separator = "@" if "@" in name and "/" not in name else "/"
    use_case, found, selector = name.partition(separator)
    if not use_case or not found or not selector or "/" in selector or "@" in selector:
        raise RegistryError(
            f"{address!r} is not a stage address; expected registry:<use case>/<stage or version> or "
            "registry:<use case>@<alias>"
        )
    return use_case, f"@{selector}" if separator == "@" else selector


def resolve(
    address: str,
    registry_url: str | Path | None = None,
    cache: Path | None = None,
    allow_rejected: bool = True,
) -> Path:
    """Return the verified local model directory of an address; fetch it if it is not in the cache.

    The returned path ends in `model`; its parent also holds metrics.json, gate.json, lineage.json and governance/.
    Every call compares every file with its sha256.

    Args:
        address: `registry:<use case>/<stage or version>`.
        registry_url: the registry; the default is `default_url()`.
        cache: directory of fetched versions; the default is `default_cache()`.
        allow_rejected: whether a rejected version may be had, as whoever reads or verifies it must.

    Raises:
        RegistryError: unknown version or stage, a rejected version, or a file that does not verify, named.
    """
    use_case, selector = parse_address(address)
    registry = Registry(registry_url or default_url())
    version = registry.version(use_case, selector)
    if version.rejected and not allow_rejected:
        raise RegistryError(
            f"{address}: version {version.number} was rejected by {version.rejected}; "
            "--allow-rejected takes it all the same"
        )
    return fetch(registry, use_case, version, cache)


def fetch(registry: Registry, use_case: str, version: Version, cache: Path | None = None) -> Path:
    """Return the verified local model directory of a version; fetch it if it is not in the cache."""
    files = registry.files(use_case, version.number)
    name = sha256_bytes(f"{version.manifest}\n{version.documents}".encode())
    directory = (cache or default_cache()) / use_case / name
    if directory.is_dir():
        try:
            check_directory(directory, files)
            return directory / "model"
        except RegistryError:
            # The cache is only a copy: a damaged one is replaced, and the registry's bytes are checked below.
            _discard(directory)
    directory.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(dir=directory.parent, prefix=f".{name}.", suffix=".partial"))
    try:
        for path, item in files.items():
            target = partial / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(read_blob(registry.store, path, item["sha256"]))
        try:
            partial.chmod(0o755)
            partial.rename(directory)
        except OSError:  # another process fetched the same version first; its copy is checked like any other
            check_directory(directory, files)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return directory / "model"


def _discard(directory: Path) -> None:
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix=".damaged.") as trash:
        # Renaming is atomic: no other process sees a directory that is half deleted.
        directory.rename(Path(trash) / directory.name)

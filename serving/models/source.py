"""Where a model comes from: a registry address, a directory or a URL."""

import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from components.common.errors import ServingError
from serving.models.bundle import Bundle, load_bundle
from serving.models.signed import check_signature

if TYPE_CHECKING:
    from governance.registry import Registry

_REGISTRY = "registry:"


@dataclass(frozen=True)
class Source:
    """A place that a model is loaded from, possibly more than once.

    Attributes:
        address: as `--model` names it.
        trusted: PEM file of the public key that must have signed the model; None where any may.
        number: the version that a directory or URL holds; a registry tells it of its own.
    """

    address: str
    trusted: Path | None = None
    number: str | None = None

    @property
    def follows_promotions(self) -> bool:
        """Whether another version can come to stand at the address."""
        return self.address.startswith(_REGISTRY)

    def load(self) -> Bundle:
        """Load what stands at the address now, verified.

        Raises:
            ServingError: an address of another form.
            AlmanacError: what the registry, the signature or the model directory says.
        """
        if self.follows_promotions:
            from governance.registry import fetch, parse_address

            use_case, what = parse_address(self.address)
            version = self._registry.version(use_case, what)
            return self._checked(fetch(self._registry, use_case, version), str(version.number))
        if "://" in self.address and not self.address.startswith("file://"):
            return self._checked(_download(self.address), self.number)
        path = Path(self.address.removeprefix("file://"))
        if not path.is_dir():
            raise ServingError(f"--model {self.address}: no such directory; or write registry:<use case>/<stage>")
        return self._checked(path, self.number)

    def current(self) -> str | None:
        """Return the version that stands at the address now, None where versions do not change."""
        if not self.follows_promotions:
            return None
        from governance.registry import parse_address

        use_case, what = parse_address(self.address)
        return str(self._registry.version(use_case, what).number)

    @cached_property
    def _registry(self) -> "Registry":
        from governance.registry import Registry, default_url

        return Registry(default_url())

    def _checked(self, path: Path, version: str | None = None) -> Bundle:
        # A run directory holds the model directory; what was signed is the latter.
        run = not (path / "manifest.json").exists() and (path / "model" / "manifest.json").exists()
        model = path / "model" if run else path
        check_signature(model, self.trusted)
        return load_bundle(model, version)


def _download(url: str) -> Path:
    """Copy a model directory from an object store or a web server; the manifest's digests are checked on loading."""
    import fsspec

    protocol = url.partition("://")[0]
    target = Path(tempfile.mkdtemp(prefix="almanac-model-"))
    try:
        if protocol in ("http", "https"):
            _download_listed(url.rstrip("/"), target)
        else:
            filesystem, path = fsspec.core.url_to_fs(url)
            filesystem.get(path.rstrip("/") + "/", str(target) + "/", recursive=True)
    except (OSError, ImportError, ValueError) as error:
        raise ServingError(f"--model {url}: cannot be fetched ({error})") from error
    return target


def _download_listed(url: str, target: Path) -> None:
    """Fetch manifest.json and the files that it lists: a web server has no directories."""
    import json
    import urllib.request

    def fetch(name: str) -> bytes:
        with urllib.request.urlopen(f"{url}/{name}", timeout=30) as answer:  # noqa: S310  (the scheme was checked)
            data: bytes = answer.read()
            return data

    manifest = fetch("manifest.json")
    (target / "manifest.json").write_bytes(manifest)
    for name in json.loads(manifest)["files"]:
        if name.startswith("/") or ".." in Path(name).parts:
            raise ServingError(f"{url}/manifest.json: {name!r} lies outside of the model directory")
        place = target / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(fetch(name))

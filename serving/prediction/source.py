"""Where a model comes from: a registry address, a directory or a URL."""

import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from almanac.core.errors import AlmanacError, ServingError
from almanac.model.bundle import Bundle, load_bundle
from serving.prediction.signed import check_signature

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
            return self._downloaded()
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

    def _downloaded(self) -> Bundle:
        """Load what a URL names; a loaded model needs its files no more."""
        from serving.prediction.download import download

        with tempfile.TemporaryDirectory(prefix="almanac-model-") as folder:
            try:
                download(self.address, Path(folder), self.trusted)
                return self._checked(Path(folder), self.number)
            except AlmanacError as error:  # it names files that lie here for a moment; people know the URL
                told = str(error).replace(folder, self.address.rstrip("/"))
                raise ServingError(f"--model {self.address}: {told}") from error

    def _checked(self, path: Path, version: str | None = None) -> Bundle:
        # A run directory holds the model directory; what was signed is the latter.
        run = not (path / "manifest.json").exists() and (path / "model" / "manifest.json").exists()
        model = path / "model" if run else path
        check_signature(model, self.trusted)
        return load_bundle(model, version)

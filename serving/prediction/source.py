"""The address that a model is loaded from: a registry, a directory or a URL."""

import os
import tempfile
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from almanac.core.errors import AlmanacError, ModelError, ServingError
from almanac.model.bundle import Bundle, load_bundle
from almanac.model.directory import MANIFEST
from serving.prediction.signed import check_signature
from serving.runtime.redaction import redacted

if TYPE_CHECKING:
    from governance.registry import Registry, Version

_REGISTRY = "registry:"
#: Seconds in which a model that is in an image of its own arrives; as long as the startup probe is patient.
_IMAGE_SECONDS, _POLL_SECONDS = 60.0, 0.1


@dataclass(frozen=True)
class Source:
    """An address that a model is loaded from, possibly more than once.

    Attributes:
        address: as `--model` names it.
        trusted: PEM file of the public key that must have signed the model; None to accept any.
        number: the version in a directory or URL; a registry knows its own versions.
        allow_rejected: load a rejected version, which only its number selects.
    """

    address: str
    trusted: Path | None = None
    number: str | None = None
    allow_rejected: bool = False

    @property
    def follows_promotions(self) -> bool:
        """Whether the version at the address can change."""
        return self.address.startswith(_REGISTRY)

    def load(self) -> Bundle:
        """Load the current version, verified.

        Raises:
            ServingError: an address of another form.
            AlmanacError: an error of the registry, the signature or the model directory.
        """
        if self.follows_promotions:
            # Imported here: a server on a cluster gets a directory and needs no registry.
            from governance.registry import fetch

            use_case, version = self._registered()
            return self._checked(fetch(self._registry, use_case, version), str(version.number), version.model)
        if "://" in self.address and not self.address.startswith("file://"):
            return self._downloaded()
        path = Path(self.address.removeprefix("file://"))
        _await_image(path)
        if not path.is_dir():
            shown = redacted(self.address)
            raise ServingError(f"--model {shown}: no such directory; or write registry:<use case>/<stage>")
        return self._checked(path, self.number)

    def current(self) -> str | None:
        """Return the current version, None if versions do not change.

        Raises:
            RegistryError: the registry cannot be read.
        """
        if not self.follows_promotions:
            return None
        return str(self._registered()[1].number)

    def _registered(self) -> "tuple[str, Version]":
        """Return the use case and the version at the registry's address.

        Raises:
            ServingError: a rejected version.
            RegistryError: no such version, or a log with an event that breaks a rule.
        """
        from governance.registry import parse_address

        use_case, what = parse_address(self.address)
        self._registry.check_reachable(use_case)
        version = self._registry.version(use_case, what)
        if version.rejected and not self.allow_rejected:
            raise ServingError(
                f"--model {redacted(self.address)}: version {version.number} was rejected by {version.rejected}; "
                "--allow-rejected serves it all the same"
            )
        return use_case, version

    @cached_property
    def _registry(self) -> "Registry":
        from governance.registry import Registry, default_url

        return Registry(default_url())

    def _downloaded(self) -> Bundle:
        """Load a model from a URL; its files are not needed after loading."""
        from serving.prediction.download import download

        if self.address.startswith(("http://", "https://")) and "@" in urlsplit(self.address).netloc:
            # Python's client would take the password for a port, and say so.
            raise ServingError(f"--model {redacted(self.address)}: user and password in the address of a web server")
        # Models are held in memory, so the files may go.
        with tempfile.TemporaryDirectory(prefix="almanac-model-") as folder:
            try:
                download(self.address, Path(folder), self.trusted)
                return self._checked(Path(folder), self.number)
            except AlmanacError as error:  # it names temporary files; the URL is what people know
                shown = redacted(self.address)
                # Messages of the download name the whole address, which may carry a password or a signature.
                message = str(error).replace(folder, self.address).replace(self.address.rstrip("/"), shown)
                raise ServingError(f"--model {shown}: {message}") from error

    def _checked(self, path: Path, version: str | None = None, registered: str | None = None) -> Bundle:
        # A run directory holds the model directory; what was signed is the latter.
        run = not (path / "manifest.json").exists() and (path / "model" / "manifest.json").exists()
        model = path / "model" if run else path
        signed = check_signature(model, self.trusted)
        bundle = load_bundle(model, version)
        # The files that were checked are read again to be loaded, and may have been exchanged in between.
        if not {signed, registered} <= {bundle.digest, None}:
            raise ModelError(
                f"{model}: was exchanged while it was loaded; its manifest is not the one that was checked"
            )
        return bundle


def _await_image(path: Path) -> None:
    """Wait for a model directory that a container of the same pod brings, as KServe says by MODEL_INIT_MODE."""
    if os.environ.get("MODEL_INIT_MODE") != "async":
        return
    deadline = time.monotonic() + _IMAGE_SECONDS
    while not (path / MANIFEST).exists() and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)

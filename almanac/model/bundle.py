"""All targets of one use case in one version: what a registry version, a run or a directory holds."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from almanac.core.errors import ModelError
from almanac.core.files import sha256_file
from almanac.model.columns import Columns, join_columns
from almanac.model.directory import listed_digest
from almanac.model.target import Target, load_target


@dataclass(frozen=True)
class Bundle:
    """The targets that are served together.

    Attributes:
        use_case: name of the use case, and of the model that answers for all targets.
        version: version in the registry, or the first digits of the digest.
        digest: sha256 of the manifest that lists them all.
        targets: the targets by name.
    """

    use_case: str
    version: str
    digest: str
    targets: dict[str, Target]

    @cached_property
    def columns(self) -> Columns:
        """All features of the targets, each once, in order."""
        return join_columns([target.columns for target in self.targets.values()])

    def columns_of(self, name: str) -> Columns:
        """Return the features that the model of this name takes: those of one target, or of all."""
        return self.targets[name].columns if name in self.targets else self.columns

    @cached_property
    def places(self) -> dict[str, npt.NDArray[np.intp]]:
        """For each target the positions of its features in `columns`."""
        position = self.columns.position
        return {
            name: np.array([position[feature] for feature in target.columns.names], dtype=np.intp)
            for name, target in self.targets.items()
        }


def load_bundle(path: Path, version: str | None = None) -> Bundle:
    """Load a model directory: one target's, a run's model/ with all targets, or a run directory.

    Raises:
        ModelError: no manifest, or a directory that is incomplete or altered.
    """
    manifest_path = path / "manifest.json"
    if not manifest_path.exists() and (path / "model" / "manifest.json").exists():
        return load_bundle(path / "model", version)
    try:
        manifest = json.loads(manifest_path.read_bytes())
    except (OSError, ValueError) as error:
        raise ModelError(f"{manifest_path}: cannot be read ({error}); give a model directory") from error
    if not isinstance(manifest, dict):
        raise ModelError(f"{manifest_path}: must hold an object")
    digest = sha256_file(manifest_path)
    use_case = str(manifest.get("use_case", path.name))
    version = version or digest[:12]
    if "target" in manifest:
        return Bundle(use_case, version, digest, {manifest["target"]: load_target(path, version)})
    _verify_listed(path, manifest.get("files", {}))
    targets = {str(name): load_target(path / str(name), version) for name in manifest.get("targets", [])}
    if not targets:
        raise ModelError(f"{manifest_path}: lists no targets")
    return Bundle(use_case, version, digest, targets)


def _verify_listed(path: Path, files: Any) -> None:
    if not isinstance(files, dict):
        raise ModelError(f"{path / 'manifest.json'}: files must hold an object")
    for name, entry in files.items():
        if name.startswith("/") or ".." in Path(name).parts:
            raise ModelError(f"{path / 'manifest.json'}: {name!r} lies outside of the model directory")
        if not (path / name).is_file():
            raise ModelError(f"{path / name}: missing; the manifest lists it")
        if sha256_file(path / name) != listed_digest(path, name, entry):
            raise ModelError(f"{path / name}: altered; its sha256 is not the manifest's")

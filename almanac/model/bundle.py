"""The models of all targets of a use case, in one version."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from almanac.core.errors import ModelError
from almanac.core.files import sha256_bytes
from almanac.model.columns import Columns, join_columns
from almanac.model.directory import MANIFEST, parse_object, verify_files
from almanac.model.model import Model, load_model
from almanac.model.steps import Step, steps_of


@dataclass(frozen=True)
class Bundle:
    """The targets that are served together.

    Attributes:
        use_case: name of the use case, which is also the name of the model that answers for all targets.
        version: version in the registry, or the first digits of the digest.
        digest: sha256 of the manifest that lists them all.
        targets: the targets by name.
    """

    use_case: str
    version: str
    digest: str
    targets: dict[str, Model]

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

    @cached_property
    def steps(self) -> dict[str, list[Step]]:
        """The steps of each column that the targets forecast; probabilities and events have none."""
        return steps_of(self.targets)


def load_bundle(path: Path, version: str | None = None) -> Bundle:
    """Load a model directory: one target's, a run's model/ with all targets, or a run directory.

    Raises:
        ModelError: no manifest, or a directory that is incomplete or altered.
    """
    manifest_path = path / MANIFEST
    if not manifest_path.exists() and (path / "model" / MANIFEST).exists():
        return load_bundle(path / "model", version)
    try:
        data = manifest_path.read_bytes()
    except OSError as error:
        raise ModelError(f"{manifest_path}: cannot be read ({error}); give a model directory") from error
    manifest, digest = parse_object(manifest_path, data), sha256_bytes(data)
    use_case = str(manifest.get("use_case", path.name))
    version = version or digest[:12]
    if "target" in manifest:
        return Bundle(use_case, version, digest, {manifest["target"]: load_model(path, version)})
    # Each target verifies its own files on loading; the manifest of all lists further ones, such as out-of-fold rows.
    verify_files(path, manifest)
    targets = {str(name): load_model(path / str(name), version) for name in manifest.get("targets", [])}
    for name, target in targets.items():
        # What was verified above may have been exchanged before it was loaded.
        if manifest.get("files", {}).get(f"{name}/{MANIFEST}", {}).get("sha256") != target.directory.digest:
            raise ModelError(f"{path / name}: not the target that {MANIFEST} lists; its digest is another one")
    if not targets:
        raise ModelError(f"{manifest_path}: lists no targets")
    return Bundle(use_case, version, digest, targets)

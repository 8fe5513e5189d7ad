"""The kinds of model bodies: one file a kind, and those of installed extensions (entry points `almanac.bodies`)."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from almanac.core.errors import ModelError
from almanac.core.kinds import Kinds
from almanac.model.predictor import BodyKind, Predictor

__all__ = ["BODIES", "read_body"]

BODIES: Kinds[BodyKind] = Kinds("model body", "almanac.model.bodies", "almanac.bodies")


def read_body(kind: str, files: Mapping[str, bytes], names: Sequence[str], directory: Path) -> Predictor:
    """Return the predictor of a model directory.

    Args:
        kind: the manifest's field `kind`.
        files: the directory's verified files by name.
        names: ordered feature names.
        directory: where the files lie, for messages.

    Raises:
        ModelError: an unknown kind, a missing file, or files that do not fit together.
        ExtensionError: an installed extension that cannot be imported.
    """
    if kind not in BODIES:
        raise ModelError(f"{directory}: {BODIES.unknown(kind)}")
    body = BODIES[kind]
    for name in body.files:
        if name not in files:
            raise ModelError(f"{directory}/manifest.json: files does not list {name}, which a model of kind {kind} has")
    return body.from_files(files, names, directory)

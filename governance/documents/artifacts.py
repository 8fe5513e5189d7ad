"""Artifacts that documents quote: files by URI, their digests, and their values by JSON pointer."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from almanac.core.errors import DocumentError
from almanac.core.files import sha256_bytes

#: Artifacts that every run has and that documents need.
REQUIRED = ("model/manifest.json", "metrics.json", "gate.json", "lineage.json", "predictions.parquet")
#: Artifacts that documents quote if the run has them.
OPTIONAL = ("tuning.json", "evaluation.json")


@dataclass
class Artifact:
    """A file of a run.

    Attributes:
        uri: its path relative to the run directory.
        path: where it is now.
    """

    uri: str
    path: Path

    @cached_property
    def data(self) -> bytes:
        """The file's bytes."""
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise DocumentError(f"{self.uri}: cannot be read: {error.strerror or error}") from error

    @cached_property
    def sha256(self) -> str:
        """The file's sha256."""
        return sha256_bytes(self.data)

    @cached_property
    def document(self) -> Any:
        """The JSON document in the file."""
        try:
            return json.loads(self.data)
        except ValueError as error:
            raise DocumentError(f"{self.uri}: not JSON ({error})") from error


class Artifacts:
    """All artifacts of a run by URI.

    Args:
        files: URI -> path.
    """

    def __init__(self, files: Mapping[str, Path]) -> None:
        # Sorted, so that the documents' bytes do not depend on the order of a directory.
        self.files = {uri: Artifact(uri, path) for uri, path in sorted(files.items())}

    def add(self, uri: str, path: Path) -> None:
        """Add a file that was written meanwhile."""
        self.files[uri] = Artifact(uri, path)

    def __contains__(self, uri: str) -> bool:
        return uri in self.files

    def __getitem__(self, uri: str) -> Artifact:
        """Return an artifact.

        Raises:
            DocumentError: no artifact has that URI.
        """
        if uri not in self.files:
            raise DocumentError(f"{uri}: missing; the documents quote it")
        return self.files[uri]

    def document(self, uri: str) -> Any:
        """Return the JSON document of an artifact."""
        return self[uri].document

    def value(self, uri: str, pointer: str) -> Any:
        """Return the value at a JSON pointer (RFC 6901).

        Raises:
            DocumentError: the pointer leads nowhere; the message names URI and pointer.
        """
        value = self.document(uri)
        for token in tokens(pointer):
            try:
                value = value[int(token)] if isinstance(value, list) else value[token]
            except (KeyError, IndexError, ValueError, TypeError) as error:
                raise DocumentError(f"{uri}#{pointer}: nothing is there") from error
        return value

    def targets(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield name and metrics of each target in metrics.json."""
        yield from self.document("metrics.json")["targets"].items()


def run_files(run: Path) -> dict[str, Path]:
    """Return the artifacts of a run directory that versions and documents are made of: URI -> path.

    Raises:
        DocumentError: a required artifact is missing, by name.
    """
    for name in REQUIRED:
        if not (run / name).is_file():
            raise DocumentError(f"{run / name}: missing; expected the directory of a finished run")
    model = {path.relative_to(run).as_posix(): path for path in sorted((run / "model").rglob("*")) if path.is_file()}
    return model | {name: run / name for name in (*REQUIRED, *OPTIONAL) if (run / name).is_file()}


def escape(token: str) -> str:
    """Return a key as escaped in a JSON pointer."""
    # The tilde first, or the one of an escaped slash would be escaped again.
    return token.replace("~", "~0").replace("/", "~1")


def tokens(pointer: str) -> list[str]:
    """Return the keys of a JSON pointer.

    Raises:
        DocumentError: not a JSON pointer.
    """
    if pointer and not pointer.startswith("/"):
        raise DocumentError(f"{pointer!r} is not a JSON pointer; expected an empty one, or one that begins with /")
    # In the opposite order, for the same reason.
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]

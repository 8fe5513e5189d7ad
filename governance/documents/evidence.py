"""The artifacts that documents quote: files by uri, their digests, and values in them by JSON pointer."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from almanac.core.errors import DocumentError
from almanac.core.files import sha256_bytes

#: What a run always has, and documents cannot do without.
REQUIRED = ("model/manifest.json", "metrics.json", "gate.json", "lineage.json", "predictions.parquet")
#: What is quoted where it is there.
OPTIONAL = ("tuning.json", "evaluation.json")


@dataclass
class Artifact:
    """One file."""

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


@dataclass
class Evidence:
    """All artifacts of a run, by uri relative to the run directory."""

    artifacts: dict[str, Artifact] = field(default_factory=dict)

    @classmethod
    def of(cls, files: Mapping[str, Path]) -> "Evidence":
        """Return the evidence in `files`: uri -> path."""
        return cls({uri: Artifact(uri, path) for uri, path in sorted(files.items())})

    def add(self, uri: str, path: Path) -> None:
        """Add a file that was made meanwhile."""
        self.artifacts[uri] = Artifact(uri, path)

    def artifact(self, uri: str) -> Artifact:
        """Return an artifact.

        Raises:
            DocumentError: there is none of that uri.
        """
        if uri not in self.artifacts:
            raise DocumentError(f"{uri}: missing; the documents quote it")
        return self.artifacts[uri]

    def document(self, uri: str) -> Any:
        """Return the JSON document of an artifact."""
        return self.artifact(uri).document

    def value(self, uri: str, pointer: str) -> Any:
        """Return the value at a JSON pointer (RFC 6901).

        Raises:
            DocumentError: nothing is there; the message names uri and pointer.
        """
        value = self.document(uri)
        for token in tokens(pointer):
            try:
                value = value[int(token)] if isinstance(value, list) else value[token]
            except (KeyError, IndexError, ValueError, TypeError) as error:
                raise DocumentError(f"{uri}#{pointer}: nothing is there") from error
        return value

    def targets(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield name and figures of every target in metrics.json."""
        yield from self.document("metrics.json")["targets"].items()


def run_files(run: Path) -> dict[str, Path]:
    """Return uri -> path of what documents and versions are made of, in a run directory.

    Raises:
        DocumentError: a required artifact is missing, by name.
    """
    for name in REQUIRED:
        if not (run / name).is_file():
            raise DocumentError(f"{run / name}: missing; right would be the directory of a finished run")
    model = {f"model/{path.relative_to(run / 'model').as_posix()}": path for path in sorted((run / "model").rglob("*"))}
    files = {uri: path for uri, path in model.items() if path.is_file()}
    return files | {name: run / name for name in (*REQUIRED, *OPTIONAL) if (run / name).is_file()}


def escape(token: str) -> str:
    """Return a key as a JSON pointer writes it."""
    return token.replace("~", "~0").replace("/", "~1")


def tokens(pointer: str) -> list[str]:
    """Return the keys that a JSON pointer names.

    Raises:
        DocumentError: not a JSON pointer.
    """
    if pointer and not pointer.startswith("/"):
        raise DocumentError(f"{pointer!r} is not a JSON pointer; right would be empty, or to begin with /")
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]

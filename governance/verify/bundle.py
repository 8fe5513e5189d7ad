"""The governance directory that a verification looks at, with the artifacts behind it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from almanac.usecase import UseCase, load_text
from governance import signing
from governance.documents.artifacts import Artifacts
from governance.documents.kind import KINDS, Document, documents, own_documents, rules
from governance.documents.layout import FOLDER, MANIFEST, USECASE


@dataclass
class Bundle:
    """A governance directory to verify.

    Attributes:
        model: the model directory.
        folder: the governance directory.
        artifacts: the run's artifacts and the documents.
        manifest: content of the governance directory's manifest.
        registry: the registry to compare with, or None for the one that the run recorded.
        trust: the key or identity that must have signed, or None for the key in the bundle.
        run: the run directory, None if the documents are verified without the rest of their run.
        data: the validated table, None where it is not at hand.
        features: the feature table, None where it is not at hand.
        checkpoint: a signed note of the registry's newest event, None without one.
    """

    model: Path
    folder: Path
    artifacts: Artifacts
    manifest: dict[str, Any]
    registry: str | None
    trust: Path | signing.Identity | None
    run: Path | None = None
    data: Path | None = None
    features: Path | None = None
    checkpoint: Path | None = None

    @property
    def documents(self) -> dict[str, dict[str, Any]]:
        """The documents by file: the package that wrote each, and whether promotion requires it."""
        # Almanac's own documents are required whatever a manifest says, and manifests of earlier releases list none.
        own = {document.file: {"package": "", "required": document.required} for document in own_documents()}
        return {**self.manifest.get("documents", {}), **own}

    @property
    def kinds(self) -> list[Document]:
        """The installed kinds of the documents."""
        return [document for document in documents() if document.file in self.documents]

    @property
    def usecase(self) -> UseCase:
        """The use case, with the targets that the signed model forecasts.

        A use case may declare more than a model forecasts, but what the model forecasts has to be in every figure.
        """
        usecase = load_text(self.artifacts[USECASE].data.decode(), USECASE)
        modelled = self.artifacts.value("model/manifest.json", "/targets")
        return usecase.model_copy(update={"targets": [each for each in usecase.targets if each.name in modelled]})

    @property
    def same_release(self) -> bool:
        """Whether the code that wrote the documents and their figures is the code that is installed."""
        packages = {document.file: KINDS.package(document.name) for document in self.kinds}
        recorded = self.documents
        return bool(self.manifest["rules"] == rules()) and all(
            recorded[name]["package"] == package for name, package in packages.items()
        )

    def others(self) -> Iterator[str]:
        """Yield the files of the run's directory that the documents' manifest does not list, signatures aside."""
        if self.run is None:
            return
        listed = {f"{FOLDER}/{name}" for name in self.manifest["files"]} | set(self.manifest["artifacts"])
        listed |= {f"{FOLDER}/{MANIFEST}", f"{FOLDER}/{signing.DOCUMENTS_SIGNATURE}", signing.RUN_SIGNATURE}
        for path in sorted(self.run.rglob("*")):
            name = path.relative_to(self.run).as_posix()
            if path.is_file() and name not in listed:
                yield name

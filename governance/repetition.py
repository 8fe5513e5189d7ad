"""Repetition of a training: whether a registry has the version that the same inputs and code would make again."""

import json
from typing import Any

from almanac.core.revision import git_revision
from almanac.data.fetch import fingerprint_of
from almanac.usecase import UseCase, digest
from governance.registry import Registry, Version
from governance.registry.versions import read_blob, read_manifest

_LINEAGE, _MODEL = "lineage.json", "model/manifest.json"


def repeated(usecase: UseCase, fingerprint: str, registry_url: str) -> Version | None:
    """Return the finished version of the same use case, sources and code; None if a training would make another one.

    Finished is a version in production, or one with its documents that awaits an approval. After a rejection or a
    rollback a training starts again, as it does for code that no revision names.

    Args:
        usecase: the use case, with its overrides.
        fingerprint: the fingerprint of its sources.
        registry_url: a path, s3:// or gs://.

    Raises:
        RegistryError: the registry does not verify.
    """
    revision = git_revision()
    if revision == "unknown" or revision.endswith("-dirty"):
        return None
    registry = Registry(registry_url)
    versions = reversed(registry.state(usecase.name).versions.values())
    finished = (one for one in versions if one.documents and not one.rejected and one.stage in (None, "production"))
    return next((one for one in finished if _same(registry, usecase, one, fingerprint, revision)), None)


def _same(registry: Registry, usecase: UseCase, version: Version, fingerprint: str, revision: str) -> bool:
    manifest = read_manifest(registry.store, usecase.name, version.manifest)
    files = manifest["files"]
    if manifest.get("metadata", {}).get("use_case_digest") != digest(usecase) or not {_LINEAGE, _MODEL} <= files.keys():
        return False
    lineage, model = (_read(registry, files, name) for name in (_LINEAGE, _MODEL))
    sources = fingerprint_of({source["name"]: source["sha256"] for source in lineage["sources"]})
    return sources == fingerprint and model.get("git_revision") == revision


def _read(registry: Registry, files: dict[str, Any], name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(read_blob(registry.store, name, files[name]["sha256"]))
    return document

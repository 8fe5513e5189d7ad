"""Provenance of a model by SLSA 1.0: an in-toto statement of its inputs, build and builder."""

from typing import Any

from governance.documents.artifacts import Artifacts
from governance.documents.layout import REGISTRATION, USECASE

BUILD_TYPE = "urn:almanac:training-pipeline:1"


def provenance(artifacts: Artifacts) -> dict[str, Any]:
    """Return the content of provenance.json; every value is read from an artifact."""
    model, usecase = artifacts.document("model/manifest.json"), artifacts.document(USECASE)
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [
            # SLSA's subject is what was built; everything else of the run is a by-product of the build.
            _described(uri, artifact.sha256)
            for uri, artifact in artifacts.files.items()
            if uri.startswith("model/")
        ],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {
                    "useCase": model["use_case"],
                    "useCaseDigest": {"sha256": model["use_case_digest"]},
                },
                "internalParameters": {key: usecase[key] for key in ("split", "training", "gates") if key in usecase},
                "resolvedDependencies": _dependencies(artifacts, model),
            },
            "runDetails": {
                "builder": {"id": "urn:almanac:kubeflow-pipelines", "version": {"revision": model["git_revision"]}},
                "metadata": {"invocationId": _invocation(artifacts)},
                "byproducts": [
                    _described(uri, artifact.sha256) for uri, artifact in artifacts.files.items() if "/" not in uri
                ],
            },
        },
    }


def _dependencies(artifacts: Artifacts, model: dict[str, Any]) -> list[dict[str, Any]]:
    lineage = artifacts.document("lineage.json")
    sources = [
        {
            "name": source["name"],
            # The page that describes the data; where it has none, where its bytes came from.
            "uri": source.get("url") or source["location"],
            "digest": {"sha256": source["sha256"]},
            "annotations": {key: source[key] for key in ("location", "rows", "time_span", "licence", "fetched_at")},
        }
        for source in lineage["sources"]
    ]
    table = {"name": "validated table", "digest": {"sha256": lineage["table"]["sha256"]}}
    code = {"name": "code", "digest": {"gitCommit": str(model["git_revision"])}}
    libraries = [
        {"name": name, "uri": f"pkg:pypi/{name}@{version}"}
        for name, version in model["libraries"].items()
        # Python is no package of its index.
        if name != "python"
    ]
    return [*sources, table, code, *libraries]


def _invocation(artifacts: Artifacts) -> str:
    # A run has no address that outlives its cluster; its registration event has.
    registration = artifacts.document(REGISTRATION)
    return f"{registration['address']}:{registration['event']['digest']}"


def _described(uri: str, digest: str) -> dict[str, Any]:
    return {"name": uri, "digest": {"sha256": digest}}

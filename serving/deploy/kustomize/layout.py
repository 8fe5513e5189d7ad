"""Write the kustomize base: one file for each rendered object, and the kustomization that lists them.

What surrounds a version where a cluster has it (Ingress, HTTPRoute, ExternalSecret, volume claim) are components beside
the base, which an overlay names and patches.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from almanac.core.files import write_text
from almanac.core.image import SERVING_IMAGE
from serving.deploy.manifests import Deployment, render, render_edges

BASE = Path(__file__).resolve().parent / "base"
#: The committed base's model, which a deployment replaces by a registered version.
PLACEHOLDER = Deployment(
    use_case="forecast",
    version=0,
    digest="0" * 64,
    storage_uri="pvc://almanac-registry/use_cases/forecast/models/current",
    image=SERVING_IMAGE,
    namespace="almanac",
    min_replicas=2,
    max_replicas=4,
)
_COMPONENT = {"apiVersion": "kustomize.config.k8s.io/v1alpha1", "kind": "Component"}
_KUSTOMIZATION = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}


def objects() -> list[dict[str, Any]]:
    """Return the objects of the committed base."""
    return render(PLACEHOLDER)


def files(items: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Return the files of a base by name, deterministic by their objects."""
    # One file for each object, so that an overlay's patch shows which one it changes.
    named = {f"{item['kind'].lower()}.yaml": _yaml(item) for item in items}
    return named | {"kustomization.yaml": _yaml({**_KUSTOMIZATION, "resources": list(named)})}


def component_files(items: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Return the files of the components that go with a base's objects."""
    metadata = next(item["metadata"] for item in items if item["kind"] == "InferenceService")
    version = int(metadata["labels"]["app.kubernetes.io/version"])
    named = replace(PLACEHOLDER, use_case=metadata["name"], namespace=metadata["namespace"], version=version)
    found = {}
    for item in render_edges(named):
        folder, name = item["kind"].lower(), f"{item['kind'].lower()}.yaml"
        found[f"{folder}/{name}"] = _yaml(item)
        found[f"{folder}/kustomization.yaml"] = _yaml({**_COMPONENT, "resources": [name]})
    return found


def write(items: Sequence[dict[str, Any]], out: Path) -> list[Path]:
    """Write a base to a directory, and its components next to it; return all files."""
    texts = {out / name: text for name, text in files(items).items()}
    texts |= {out.parent / "components" / name: text for name, text in component_files(items).items()}
    for path, text in texts.items():
        write_text(path, text)
    return list(texts)


def _yaml(item: dict[str, Any]) -> str:
    text: str = yaml.safe_dump(item, sort_keys=False, width=120)
    return text

"""Entry point of the documentation component."""

import shutil
from pathlib import Path
from typing import Any

from almanac.core.files import read_json
from almanac.usecase import load_text
from governance.documentation import document
from governance.registration import registered_files


def run(usecase: str, registration: Path, registry: str, out: Path, page: Path, usage: dict[str, Any]) -> bool:
    """Document the version, and return whether it is in production.

    Args:
        usecase: the use case as JSON.
        registration: registration.json.
        registry: address of the model registry.
        out: the directory of documents to write.
        page: the page of all documents to write.
        usage: what the training took; empty where nobody measured it.
    """
    case = load_text(usecase, "usecase")
    files = registered_files(registry, case.name, int(read_json(registration)["version"]))
    # Kubeflow keeps a mapping of an artifact's metadata under the name of its type.
    version = document(case, files, registration, registry, out, usage.get("struct", usage))
    shutil.copyfile(out / "index.html", page)
    return version.stage == "production"

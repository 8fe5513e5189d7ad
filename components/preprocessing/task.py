"""Entry point of the preprocessing component."""

from pathlib import Path
from typing import Any

from almanac.core.image import VERSION
from almanac.core.progress import summary
from almanac.core.revision import git_revision
from almanac.features.preprocess import preprocess
from almanac.usecase import load_text
from almanac.usecase.views import reads, trained_digest


def run(usecase: str, table: Path, features: Path, specification: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Preprocess, report the number of features, and return the metadata of both artifacts."""
    case = reads(load_text(usecase, "usecase"), "preprocessing")
    result = preprocess(case, table, features, specification)
    summary(f"{result['features']} features", result["rows"])
    common = {
        "use_case": case.name,
        "use_case_digest": trained_digest(case),
        "data_digest": result["data_digest"],
        "split": result["split"],
        "library_version": VERSION,
        "git_revision": git_revision(),
    }
    shown = {key: result[key] for key in ("rows", "features", "features_digest")}
    return {**common, **shown}, {**common, "features": result["features"], "history": result["history"]}

"""Preprocessing as a whole: a validated table to the feature table and its specification."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from components.common.errors import TableError
from components.common.files import sha256_file, whole_file, write_json
from components.common.progress import summary
from components.common.revision import git_revision
from components.image import VERSION
from components.preprocessing.batch import compute
from components.preprocessing.fit import document, fit
from components.preprocessing.split import train_test
from components.preprocessing.table import times
from components.preprocessing.target import targets
from components.usecase import UseCase, digest, load_text


def preprocess(usecase: UseCase, table_path: Path, out_features: Path, out_spec: Path) -> dict[str, Any]:
    """Write the feature table and features.json; return what was made.

    Args:
        usecase: the use case.
        table_path: the validated table, sorted by entity and time.
        out_features: where to write entity, time, the features, and `y_` and `last_` of each target.
        out_spec: where to write the specification with the fitted transforms.

    Returns:
        {"rows", "features", "groups": {group: count}, "history", "known": {target: rows with a known value ahead},
        "data_digest", "features_digest"}.

    Raises:
        TableError: the table cannot be read.
        FeatureError: the features cannot be computed from it; the message names column or row.
    """
    try:
        table = pl.read_parquet(table_path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise TableError(f"{table_path}: not a Parquet table ({str(error).splitlines()[0]})") from error
    training, _ = train_test(usecase)
    spec = fit(usecase, table, training)
    features, ahead = compute(spec, table), targets(usecase, spec, table)
    with whole_file(out_features) as aside:
        features.hstack(ahead).write_parquet(aside, compression="zstd", compression_level=1)
    write_json(out_spec, document(spec, features, training.rows(times(table, spec.time))))
    groups = list(spec.groups.values())
    return {
        "rows": features.height,
        "features": len(spec.names),
        "groups": {group: groups.count(group) for group in dict.fromkeys(groups)},
        "history": spec.history,
        "known": {t.name: int(np.isfinite(ahead[f"y_{t.name}"].to_numpy()).sum()) for t in usecase.targets},
        "data_digest": sha256_file(table_path),
        "features_digest": sha256_file(out_features),
    }


def run(usecase: str, table: Path, features: Path, specification: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Preprocess as a Kubeflow task: tell the key figure, and return the metadata of both artifacts."""
    case = load_text(usecase, "usecase")
    made = preprocess(case, table, features, specification)
    summary(f"{made['features']} features", made["rows"])
    common = {
        "use_case": case.name,
        "use_case_digest": digest(case),
        "data_digest": made["data_digest"],
        "library_version": VERSION,
        "git_revision": git_revision(),
    }
    shown = {key: made[key] for key in ("rows", "features", "features_digest")}
    return {**common, **shown}, {**common, "features": made["features"], "history": made["history"]}

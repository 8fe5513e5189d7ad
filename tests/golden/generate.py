"""Write the golden model directories, after a change of the format.

    python -m tests.golden.generate runs/air_quality/latest/data.parquet

Each is trained on the real series with few features and small trees. `expected.json` beside them has rows and what
each model predicts for them, so that a test can load any of them without training.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from almanac.core.files import pretty_json, sha256_file, write_json
from almanac.model.bundle import load_bundle
from almanac.model.directory import LOSS, MANIFEST, REFERENCE
from almanac.training.dataset import read_features
from almanac.training.train import train
from tests.support.golden import GOLDEN, NAMES
from tests.support.training_world import HIST, RIDGE, TARGET, inputs, usecase

HEAVY: dict[str, Any] = {**TARGET, "name": "heavy", "task": "classification", "above": 150.0}
_FIXED: dict[str, Any] = {"n_estimators": 12, "learning_rate": 0.2, "num_leaves": 6, "min_child_samples": 50}
LEVEL: dict[str, Any] = {"name": "level", "kind": "lightgbm", "predict": "level", "fixed": _FIXED}
#: Candidate and target, in the order of `NAMES`.
MODELS: tuple[tuple[dict[str, Any], dict[str, Any]], ...] = (
    ({**LEVEL, "predict": "difference"}, TARGET),
    (RIDGE, TARGET),
    (LEVEL, HEAVY),
    ({**HIST, "fixed": {"max_iter": 10, "max_leaf_nodes": 6}}, TARGET),
)
_ROWS = 6


def main() -> None:
    """Train every model, keep the files that prediction needs, and write the expected predictions."""
    series, expected = pl.read_parquet(sys.argv[1]), {}
    for name, (candidate, target) in zip(NAMES, MODELS, strict=True):
        metric = "log_loss" if target is HEAVY else "rmse"
        case = usecase(
            candidate, targets=[target], budget={"trials": 1, "seconds": 600},
            choose={"metric": metric, "prefer": [candidate["name"]], "tolerance": 0.5},
        )  # fmt: skip
        with tempfile.TemporaryDirectory() as scratch:
            files = inputs(case, series, Path(scratch) / "in")
            train(case, files, Path(scratch) / "model", Path(scratch) / "tuning.json", progress=lambda *line: None)
            _keep(Path(scratch) / "model", GOLDEN / name)
            expected[name] = _expected(GOLDEN / name, files.features, case)
    (GOLDEN / "expected.json").write_text(pretty_json(expected))


def _keep(trained: Path, directory: Path) -> None:
    """Copy a run's model directory without the profiles of its training data, and list its files again."""
    for path in sorted(trained.rglob("*")):
        if path.is_file() and path.name not in (REFERENCE, LOSS, "oof.parquet", "shares.json"):
            copy = directory / path.relative_to(trained)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
    for manifest in sorted(directory.rglob(MANIFEST), key=lambda path: -len(path.parts)):
        document = json.loads(manifest.read_text())
        document |= {"git_revision": "", "libraries": {}}
        listed = sorted(path for path in manifest.parent.rglob("*") if path.is_file() and path != manifest)
        document["files"] = {
            path.relative_to(manifest.parent).as_posix(): {"sha256": sha256_file(path), "bytes": path.stat().st_size}
            for path in listed
        }
        write_json(manifest, document)


def _expected(directory: Path, features: Path, case: Any) -> dict[str, Any]:
    (model,) = load_bundle(directory).targets.values()
    table = read_features(case, features)
    rows = table.select(model.names).to_numpy()[:: table.height // _ROWS][:_ROWS].astype(np.float64)
    predicted = model.predict(rows)
    contributions, base, _ = model.explain(rows)
    return {
        "target": model.name,
        "kind": model.predictor.kind,
        "rows": [[None if np.isnan(value) else value for value in row] for row in rows.tolist()],
        "predictions": {output.name: list(values) for output, values in predicted.present()},
        "score": [base + float(row.sum()) for row in contributions],
    }


if __name__ == "__main__":
    main()

"""Explanations: the engine and LightGBM's pred_contrib and shap's C extension, on one thread.

    python -m benchmarks.explain [--json] [--cpu] [--rounds N] [--model model.bst]

`shap.TreeExplainer` hands LightGBM models to pred_contrib; here it is made to run its own extension, so that it is a
second opinion and not the same one twice.
"""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from almanac.model.engine import Engine
from benchmarks.predict import lightgbm_booster
from benchmarks.side_by_side import Case, Clock, arguments, measure, model_and_rows, report

_MANY = 1_000

Matrix = NDArray[np.float64]
Explain = Callable[[Matrix], Matrix]


def main() -> None:
    """Measure one row and 1,000 rows."""
    options = arguments(__doc__ or "")
    path, X = model_and_rows(options.model, _MANY)
    engine, booster = Engine.load(path), lightgbm_booster(path)
    peers: dict[str, Explain] = {
        "pred_contrib, 1 thread": lambda rows: np.asarray(booster.predict(rows, pred_contrib=True, num_threads=1))[
            :, :-1
        ]
    }
    skipped = _add_shap(path, peers)
    cases = [
        _case(engine, X[:1].copy(), peers, options.rounds, options.clock),
        _case(engine, X, peers, max(3, options.rounds // 2), options.clock),
    ]
    report(
        options.json,
        cases,
        {
            "model": path.name,
            "kind": engine.explainer_kind,
            "clock": "CPU" if options.cpu else "wall",
            **_differences(engine, X, peers),
        },
        skipped,
    )


def _add_shap(path: Path, peers: dict[str, Explain]) -> dict[str, str]:
    if importlib.util.find_spec("shap") is None:
        return {"shap": "it is not installed"}
    import shap

    explainer: Any = shap.TreeExplainer(lightgbm_booster(path), feature_perturbation="tree_path_dependent")
    explainer.model.model_type = "internal"
    peers["shap's C extension"] = lambda rows: np.asarray(explainer.shap_values(rows, check_additivity=False))
    return {}


def _case(engine: Engine, X: Matrix, peers: dict[str, Explain], rounds: int, clock: Clock) -> Case:
    candidates: dict[str, Callable[[], object]] = {f"ours ({engine.explainer_kind})": lambda: engine.explain(X)}
    candidates |= {name: lambda explain=explain: explain(X) for name, explain in peers.items()}  # type: ignore[misc]
    return measure(f"{len(X):,} row{'s' * (len(X) > 1)}", candidates, rounds, clock)


def _differences(engine: Engine, X: Matrix, peers: dict[str, Explain]) -> dict[str, float]:
    """Largest difference between ours and each peer over 100 rows."""
    ours = engine.explain(X[:100])[0]
    return {
        f"largest_difference_from_{name.split(',')[0]}": float(np.abs(ours - explain(X[:100])).max())
        for name, explain in peers.items()
    }


if __name__ == "__main__":
    main()

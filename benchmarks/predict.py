"""Predictions: the engine, LightGBM and lleaves, on one thread.

    python -m benchmarks.predict [--json] [--cpu] [--rounds N] [--model model.bst]

Beside each ratio stands equality: every candidate's largest difference from `Booster.predict`. lleaves takes part where
it is installed (it compiles the model first, about a minute, and wants an older llvmlite than numba: use a virtualenv
of its own); it is skipped by name otherwise.
"""

import importlib
import importlib.util
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from almanac.model.engine import Engine
from almanac.model.engine import booster as native
from almanac.model.engine.single import SingleRow
from benchmarks.side_by_side import Case, Clock, arguments, measure, model_and_rows, report

_LARGE = 100_000

Matrix = NDArray[np.float64]
Predict = Callable[[Matrix], Any]


def main() -> None:
    """Measure one row, 100 rows and 100,000 rows."""
    options = arguments(__doc__ or "")
    path, X = model_and_rows(options.model, _LARGE)
    start = time.perf_counter()
    engine = Engine.load(path)
    loaded = time.perf_counter() - start
    booster = lightgbm_booster(path)
    peers: dict[str, Predict] = {"Booster.predict, 1 thread": lambda rows: booster.predict(rows, num_threads=1)}
    skipped = _add_lleaves(path, peers)
    cases = [
        _one_row(engine, path, X, peers, options.rounds, options.clock),
        _rows(engine, X[:100], peers, options.rounds, options.clock),
        _rows(engine, X, peers, max(3, options.rounds // 2), options.clock),
    ]
    facts = {
        "model": path.name,
        "kind": engine.kind,
        "clock": "CPU" if options.cpu else "wall",
        "load_seconds": round(loaded, 3),
        **_differences(engine, X, peers),
    }
    report(options.json, cases, facts, skipped)


def lightgbm_booster(path: Path) -> Any:
    """Return LightGBM's own Booster of the model."""
    import lightgbm

    return lightgbm.Booster(model_file=path)


def _add_lleaves(path: Path, peers: dict[str, Predict]) -> dict[str, str]:
    if importlib.util.find_spec("lleaves") is None:
        return {"lleaves": "it is not installed"}
    model = importlib.import_module("lleaves").Model(model_file=str(path))
    model.compile(cache=str(path.with_suffix(".lleaves.o")))
    peers["lleaves, 1 thread"] = lambda rows: model.predict(rows, n_jobs=1)
    return {}


def _one_row(engine: Engine, path: Path, X: Matrix, peers: dict[str, Predict], rounds: int, clock: Clock) -> Case:
    x, row = X[0].copy(), X[:1].copy()
    single = SingleRow(native.Booster(path.read_bytes()))
    candidates: dict[str, Callable[[], object]] = {
        f"ours ({engine.kind})": lambda: engine.predict_row(x),
        "LightGBM single-row fast": lambda: single(x),
    }
    candidates |= {name: lambda predict=predict: predict(row) for name, predict in peers.items()}  # type: ignore[misc]
    return measure("1 row", candidates, rounds, clock)


def _rows(engine: Engine, X: Matrix, peers: dict[str, Predict], rounds: int, clock: Clock) -> Case:
    candidates: dict[str, Callable[[], object]] = {f"ours ({engine.kind})": lambda: engine.predict(X)}
    candidates |= {name: lambda predict=predict: predict(X) for name, predict in peers.items()}  # type: ignore[misc]
    return measure(f"{len(X):,} rows", candidates, rounds, clock)


def _differences(engine: Engine, X: Matrix, peers: dict[str, Predict]) -> dict[str, Any]:
    """Largest difference from LightGBM of ours and of every other peer, over the first 10,000 rows."""
    few = X[:10_000]
    (_, reference), *others = peers.items()
    expected = np.asarray(reference(few))
    found = {"ours_largest_difference": float(np.abs(engine.predict(few) - expected).max())}
    for name, predict in others:
        found[f"{name.split(',')[0]}_largest_difference"] = float(np.abs(np.asarray(predict(few)) - expected).max())
    return found


if __name__ == "__main__":
    main()

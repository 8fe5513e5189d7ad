"""`python -m benchmarks.no_skill`: tables that cannot be forecast, from `almanac new` to the gate, 20 seeds each.

White noise, a random walk, a column that knows the target's future, a constant, and a class that does not occur. Each
is sent through the steps of a training run, in this process; printed is where each kind was stopped, and how often.
"""

import argparse
import tempfile
from collections import Counter
from contextlib import redirect_stdout
from datetime import datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import yaml

from almanac.core.errors import AlmanacError
from almanac.data.ingest import ingest
from almanac.data.propose import Choices, propose
from almanac.data.validate import validate
from almanac.evaluation.evaluate import Outputs, evaluate
from almanac.features.preprocess import preprocess
from almanac.training.train import Inputs, train
from almanac.usecase import UseCase, load_text
from components.gate.task import run as judge

KINDS = ("white noise", "random walk", "leaked target", "constant", "one class")
#: Where a table that got through would be.
PRODUCTION = "production"
_HOURS, _TREES = 1200, 40


def main() -> None:
    """Send each kind through the steps with each seed, and print where they were stopped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    seeds = range(parser.parse_args().seeds)
    for kind in KINDS:
        stops = Counter(_sent(kind, seed) for seed in seeds)
        reached = stops.pop(PRODUCTION, 0)
        told = ", ".join(f"{step} {count}" for step, count in stops.most_common())
        print(f"{kind:<14}{reached} of {len(seeds)} in production; stopped by {told}", flush=True)


def stopped_by(kind: str, seed: int, home: Path) -> tuple[str, str]:
    """Return the step that stops a table of a kind, and its message; `PRODUCTION` and nothing if none does.

    Args:
        kind: one of `KINDS`.
        seed: of the table.
        home: an empty directory.
    """
    values, other = _table(kind, seed)
    path = home / "table.csv"
    _write(path, *(_table("white noise", seed) if kind in ("constant", "leaked target") else (values, other)))
    step = "new"
    try:
        case = _case(path, kind)
        # What a person has proposed for a good table may later be run on a bad one.
        _write(path, values, other)
        base, table, valid = path.parent, home / "table.parquet", home / "valid.parquet"
        step = "ingestion"
        ingest(case, base, home / "cache", table)
        step = "validation"
        validate(case, table, valid, home / "validation.html")
        step = "preprocessing"
        preprocess(case, valid, home / "features.parquet", home / "features.json")
        step = "training"
        inputs = Inputs(home / "features.parquet", home / "features.json", valid)
        train(case, inputs, home / "model", home / "tuning.json", progress=lambda *_: None)
        step = "evaluation"
        outputs = Outputs(home / "metrics.json", home / "evaluation.json", home / "predictions.parquet", None)
        evaluate(case, home / "features.parquet", home / "model", outputs, home / "tuning.json")
        step = "gate"
        said = StringIO()
        with redirect_stdout(said):
            files = (outputs.metrics, outputs.predictions, valid)
            is_open = judge(case, files, str(home / "registry"), home / "gate.json", home / "judged.parquet")
    except AlmanacError as error:
        return step, str(error)
    return (PRODUCTION, "") if is_open else (step, said.getvalue())


def _sent(kind: str, seed: int) -> str:
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(StringIO()):
        return stopped_by(kind, seed, Path(folder))[0]


def _table(kind: str, seed: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the target and another column of a kind of table."""
    random = np.random.default_rng(seed)
    noise, other = random.normal(size=_HOURS), random.normal(size=_HOURS)
    if kind == "random walk":
        return noise.cumsum(), other
    if kind == "leaked target":
        return noise, np.append(noise[1:], 0.0) + 0.02 * other
    if kind == "constant":
        # All of it, or the newest part alone, as of a meter that has stopped.
        return np.where(np.arange(_HOURS) >= (0 if seed % 2 else 0.7 * _HOURS), 5.0, noise), other
    return noise, other


def _write(path: Path, values: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> None:
    times = [datetime(2020, 1, 1) + timedelta(hours=hour) for hour in range(_HOURS)]
    pl.DataFrame({"time": times, "load": values, "other": other}).write_csv(path)


def _case(path: Path, kind: str) -> UseCase:
    """Return the proposed use case, with fewer trees; of the class, with a threshold that the table never passes."""
    proposal = propose(path, path.parent / "case.yaml", Choices(target="load"))
    data: dict[str, Any] = yaml.safe_load(proposal.text)
    del data["sources"][0]["sha256"]
    data["training"]["candidates"][0]["fixed"]["n_estimators"] = _TREES
    data["evaluation"]["repeats"] = 200
    if kind == "one class":
        data["targets"][0] |= {"task": "classification", "above": 9.0}
        data["gates"] = [rule | {"metric": "log_loss"} for rule in data["gates"] if "metric" in rule]
        data["training"]["candidates"] = data["training"]["candidates"][:1]
    return load_text(yaml.safe_dump(data), "case.yaml")


if __name__ == "__main__":
    main()

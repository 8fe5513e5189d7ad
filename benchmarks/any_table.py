"""`python -m benchmarks.any_table`: from ten tables to served requests by entity, without editing a file.

For each table of `tests.support.tables`: `almanac new`, `run` and `serve`, and a request by entity and time. Reported
are the wall time, the largest process, and the error with that of an untuned LightGBM that learned the same features on
the same rows.
"""

import argparse
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import polars as pl

from almanac.core.files import read_json
from almanac.usecase import UseCase, load
from serving.features.store.observations import DEFAULT_ENTITY
from tests.support.tables import TABLES

ROOT = Path(__file__).resolve().parents[1]
_PATIENCE_SECONDS = 600.0


def main() -> None:
    """Measure the tables that are named, all by default."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(TABLES), metavar="TABLE")
    parser.add_argument("--size", type=float, default=1.0, help="share of the full size")
    parser.add_argument("--json", type=Path, help="file for the results")
    parser.add_argument("--keep", type=Path, help="directory in which the runs of each table stay")
    arguments = parser.parse_args()
    results = {}
    for name in arguments.names:
        results[name] = measure(name, arguments.size, arguments.keep)
        print(_line(name, results[name]), flush=True)
        if arguments.json is not None:
            arguments.json.write_text(json.dumps(results, indent=1) + "\n")


def measure(name: str, size: float, keep: Path | None = None) -> dict[str, Any]:
    """Return seconds, bytes and errors of one table; the step that failed, with its message, if one did."""
    brought = TABLES[name]
    with nullcontext(keep / name) if keep else tempfile.TemporaryDirectory(prefix="any-table-") as folder:
        home = Path(folder)
        home.mkdir(parents=True, exist_ok=True)
        table = brought.make(home, size)
        options = [word for key, value in brought.options.items() for word in (f"--{key}", value)]
        started, worked = time.monotonic(), _processor_seconds()
        result: dict[str, Any] = {"rows": _rows(table)}
        for step in (["new", table.name, "--out", f"{name}.yaml", *options], ["run", f"{name}.yaml"]):
            done = _almanac(step, home)
            result[f"{step[0]}_seconds"] = round(time.monotonic() - started, 1)
            if done.returncode:
                # A closed gate is an answer, and its errors are worth comparing.
                result["failed"] = f"{step[0]}: {done.stderr.strip()[-400:]}"
                break
        case = load(home / f"{name}.yaml") if (home / f"{name}.yaml").is_file() else None
        if case is not None and (home / "runs" / name / "latest" / "metrics.json").is_file():
            result |= _errors(case, home / "runs" / name / "latest")
        if case is not None and "failed" not in result:
            result["answer"] = _served(home, name, case)
            result["served_seconds"] = round(time.monotonic() - started, 1)
        result["processor_seconds"] = round(_processor_seconds() - worked, 1)
        # Of all processes so far; the tables are measured in processes of their own only one after the other.
        result["bytes"] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    return result


def _almanac(words: list[str], home: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(ROOT / "pipeline.py"), *words]
    return subprocess.run(command, cwd=home, env=_environment(), capture_output=True, text=True, check=False)


def _processor_seconds() -> float:
    """Return the processor time of all processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "ALMANAC_CACHE": ".cache"}


def _rows(table: Path) -> int:
    if table.suffix == ".parquet":
        return int(pl.scan_parquet(table).select(pl.len()).collect().item())
    if table.suffix == ".csv":
        return sum(1 for _ in table.open("rb")) - 1
    # A title, an empty row and the header stand above the rows of the sheet.
    return pl.read_excel(table, has_header=False, infer_schema_length=None).height - 2


def _errors(case: UseCase, run: Path) -> dict[str, float]:
    """Return the model's error, and that of an untuned LightGBM on the same features and rows."""
    target = case.targets[0]
    metrics = read_json(run / "metrics.json")
    names = read_json(run / "model" / target.name / "features.json")["names"]
    keys = case.keys
    table = pl.read_parquet(run / "features.parquet")
    stop = pl.lit(metrics["split"]["train_to"]).str.to_datetime(time_unit="us", strict=False)
    known = pl.col(f"y_{target.name}").is_not_null() & pl.col(f"y_{target.name}").is_finite()
    learned = table.filter(known & (pl.col(case.time.column) < stop))
    predictions = pl.read_parquet(run / "predictions.parquet").filter(pl.col("target") == target.name)
    judged = predictions.join(table, on=keys, how="inner", maintain_order="left")
    booster = lightgbm.LGBMRegressor(verbose=-1, n_jobs=2, random_state=0)
    booster.fit(_matrix(learned, names), learned[f"y_{target.name}"].to_numpy())
    forecast = np.asarray(booster.predict(_matrix(judged, names)))
    y = judged["y"].to_numpy()
    ours = float(np.sqrt(np.mean((judged["prediction"].to_numpy() - y) ** 2)))
    theirs = float(np.sqrt(np.mean((forecast - y) ** 2)))
    skill = metrics["targets"][target.name]["headline"]["skill"]
    return {"rmse": ours, "lightgbm_rmse": theirs, "ratio": ours / theirs, "skill": skill}


def _matrix(table: pl.DataFrame, names: list[str]) -> Any:
    return table.select(pl.col(names).cast(pl.Float64)).fill_null(float("nan")).to_numpy()


def _served(home: Path, name: str, case: UseCase) -> Any:
    """Start the server by the use case's file, ask for the newest row's forecast by entity and time, and end it."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, str(ROOT / "pipeline.py"), "serve", f"{name}.yaml", "--http-port", str(port)]
    with (home / "serve.log").open("w") as log:
        server = subprocess.Popen(command, cwd=home, env=_environment(), stdout=log, stderr=log)
    try:
        newest = pl.read_parquet(home / "runs" / name / "latest" / "data.parquet").sort(case.time.column)[-1]
        asked = {"time": newest[case.time.column][0].isoformat()}
        asked["entity"] = newest[case.entity][0] if case.entity else DEFAULT_ENTITY
        if case.events is not None:
            known = [case.time.column, case.entity, *case.events.outcomes]
            asked["event"] = {column: newest[column][0] for column in newest.columns if column not in known}
        return _ask(f"http://127.0.0.1:{port}/v1/models/{case.name}:predict", {"instances": [asked]}, server)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)


def _ask(url: str, body: dict[str, Any], server: "subprocess.Popen[bytes]") -> Any:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    end = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.loads(answer.read())["predictions"][0]
        except urllib.error.HTTPError as error:
            # Until it is ready, its store is not filled yet.
            if error.code != 503:
                return f"{error.code}: {error.read().decode()[:300]}"
        except OSError:
            pass
        time.sleep(0.2)
    return "no answer"


def _line(name: str, result: dict[str, Any]) -> str:
    wall = result.get("served_seconds", result.get("run_seconds", result.get("new_seconds")))
    line = f"{name:<10}{result['rows']:>10,} rows {wall:>7} s"
    line += f" ({result['processor_seconds']:.0f} s of processors) {result['bytes'] / 1e9:.2f} GB"
    if "rmse" in result:
        line += f"  rmse {result['rmse']:.4g}, LightGBM {result['lightgbm_rmse']:.4g}, ratio {result['ratio']:.3f}"
    return f"{line}  {result.get('failed', result.get('answer'))}"


if __name__ == "__main__":
    main()

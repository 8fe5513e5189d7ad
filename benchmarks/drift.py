"""Drift detection side by side with its peers: `python -m benchmarks.drift`.

Speed on made-up tables, detection on the real series of the default use case. Each peer runs in a virtual environment
of its own, made for the occasion and thrown away; one that does not install or run is skipped by name, with the reason.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from almanac.core.files import write_json
from benchmarks import drift_detection as detection

ROOT = Path(__file__).resolve().parent.parent
#: What is installed for each peer; the extra pins are what it needs to import at all.
PEERS = {
    "evidently": ["evidently==0.7.23", "pandas<3"],
    "nannyml": ["nannyml==0.13.1", "statsmodels", "pandas<3"],
    "whylogs": ["whylogs[viz]==1.6.4", "pandas<3", "numpy<2"],
    "skforecast": ["skforecast==0.26.0"],
}
#: Those that run in our own environment.
HERE = ("ours", "ours, exact", "scipy loop")
_CHOSEN_RATE = 0.05


class SkippedError(Exception):
    """A peer that did not install or run."""


def main() -> None:
    """Measure, print a table, and write JSON where asked."""
    parser = argparse.ArgumentParser(description="Drift detection side by side with its peers.")
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of each made-up table")
    parser.add_argument("--columns", type=int, default=20, help="its columns")
    parser.add_argument("--peers", default=",".join(PEERS), help="peers to install, comma-separated; empty for none")
    parser.add_argument("--patience", type=float, default=600, help="seconds that a peer may take for each measurement")
    parser.add_argument("--no-scale", action="store_true", help="leave out the billion values and the other limits")
    parser.add_argument("--usecase", type=Path, default=ROOT / "usecases" / "air_quality.yaml")
    parser.add_argument("--out", type=Path, help="write the result as JSON there")
    parser.add_argument("--json", action="store_true", help="print JSON in place of tables")
    arguments = parser.parse_args()
    result = measure(arguments)
    if arguments.out:
        write_json(arguments.out, result)
    print(json.dumps(result, indent=2) if arguments.json else tables(result))


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return all figures."""
    result: dict[str, Any] = {"speed": {}, "detection": {}, "limits": {}, "skipped": {}}
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        _make_tables(directory, arguments.rows, arguments.columns)
        series = detection.load_series(arguments.usecase, ROOT / ".cache")
        cases = _make_windows(directory, series)
        for peer in (*HERE, *filter(None, arguments.peers.split(","))):
            _say(peer)
            _measure_peer(peer, directory, cases, series, result, arguments.patience)
    found = detection.measure(series, detection.ours(series))
    averages = {"average": found.average, "average_rounded": found.average_rounded}
    result["detection"]["ours"] = {**asdict(found), **averages}
    _errors(result["speed"])
    for case in () if arguments.no_scale else ("wide", "stream", "store", "online"):
        _say(case)
        result["limits"][case] = _child([sys.executable, "-m", "benchmarks.drift_scale", case])
    return result


def _measure_peer(
    peer: str,
    directory: Path,
    cases: list[dict[str, Any]],
    series: detection.Series,
    result: dict[str, Any],
    patience: float,
) -> None:
    """Add a peer's speed and detection to the result, or the reason why one of them is not there."""
    try:
        python = sys.executable if peer in HERE else _install(directory / peer, PEERS[peer])
    except SkippedError as reason:
        result["skipped"][peer] = str(reason)
        return
    for what in ("speed",) if peer.startswith("ours") else ("speed", "detect"):
        try:
            found = _run(python, peer, what, directory, patience)
        except SkippedError as reason:
            result["skipped"][f"{peer}, {what}"] = str(reason)
        else:
            if what == "speed":
                result["speed"][peer] = found
            else:
                result["detection"][peer] = _judge(found, cases, series)
    if peer not in HERE:
        shutil.rmtree(directory / peer, ignore_errors=True)


def _say(what: str) -> None:
    print(f"… {what}", file=sys.stderr, flush=True)


def _make_tables(directory: Path, rows: int, columns: int) -> None:
    for seed, name in enumerate(("reference", "current")):
        np.save(directory / f"{name}.npy", np.random.default_rng(seed).normal(size=(columns, rows)))


def _make_windows(directory: Path, series: detection.Series) -> list[dict[str, Any]]:
    """Write the windows that the peers judge; a fault is in all its sensors, which are judged one by one."""
    series.reference.select(series.sensors).write_csv(directory / "reference.csv")
    cases: list[dict[str, Any]] = []
    frames = []
    for month, window in enumerate(series.months):
        for fault in (None, *detection.FAULTS):
            columns = {
                sensor: detection.faulty(series, month, sensor, fault, False)[sensor] if fault else window[sensor]
                for sensor in series.sensors
            }
            frames.append(pl.DataFrame(columns).with_columns(window=pl.lit(len(cases))))
            cases.append({"month": month, "fault": fault})
    pl.concat(frames).write_csv(directory / "windows.csv")
    return cases


def _install(directory: Path, requirements: list[str]) -> str:
    """Return the Python of a new environment with the requirements in it."""
    python = str(directory / "bin" / "python")
    uv = shutil.which("uv")
    if uv:
        make = [uv, "venv", "-q", "--python", sys.executable, str(directory)]
        fill = [uv, "pip", "install", "-q", "--python", python, *requirements, "pyarrow"]
    else:
        make = [sys.executable, "-m", "venv", str(directory)]
        fill = [python, "-m", "pip", "install", "-q", *requirements, "pyarrow"]
    for command in (make, fill):
        done = subprocess.run(command, capture_output=True, text=True, timeout=900)
        if done.returncode:
            raise SkippedError(f"does not install: {_last_line(done.stderr)}")
    return python


def _run(python: str, peer: str, what: str, directory: Path, patience: float) -> Any:
    path = str(ROOT / "benchmarks" / "drift_peer.py")
    start = [python, "-m", "benchmarks.drift_peer"] if peer in HERE else [python, path]
    return _child([*start, peer, what, str(directory)], patience)


def _child(command: list[str], patience: float = 900) -> Any:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=patience, cwd=ROOT)
    except subprocess.TimeoutExpired as late:
        raise SkippedError(f"did not finish in {late.timeout:.0f} s") from late
    if done.returncode:
        raise SkippedError(f"does not run: {_last_line(done.stderr)}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no message"])[-1]


def _judge(scores: dict[str, Any], cases: list[dict[str, Any]], series: detection.Series) -> dict[str, Any]:
    """Return a peer's detection by its own default, and by the threshold that suits it best after the fact.

    The latter is taken from the clean months that are judged: for each sensor, the score that 5% of them exceed. No
    user could know it; it shows what the score itself can tell.
    """
    clean = [i for i, case in enumerate(cases) if case["fault"] is None]
    limits = {
        sensor: float(np.quantile([scores[str(i)][sensor][0] for i in clean], 1 - _CHOSEN_RATE, method="higher"))
        for sensor in series.sensors
    }
    default, chosen = {}, {}
    for fault in (None, *detection.FAULTS):
        cells = [
            (score[0] > limits[sensor], score[1])
            for i, case in enumerate(cases)
            if case["fault"] == fault
            for sensor, score in scores[str(i)].items()
        ]
        chosen[fault], default[fault] = (float(np.mean([cell[k] for cell in cells])) for k in (0, 1))
    return {
        "false_alarms": default.pop(None),
        "detected": default,
        "average": float(np.mean(list(default.values()))),
        "false_alarms_chosen": chosen.pop(None),
        "detected_chosen": chosen,
        "average_chosen": float(np.mean(list(chosen.values()))),
    }


def _errors(speed: dict[str, Any]) -> None:
    """Add the largest error of the frozen grid's KS, and of the exact one, against scipy."""
    scores = {peer: speed[peer].pop("scores") for peer in list(speed)}
    if "scipy loop" in scores:
        for peer in ("ours", "ours, exact"):
            truth = scores["scipy loop"]
            speed[peer]["largest_error"] = max(abs(scores[peer][name] - truth[name]) for name in truth)


def tables(result: dict[str, Any]) -> str:
    """Return the figures as tables for people."""
    lines = [f"{'':14}{'first s':>9}{'second s':>10}{'peak MB':>9}{'over data':>11}{'error':>10}"]
    for peer, row in result["speed"].items():
        over, error = row["peak_mb"] - row["data_mb"], row.get("largest_error")
        figures = f"{row['first_s']:9.2f}{row['second_s']:10.3f}{row['peak_mb']:9.0f}{over:11.0f}"
        lines.append(f"{peer:14}{figures}{'' if error is None else f'{error:10.1e}'}")
    faults = list(detection.FAULTS)
    lines += ["", "share of sensor-months with an alarm", f"{'':22}{'clean':>8}" + "".join(f"{f:>18}" for f in faults)]
    for peer, row in result["detection"].items():
        kinds = [("", "false_alarms", "detected", "average")]
        if peer == "ours":
            kinds.append((", rounded", "false_alarms", "rounded", "average_rounded"))
        else:
            kinds.append((", best limit", "false_alarms_chosen", "detected_chosen", "average_chosen"))
        for label, clean, detected, average in kinds:
            cells = "".join(f"{row[detected][fault]:18.2f}" for fault in faults)
            lines.append(f"{peer + label:22}{row[clean]:8.3f}{cells}   average {row[average]:.3f}")
    for case, row in result["limits"].items():
        lines.append(f"{case}: " + ", ".join(f"{key} {value:,.3f}" for key, value in row.items()))
    lines += [f"skipped {peer}: {reason}" for peer, reason in result["skipped"].items()]
    return "\n".join(lines)


if __name__ == "__main__":
    main()

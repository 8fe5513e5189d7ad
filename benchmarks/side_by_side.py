"""Timing of several candidates in one process, turn by turn, so that the machine's moods hit all of them alike."""

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Clock = Callable[[], float]

_TURN_SECONDS = 0.02
_CACHE = Path(__file__).resolve().parent.parent / ".cache" / "benchmarks"


@dataclass(frozen=True)
class Spread:
    """Median of the rounds, with the lowest and the highest."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> "Spread":
        """Return the spread of `values`."""
        return cls(statistics.median(values), min(values), max(values))


@dataclass(frozen=True)
class Case:
    """One measured case: seconds a call of each candidate, and how many times as long as ours each peer takes."""

    name: str
    seconds: dict[str, Spread]
    ratios: dict[str, Spread]


def measure(name: str, candidates: Mapping[str, Callable[[], object]], rounds: int, clock: Clock) -> Case:
    """Time the candidates in turn, `rounds` times; the first one is ours.

    Args:
        name: what is measured.
        candidates: name to call.
        rounds: how many times each candidate gets its turn; a ratio is formed within a round.
        clock: returns seconds.
    """
    repeats = {key: _repeats(call, clock) for key, call in candidates.items()}
    seconds: dict[str, list[float]] = {key: [] for key in candidates}
    for _ in range(rounds):
        for key, call in candidates.items():
            seconds[key].append(_seconds(call, repeats[key], clock))
    ours, *peers = candidates
    ratios = {peer: [b / a for a, b in zip(seconds[ours], seconds[peer], strict=True)] for peer in peers}
    return Case(name, {k: Spread.of(v) for k, v in seconds.items()}, {k: Spread.of(v) for k, v in ratios.items()})


def _seconds(call: Callable[[], object], repeats: int, clock: Clock) -> float:
    start = clock()
    for _ in range(repeats):
        call()
    return (clock() - start) / repeats


def _repeats(call: Callable[[], object], clock: Clock) -> int:
    """Return how often to repeat a call so that a turn lasts long enough for any clock."""
    # The first call is slower, by imports and cold caches, and would give too few repeats.
    call()
    return max(1, round(_TURN_SECONDS / max(_seconds(call, 1, clock), 1e-7)))


def arguments(description: str) -> argparse.Namespace:
    """Return the options that the benchmarks share: --json, --rounds, --cpu, --model; `clock` follows from --cpu."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each candidate (default 7)")
    parser.add_argument("--model", type=Path, help="a model.bst; default: 500 trees of 63 leaves on a made-up series")
    parser.add_argument("--cpu", action="store_true", help="CPU seconds, for a machine that others use as well")
    options = parser.parse_args()
    options.clock = time.process_time if options.cpu else time.perf_counter
    return options


def model_and_rows(path: Path | None, count: int) -> tuple[Path, NDArray[np.float64]]:
    """Return the model to measure and `count` rows for it.

    The default model has 500 trees of 63 leaves on 20 features (lags, means, calendar) of a seeded hourly series, with
    gaps; it is trained once and kept in the project's cache. Another model gets rows at its own thresholds.
    """
    if path is not None:
        from almanac.model.engine.model_text import forest, header
        from almanac.model.engine.parity import threshold_rows

        content = path.read_bytes()
        return path, threshold_rows(forest(content), len(header(content).names), count)
    X, y = _lagged(_series(30_000 + count))
    default = _CACHE / "500x63.bst"
    if not default.exists():
        _train(X[:30_000], y[:30_000], default)
    return default, np.ascontiguousarray(X[30_000 : 30_000 + count])


def _series(hours: int) -> NDArray[np.float64]:
    draw = np.random.default_rng(0)
    noise, level = draw.normal(size=hours + 300), np.zeros(hours + 300)
    for t in range(1, len(level)):
        level[t] = 0.96 * level[t - 1] + noise[t] * (1 + 0.5 * np.sin(t / 900))
    hour = np.arange(len(level), dtype=np.float64)
    found: NDArray[np.float64] = 80 + 20 * level
    found += 15 * np.sin(2 * np.pi * hour / 24) * np.cos(2 * np.pi * hour / 8760)
    return found


def _lagged(series: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    t = np.arange(200, len(series) - 1)
    windows = np.lib.stride_tricks.sliding_window_view(series, 168)[t - 167]
    columns = [series[t - lag] for lag in (0, 1, 2, 3, 4, 6, 12, 23, 24, 167)]
    columns += [windows[:, -width:].mean(axis=1) for width in (3, 6, 24, 168)]
    columns += [windows[:, -width:].std(axis=1) for width in (6, 24)]
    columns += [(t % 24).astype(np.float64), (t // 24 % 7).astype(np.float64)]
    columns += [np.sin(2 * np.pi * t / 8760), np.cos(2 * np.pi * t / 8760)]
    X = np.column_stack(columns).astype(np.float64)
    X[np.random.default_rng(1).random(X.shape) < 0.02] = np.nan
    return X, series[t + 1]


def _train(X: NDArray[np.float64], y: NDArray[np.float64], path: Path) -> None:
    import lightgbm

    from almanac.core.files import whole_file

    print("training the benchmark's model once (about half a minute)", file=sys.stderr)
    options = {"num_leaves": 63, "learning_rate": 0.05, "verbose": -1, "seed": 1, "deterministic": True}
    booster = lightgbm.train(options, lightgbm.Dataset(X, y), 500)
    with whole_file(path) as aside:
        booster.save_model(aside)


def report(as_json: bool, cases: list[Case], facts: dict[str, Any], skipped: dict[str, str]) -> None:
    """Print the cases, as JSON or as a table, with the facts of the run and who was skipped and why."""
    facts = {"machine": platform.machine(), "cores": os.cpu_count(), "python": platform.python_version(), **facts}
    if as_json:
        document = {"facts": facts, "cases": [_as_json(case) for case in cases], "skipped": skipped}
        print(json.dumps(document, indent=2))
        return
    print("  ".join(f"{key}: {value}" for key, value in facts.items()))
    for case in cases:
        print(f"\n{case.name}")
        for key, spread in case.seconds.items():
            ratio = case.ratios.get(key)
            times = f"  {ratio.median:6.1f} times ours ({ratio.low:.1f}–{ratio.high:.1f})" if ratio else ""
            print(
                f"  {key:<28}{_duration(spread.median):>12} ({_duration(spread.low)}–{_duration(spread.high)}){times}"
            )
    for key, why in skipped.items():
        print(f"\nskipped {key}: {why}")


def _as_json(case: Case) -> dict[str, Any]:
    return {
        "case": case.name,
        "seconds": {key: vars(spread) for key, spread in case.seconds.items()},
        "ratio_to_ours": {key: vars(spread) for key, spread in case.ratios.items()},
    }


def _duration(seconds: float) -> str:
    if seconds < 1e-3:
        return f"{seconds * 1e6:.1f} µs"
    return f"{seconds * 1e3:.2f} ms" if seconds < 1 else f"{seconds:.2f} s"

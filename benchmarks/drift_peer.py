"""One drift library at work, in a process of its own: `python drift_peer.py NAME speed|detect DIRECTORY`.

Runs inside a peer's own virtual environment, so it imports nothing of ours unless NAME is ours. Prints one JSON object.
"""

import json
import os
import resource
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

warnings.simplefilter("ignore")

#: A column's score, higher for more drift, and whether the library's own default raises the alarm.
Scores = dict[str, tuple[float, bool]]
#: Takes a reference, returns what compares a window with it.
Peer = Callable[[Any], Callable[[Any], Scores]]


def evidently(reference: Any) -> Callable[[Any], Scores]:
    """Evidently's drift preset with the KS test; it keeps nothing of the reference."""
    from evidently import Report  # type: ignore[import-not-found]
    from evidently.presets import DataDriftPreset  # type: ignore[import-not-found]

    def compare(current: Any) -> Scores:
        found = Report([DataDriftPreset(num_method="ks")]).run(current, reference).dict()["metrics"]
        values = {m["config"]["column"]: float(m["value"]) for m in found if "column" in m["config"]}
        return {name: (-p, p < 0.05) for name, p in values.items()}

    return compare


def nannyml(reference: Any) -> Callable[[Any], Scores]:
    """NannyML's univariate drift with KS, fitted on chunks of about a month."""
    from nannyml import UnivariateDriftCalculator  # type: ignore[import-not-found]

    size = max(720, len(reference) // 40)
    names = list(reference.columns)
    calculator = UnivariateDriftCalculator(
        column_names=names, continuous_methods=["kolmogorov_smirnov"], chunk_size=min(size, 50_000)
    )
    calculator.fit(reference)

    def compare(current: Any) -> Scores:
        found = calculator.calculate(current).filter(period="analysis").to_df()
        return {
            name: (
                float(found[(name, "kolmogorov_smirnov", "value")].max()),
                bool(found[(name, "kolmogorov_smirnov", "alert")].any()),
            )
            for name in names
        }

    return compare


def whylogs(reference: Any) -> Callable[[Any], Scores]:
    """Whylogs' sketches, compared by its KS on quantiles."""
    import whylogs as why  # type: ignore[import-not-found]
    from whylogs.viz.drift.column_drift_algorithms import KS, calculate_drift_scores  # type: ignore[import-not-found]

    view = why.log(reference).view()

    def compare(current: Any) -> Scores:
        algorithms = {name: KS() for name in reference.columns}
        found = calculate_drift_scores(
            target_view=why.log(current).view(), reference_view=view, drift_map=algorithms, with_thresholds=True
        )
        return {
            name: (float(score["statistic"]), score["drift_category"] == "DRIFT")
            for name, score in found.items()
            if score is not None
        }

    return compare


def skforecast(reference: Any) -> Callable[[Any], Scores]:
    """Skforecast's population drift detector, on chunks of about a month."""
    import pandas as pd
    from skforecast.drift_detection import PopulationDriftDetector  # type: ignore[import-not-found]

    def dated(frame: Any) -> Any:
        return frame.set_axis(pd.date_range("2010-01-01", periods=len(frame), freq="h"))

    detector = PopulationDriftDetector(chunk_size=max(720, min(len(reference) // 40, 50_000)))
    detector.fit(dated(reference))

    def compare(current: Any) -> Scores:
        results, _ = detector.predict(dated(current))
        scores: Scores = {}
        for name, part in results.groupby("feature"):
            alarm = bool(part["drift_detected"].any()) if "drift_detected" in part else False
            scores[str(name)] = (float(part["ks_statistic"].max()), alarm)
        return scores

    return compare


def scipy_loop(reference: Any) -> Callable[[Any], Scores]:
    """Scipy's two-sample KS test, column by column."""
    from scipy.stats import ks_2samp

    held = {name: reference[name].dropna().to_numpy() for name in reference.columns}

    def compare(current: Any) -> Scores:
        tests = {n: ks_2samp(held[n], current[n].dropna().to_numpy(), method="asymp") for n in reference.columns}
        return {name: (float(test.statistic), bool(test.pvalue < 0.05)) for name, test in tests.items()}

    return compare


def ours(reference: Any) -> Callable[[Any], Scores]:
    """Ours, KS and PSI and the rest, from the frozen profile."""
    return _ours(reference, exact=False)


def ours_exact(reference: Any) -> Callable[[Any], Scores]:
    """Almanac, with the exact KS distance in addition."""
    return _ours(reference, exact=True)


def _ours(reference: Any, exact: bool) -> Callable[[Any], Scores]:
    from almanac import drift

    profile = drift.profile(reference, keep=exact)

    def compare(current: Any) -> Scores:
        found = drift.compare(profile, current, exact=exact)
        key = "ks_exact" if exact else "ks_overall"
        return {feature.name: (feature.facts[key], feature.drifted) for feature in found.features}

    return compare


PEERS: dict[str, Peer] = {
    "evidently": evidently,
    "nannyml": nannyml,
    "whylogs": whylogs,
    "skforecast": skforecast,
    "scipy loop": scipy_loop,
    "ours": ours,
    "ours, exact": ours_exact,
}


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def speed(peer: Peer, directory: Path, ours_at_work: bool) -> dict[str, Any]:
    """Return seconds of a first and a second comparison, the scores, and the peak memory with and without the data."""
    if ours_at_work:
        # One core, though the machine has more.
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    reference, current = (_frame(directory / f"{name}.npy") for name in ("reference", "current"))
    # Imports, and whatever else is done once a process, are nobody's speed.
    peer(reference[:2000])(current[:2000])
    loaded = _peak_mb()
    start = time.perf_counter()
    compare = peer(reference)
    compare(current)
    first = time.perf_counter() - start
    start = time.perf_counter()
    scores = compare(current)
    second = time.perf_counter() - start
    return {
        "first_s": first,
        "second_s": second,
        "data_mb": loaded,
        "peak_mb": _peak_mb(),
        "scores": {name: score for name, (score, _) in scores.items()},
    }


def _frame(path: Path) -> Any:
    import numpy as np
    import pandas as pd

    values = np.load(path)
    return pd.DataFrame({f"c{i}": column for i, column in enumerate(values)}, copy=False)


def detect(peer: Peer, directory: Path) -> dict[str, Any]:
    """Return the scores of every window in windows.csv against reference.csv."""
    import pandas as pd

    reference = pd.read_csv(directory / "reference.csv")
    compare = peer(reference)
    found = {}
    for number, window in pd.read_csv(directory / "windows.csv").groupby("window"):
        scores = compare(window.drop(columns="window").reset_index(drop=True))
        found[str(number)] = {name: [score, alarm] for name, (score, alarm) in scores.items()}
    return found


def main() -> None:
    """Run a peer as the command line asks and print the result as one line of JSON."""
    name, what, directory = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    peer = PEERS[name]
    result = speed(peer, directory, name.startswith("ours")) if what == "speed" else detect(peer, directory)
    print(json.dumps(result))


if __name__ == "__main__":
    main()

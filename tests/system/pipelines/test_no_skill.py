"""Tables that cannot be forecast, sent from `almanac new` to the gate; `benchmarks.no_skill` sends 20 seeds of each."""

from pathlib import Path

import pytest

from benchmarks.no_skill import stopped_by


@pytest.mark.parametrize(
    ("kind", "seed", "step", "words"),
    [
        ("white noise", 0, "gate", "closed: beats_baselines, load_1h"),
        ("random walk", 0, "gate", "closed: beats_baselines, load_1h"),
        ("leaked target", 0, "validation", "column 'other': leak: explains by itself 100.0% of load 1h later"),
        ("constant", 0, "training", "load has one value, 5, in the whole test span"),
        ("constant", 1, "training", "load has one value, 5, in the whole training span"),
        ("one class", 0, "training", "load has one class, 0, in the whole training span"),
    ],
)
def test_a_table_without_skill_never_reaches_production(
    tmp_path: Path, kind: str, seed: int, step: str, words: str
) -> None:
    stopped, message = stopped_by(kind, seed, tmp_path)
    assert stopped == step
    assert words in message

"""The golden model directories: small trained models, see `tests.golden.generate`."""

from pathlib import Path

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
#: Model directories with all their targets, which a server or an evaluation can load without training.
NAMES = ("lightgbm", "linear", "classification", "hist_gradient_boosting")

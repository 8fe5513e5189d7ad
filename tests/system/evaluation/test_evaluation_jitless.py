"""Explaining trees, and fitting statistical candidates, without numba."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = """
import sys, warnings
warnings.simplefilter("ignore")
if sys.argv[1] == "without":
    class Missing:
        def find_spec(self, name, path=None, target=None):
            if name.partition(".")[0] in ("numba", "llvmlite"):
                raise ModuleNotFoundError(name)
    import importlib.util
    real = importlib.util.find_spec
    importlib.util.find_spec = lambda name, package=None: None if name == "numba" else real(name, package)
    sys.meta_path.insert(0, Missing())
import hashlib
import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor
from almanac.model.shap_import import shap_package
generator = np.random.default_rng(0)
X = generator.normal(size=(500, 4))
X[::7, 2] = np.nan
model = HistGradientBoostingRegressor(max_iter=20).fit(X, X[:, 0] + np.nan_to_num(X[:, 2]))
explained = shap_package().TreeExplainer(model)(X[:50])
assert ("numba" in sys.modules) == (sys.argv[1] == "with")
print(hashlib.sha256(np.asarray(explained.values).tobytes()).hexdigest())
from almanac.training.candidates import arima, ets, theta
values = 50 + 5 * np.sin(np.arange(300) * np.pi / 6) + generator.normal(size=300)
for candidate in (arima, ets, theta):
    print(candidate.estimate(values, 12, 84, 6, {}))
assert ("numba" in sys.modules) == (sys.argv[1] == "with")
"""


def test_explanations_and_statistical_candidates_are_the_same_without_numba() -> None:
    processes = [
        subprocess.Popen([sys.executable, "-c", SCRIPT, way], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for way in ("with", "without")
    ]
    answers = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert answers[0] == answers[1] != ""

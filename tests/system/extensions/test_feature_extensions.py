"""A feature kind of a package of its own goes through both engines, preprocessing, a model directory and the server."""

import json
from pathlib import Path

import pytest

from tests.support import extension, small
from tests.support.feature_package import CODE, ENTRY_POINTS, ITEM

ROOT = Path(__file__).resolve().parents[3]
CASE = json.dumps(
    small.data()
    | {
        "features": {"items": [*small.data()["features"]["items"], ITEM]},
        "split": {"test_from": "2020-03-01"},
        "training": {
            "candidates": [{"name": "ridge", "kind": "linear"}],
            "folds": {"count": 2, "length": "10d"},
            "budget": {"trials": 1, "seconds": 600},
        },
    }
)
PROPERTIES = """
import sys
import pytest
raise SystemExit(pytest.main([sys.argv[1] + "/tests/unit/features/test_features_properties.py", "-c",
    sys.argv[1] + "/pyproject.toml", "--rootdir", sys.argv[1], "-p", "no:cacheprovider", "-k", "example and momentum"]))
"""
TRAIN = """
import json, sys
from datetime import datetime, timedelta
from pathlib import Path
import numpy as np
import polars as pl
from almanac.features.preprocess import preprocess
from almanac.features.spec import FeatureSpec
from almanac.features.table import numbers, times
from almanac.model.model import load_model
from almanac.training.train import Inputs, train
from almanac.usecase import load_text
from serving.features.row_layout import FeaturePlan

case, here = load_text(sys.argv[1], "case"), Path.cwd()
hours = [datetime(2020, 1, 1) + timedelta(hours=k) for k in range(2000)]
load = 50 + 20 * np.sin(np.arange(2000) / 4) + np.random.default_rng(1).normal(size=2000)
pl.DataFrame(
    {"timestamp": pl.Series(hours, dtype=pl.Datetime("us")), "load": load, "kind": ["a", "b"] * 1000}
).write_parquet(here / "table.parquet")
files = Inputs(here / "features.parquet", here / "specification.json", here / "table.parquet")
preprocess(case, files.table, files.features, files.specification)
train(case, files, here / "model", here / "tuning.json")

model = load_model(here / "model" / "load_1h")
plan, table = FeaturePlan(model), pl.read_parquet(files.table)
batch = pl.read_parquet(files.features).select(model.names).to_numpy()
spec = plan.engine.spec
raw = np.stack([numbers(spec, table, name) for name in spec.columns])
moments = times(table, spec.time)
for row in range(1500, 1600):
    online = plan.engine.row(raw[:, row + 1 - plan.history : row + 1], int(moments[row]))
    order = [spec.names.index(name) for name in model.names]
    assert online[order].tobytes() == np.ascontiguousarray(batch[row]).tobytes()
document = json.loads((here / "model" / "load_1h" / "features.json").read_text())
print(json.dumps({"names": model.names, "learned": document["spec"]["learned"], "spread": float(load[:1439].std())}))
"""
LOAD = """
import sys
from almanac.core.errors import AlmanacError
from almanac.usecase import load_text, schema
try:
    load_text(sys.argv[1], "case")
except AlmanacError as error:
    print(error)
print("Momentum" in str(schema()))
"""


def test_both_engines_agree_on_a_kind_from_outside_and_it_never_looks_ahead(tmp_path: Path) -> None:
    extension.install(tmp_path, "pace", CODE, ENTRY_POINTS)
    done = extension.run(tmp_path, PROPERTIES, str(ROOT))
    assert done.returncode == 0, done.stdout
    assert done.stdout.startswith(". "), "the registry gives the kind's example to the property test"


def test_a_kind_from_outside_goes_from_preprocessing_to_the_server(tmp_path: Path) -> None:
    extension.install(tmp_path, "pace", CODE, ENTRY_POINTS)
    done = extension.run(tmp_path, TRAIN, CASE)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["names"] == ["load", "load_momentum_3h_12h"]
    assert result["learned"][0] is None
    assert result["learned"][1]["load"] == pytest.approx(result["spread"], rel=0.01)


def test_the_schema_and_the_errors_of_a_use_case_know_the_kind(tmp_path: Path) -> None:
    extension.install(tmp_path, "pace", CODE, ENTRY_POINTS)
    done = extension.run(tmp_path, LOAD, CASE)
    assert (done.stdout, done.stderr) == ("True\n", "")
    wrong = extension.run(tmp_path, LOAD, CASE.replace('"long"', '"lang"')).stdout
    assert "features.items.1.lang: unknown field; did you mean 'long'?" in wrong


def test_a_kind_that_only_an_extension_has_is_named_with_its_group(tmp_path: Path) -> None:
    done = extension.run(tmp_path, LOAD, CASE)
    assert (
        "features.items.1.kind: there is no feature kind 'momentum'; known are age, calendar, categorical, "
        in done.stdout
    )
    assert "if an extension brings it, install that package here (almanac.features)" in done.stdout


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            "import absent_library\n",
            "feature kind 'momentum' of the package pace (pace:KIND) cannot be loaded: ModuleNotFoundError",
        ),
        (
            CODE.replace('Literal["momentum"]', 'Literal["lag"]').replace('"kind": "momentum"', '"kind": "lag"'),
            "feature kind 'lag' is registered twice: by almanac.features.kinds.lag and by the package pace (pace:KIND)",
        ),
    ],
)
def test_a_broken_extension_is_named(tmp_path: Path, code: str, message: str) -> None:
    extension.install(tmp_path, "pace", code, ENTRY_POINTS)
    done = extension.run(tmp_path, "from almanac.usecase import load_text; load_text('{}', 'case')")
    assert done.returncode == 1
    assert message in done.stderr

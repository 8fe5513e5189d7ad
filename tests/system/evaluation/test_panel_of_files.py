"""A panel of 17 real files, of which some begin in the test span: from the directory that ALMANAC_MIRROR names."""

import os
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from almanac.core.files import pretty_json
from almanac.data.ingest import ingest
from almanac.evaluation.evaluate import evaluate
from almanac.evaluation.labels import TRAINING
from almanac.features.preprocess import preprocess
from almanac.model.model import load_model
from almanac.training.train import Inputs, train
from almanac.usecase import UseCase, load_text
from tests.support import small

MIRROR = Path(os.environ.get("ALMANAC_MIRROR", "")) / "servers"
FILES = sorted(MIRROR.glob("*.csv"))
#: Metrics whose files begin after the training span.
LATE = ["ec2_cpu_utilization_825cc2", "ec2_network_in_257a54", "elb_request_count_8c0756", "rds_cpu_utilization_e47b3b"]

pytestmark = pytest.mark.skipif(len(FILES) != 17, reason="ALMANAC_MIRROR names no directory with the 17 AWS files")


def usecase(folder: Path) -> UseCase:
    source: dict[str, Any] = {
        **small.data()["sources"][0],
        "path": f"{folder}/*.csv",
        "read": {
            "from_name": r"(?P<metric>[^/]+)\.csv",
            "time": {"column": "timestamp"},
            "resample": {"every": "1h", "columns": {"value": "mean"}},
        },
    }
    return load_text(
        pretty_json(
            small.data()
            | {
                "name": "aws",
                "entity": "metric",
                "columns": {"value": {"type": "float", "min": 0, "max_missing": 0.5, "description": "Value"}},
                "sources": [source],
                "features": {
                    "items": [
                        {"kind": "value", "group": "lagged", "columns": ["value"]},
                        {"kind": "lag", "group": "lagged", "columns": ["value"], "lags": ["1h", "23h"]},
                    ]
                },
                "targets": [{"name": "value_1h", "column": "value", "horizon": "1h"}],
                "split": {"test_from": "2014-04-10"},
                "training": {
                    "folds": {"count": 2, "length": "3d"},
                    "candidates": [{"name": "ridge", "kind": "linear", "predict": "difference"}],
                    "intervals": {"level": 0.9, "bins": 2},
                },
                "evaluation": {"season": "24h", "bands": {"edges": []}, "block": "1d", "repeats": 100},
                "validation": {"staleness": {"max_age": "7d", "as_of": "2014-04-25", "severity": "warning"}},
            }
        ),
        "aws",
    )


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder, case = tmp_path_factory.mktemp("aws"), usecase(MIRROR)
    files = Inputs(folder / "features.parquet", folder / "specification.json", folder / "table.parquet")
    ingest(case, MIRROR, folder / "cache", files.table)
    # As validation leaves it.
    pl.read_parquet(files.table).sort("metric", "timestamp").write_parquet(files.table)
    preprocess(case, files.table, files.features, files.specification)
    train(case, files, folder / "model", folder / "tuning.json")
    return folder, evaluate(case, files.features, folder / "model", folder / "out")["targets"]["value_1h"]


def test_every_file_is_an_entity_by_its_name(judged: tuple[Path, dict[str, Any]]) -> None:
    table = pl.read_parquet(judged[0] / "table.parquet")
    assert sorted(table["metric"].unique()) == [file.stem for file in FILES]


def test_files_that_begin_in_the_test_span_are_unseen(judged: tuple[Path, dict[str, Any]]) -> None:
    folder, entry = judged
    assert entry["entities"]["unseen"] == {"count": len(LATE), "names": LATE}
    rows = pl.read_parquet(folder / "out" / "predictions.parquet").filter(pl.col("metric").is_in(LATE))
    assert entry["coverage"]["unseen"]["n"] == rows.height == entry["slices"][TRAINING]["unseen"]["n"]
    inside = rows.select(pl.col("y").is_between("lower", "upper").mean()).item()
    assert entry["coverage"]["unseen"]["coverage"] == pytest.approx(inside)
    model = load_model(folder / "model" / "value_1h")
    assert model.learned is not None
    assert model.learned.isdisjoint(LATE)
    assert model.unseen(LATE[0]) is not None
    assert all(entry["entities"]["each"][name]["mase"] is None for name in LATE)


def test_the_report_names_an_unseen_entity_and_others(judged: tuple[Path, dict[str, Any]]) -> None:
    page = (judged[0] / "out" / "report.html").read_text()
    assert "An unseen entity" in page
    assert "An ordinary entity" in page
    assert f"{LATE[0]} (unseen)" in page

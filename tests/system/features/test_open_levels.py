"""An open category, local time and holidays from preprocessing over training to the server's own reading of rows."""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from almanac.core.levels import OTHER
from almanac.features.preprocess import preprocess
from almanac.features.table import times
from almanac.model.model import load_model
from almanac.training.train import Inputs, train
from serving.features.row_layout import FeaturePlan
from tests.support import small


def test_the_server_computes_the_features_of_training_from_texts_that_training_never_saw(tmp_path: Path) -> None:
    rng, n = np.random.default_rng(3), 900
    case = small.usecase(
        time={"column": "timestamp", "frequency": "1h", "zone": "Europe/Berlin"},
        columns={
            "load": {"type": "float", "description": "Load"},
            "kind": {"type": "category", "description": "Kind", "max_levels": 20},
            "open": {"type": "boolean", "description": "Whether open"},
        },
        features={
            "items": [
                {"kind": "value", "group": "now", "columns": ["load", "open"]},
                {"kind": "categorical", "group": "kind", "columns": ["kind"]},
                {"kind": "encoded", "group": "kind", "columns": ["kind"]},
                {"kind": "encoded", "group": "kind", "columns": ["kind"], "encoding": "target", "target": "load_1h"},
                {"kind": "calendar", "group": "calendar", "fields": ["hour"], "ahead": "1h"},
                {"kind": "holiday", "group": "calendar", "country": "DE", "fields": ["holiday", "days_until"]},
                {"kind": "quantile", "group": "rolling", "columns": ["load"], "windows": ["24h"]},
                {
                    "kind": "distribution",
                    "group": "rolling",
                    "columns": ["load"],
                    "windows": ["9h"],
                    "statistics": ["skew"],
                },
            ]
        },
        split={"test_from": "2020-02-05"},
        training={"candidates": [{"name": "ridge", "kind": "linear"}], "folds": {"count": 2, "length": "4d"}},
    )
    hours = [datetime(2020, 1, 1) + timedelta(hours=k) for k in range(n)]
    levels = [f"level{rng.integers(25 if k < 840 else 40)}" for k in range(n)]
    table = pl.DataFrame(
        {
            "timestamp": pl.Series(hours, dtype=pl.Datetime("us")),
            "load": 50 + 20 * np.sin(np.arange(n) / 4) + rng.normal(size=n),
            "kind": levels,
            "open": rng.integers(2, size=n).astype(float),
        }
    )
    files = Inputs(tmp_path / "features.parquet", tmp_path / "specification.json", tmp_path / "table.parquet")
    table.write_parquet(files.table)
    preprocess(case, files.table, files.features, files.specification)
    train(case, files, tmp_path / "model", tmp_path / "tuning.json")

    model = load_model(tmp_path / "model" / "load_1h")
    plan, batch = FeaturePlan(model), pl.read_parquet(files.features).select(model.names).to_numpy()
    schema = {column.name: column for column in plan.schema.columns}
    kind = schema["kind"].categories
    assert kind is not None
    assert kind[-1] == OTHER
    assert len(kind) == 21
    assert any(level not in kind for level in levels[840:])
    # As a request brings them: names of columns, and texts for categories.
    raw = np.array([[column.value(value, name) for value in table[name]] for name, column in schema.items()])
    moments, order = times(table, "timestamp"), [plan.engine.spec.names.index(name) for name in model.names]
    for row in range(820, n):
        block = plan.own.block(raw[:, row + 1 - plan.history : row + 1])
        online = plan.engine.row(block, int(moments[row]))
        assert online[order].tobytes() == np.ascontiguousarray(batch[row]).tobytes(), row

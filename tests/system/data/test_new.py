"""A proposed use case trains and is evaluated without an edit."""

from pathlib import Path

import polars as pl

from almanac.data.ingest import ingest
from almanac.data.propose import Wishes, propose
from almanac.data.validate import validate
from almanac.evaluation.evaluate import evaluate
from almanac.features.preprocess import preprocess
from almanac.training.train import Inputs, train
from almanac.usecase import load


def test_the_real_series_beats_persistence_as_proposed(beijing: pl.DataFrame, tmp_path: Path) -> None:
    beijing.write_csv(tmp_path / "beijing.csv", datetime_format="%Y-%m-%dT%H:%M:%S")
    propose(tmp_path / "beijing.csv", tmp_path / "air.yaml", Wishes(target="pm25"))
    case = load(tmp_path / "air.yaml")
    ingest(case, tmp_path, tmp_path / "cache", tmp_path / "table.parquet")
    validate(case, tmp_path / "table.parquet", tmp_path / "data.parquet", tmp_path / "validation.html")
    preprocess(case, tmp_path / "data.parquet", tmp_path / "features.parquet", tmp_path / "features.json")
    inputs = Inputs(tmp_path / "features.parquet", tmp_path / "features.json", tmp_path / "data.parquet")
    train(case, inputs, tmp_path / "model", tmp_path / "tuning.json")
    metrics = evaluate(case, tmp_path / "features.parquet", tmp_path / "model", tmp_path, tmp_path / "tuning.json")
    assert metrics["targets"]["pm25_6h"]["skill"]["persistence"]["ci"][0] > 0

"""What a server predicted is what the monitoring pipeline reads, and joins with the truth."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from components.common.errors import TableError
from components.monitoring.join import read_log, with_truth
from components.usecase import load_text
from tests.serving.conftest import USE_CASE, Start, as_row
from tests.serving.test_store import ingest, last_month

__all__ = ["last_month"]

AIR = load_text(USE_CASE.replace("CUTOFF", "0h"), "air.yaml")


def test_served_predictions_are_joined_with_the_truth(
    start: Start, tmp_path: Path, beijing: pl.DataFrame, last_month: pl.DataFrame
) -> None:
    server = start("--prediction-log", str(tmp_path))
    ingest(server, last_month)
    times = [moment.isoformat() for moment in last_month["timestamp"].to_list()[-40:-8]]
    moments = [{"entity": "default", "time": time} for time in times]
    alone = [server.post("/v1/models/pm25_1h:predict", {"instances": [moment]}).json for moment in moments]
    together = server.post("/v1/models/air:predict", {"instances": moments}).json["predictions"]
    server.stop()

    logged = read_log(AIR, str(tmp_path))
    assert logged.height == 2 * len(times)
    for name, found in logged.group_by("target"):
        answers = [row[str(name[0])] for row in together]
        assert found.sort("timestamp")["prediction"].to_list() == [row["prediction"] for row in answers]
        assert found.sort("timestamp")["lower"].to_list() == [row["lower"] for row in answers]
    assert [answer["predictions"][0] for answer in alone] == [row["pm25_1h"]["prediction"] for row in together]

    joined = with_truth(AIR, beijing, logged).filter(pl.col("target") == "pm25_6h")
    truth = beijing.select(due="timestamp", truth=pl.col("pm25").cast(pl.Float64))
    assert joined.join(truth, on="due", how="left").select((pl.col("y") == pl.col("truth")).all()).item()


def test_a_torn_line_waits_and_a_wrong_one_is_named(tmp_path: Path) -> None:
    path = tmp_path / "air" / "served-x.jsonl"
    path.parent.mkdir()
    line = '{"timestamp":"2014-01-01T00:00:00","target":"pm25_1h","prediction":1.5,"lower":1,"upper":2,"version":null}'
    path.write_text(f"{line}\n{line[:40]}")
    assert read_log(AIR, str(tmp_path))["prediction"].to_list() == [1.5]
    path.write_text(line[:40])
    with pytest.raises(TableError, match="no logged predictions yet"):
        read_log(AIR, str(tmp_path))
    path.write_text(f"{line}\nnot json\n")
    with pytest.raises(TableError, match=r"served-x\.jsonl: not lines of predictions"):
        read_log(AIR, str(tmp_path))


def test_rows_by_name_have_no_moment_and_are_not_logged(start: Start, tmp_path: Path, feature_rows: np.ndarray) -> None:
    server = start("--prediction-log", str(tmp_path))
    assert server.post("/v1/models/pm25_1h:predict", {"instances": [as_row(feature_rows[0])]}).status == 200
    server.stop()
    with pytest.raises(TableError, match="no logged predictions yet"):
        read_log(AIR, str(tmp_path))


def test_a_log_that_cannot_be_written_is_said_at_the_start(model_dir: Path, tmp_path: Path) -> None:
    from serving.__main__ import main

    (tmp_path / "file").write_text("")
    assert main(["--model", str(model_dir), "--http-port", "0", "--prediction-log", str(tmp_path / "file")]) == 1

import json
import re
from pathlib import Path

import polars as pl
import pytest

from almanac import drift
from almanac.core.files import write_json
from governance.registry import Registry
from monitoring.__main__ import main

YEAR, MONTH = pl.col("timestamp").dt.year(), pl.col("timestamp").dt.month()


@pytest.fixture(scope="module")
def files(beijing: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("drift")
    reference = beijing.filter(YEAR <= 2012)
    reference.write_parquet(directory / "reference.parquet")
    drift.profile(reference, time="timestamp").write(directory / "reference.json")
    month = beijing.filter(YEAR == 2013, MONTH == 4)
    month.write_csv(directory / "quiet.csv")
    month.with_columns(pl.col("temp") * 1.8 + 32).write_parquet(directory / "drifted.parquet")
    return directory


def test_a_quiet_window(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["drift", str(files / "reference.parquet"), str(files / "quiet.csv")]) == 0
    assert capsys.readouterr().out == "quiet: 0 of 8 columns\n"


def test_a_drifted_window(files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    window = str(files / "drifted.parquet")
    assert main(["drift", str(files / "reference.json"), window, "--out", str(tmp_path), "--json"]) == 3
    document = json.loads(capsys.readouterr().out)
    assert document["drifted_features"] == ["temp"]
    assert json.loads((tmp_path / "drift.json").read_text()) == document
    page = (tmp_path / "drift.html").read_text()
    assert "drifted" in page
    assert page.count("<svg") == 8
    assert not re.findall(r'(?:src|href)="(?!data:|#)[^"]*"', page)
    assert "<script" not in page


def test_the_summary_names_column_figure_and_threshold(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["drift", str(files / "reference.json"), str(files / "drifted.parquet")]) == 3
    out = capsys.readouterr().out
    assert out.startswith("drifted: 1 of 8 columns\n  temp: ")
    assert "threshold" in out


def test_the_report_is_the_same_from_run_to_run(files: Path, tmp_path: Path) -> None:
    pages = []
    for name in ("a", "b"):
        main(["drift", str(files / "reference.json"), str(files / "drifted.parquet"), "--out", str(tmp_path / name)])
        pages.append(re.sub(r"Generated [^<]*", "", (tmp_path / name / "drift.html").read_text()))
    assert pages[0] == pages[1]


def test_a_model_directory_is_a_reference(files: Path, tmp_path: Path) -> None:
    (tmp_path / "model" / "temp_1h").mkdir(parents=True)
    (tmp_path / "model" / "temp_1h" / "reference.json").write_bytes((files / "reference.json").read_bytes())
    assert main(["drift", str(tmp_path / "model"), str(files / "drifted.parquet")]) == 3


def test_a_registered_model_is_a_reference(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = tmp_path / "manifest.json"
    write_json(manifest, {"format": 1})
    registered = {"model/manifest.json": manifest, "model/temp_1h/reference.json": files / "reference.json"}
    Registry(tmp_path / "registry").register("weather", registered, who="anna", why="first", approval="none")
    monkeypatch.setenv("ALMANAC_REGISTRY", str(tmp_path / "registry"))
    monkeypatch.setenv("ALMANAC_CACHE", str(tmp_path / "cache"))
    assert main(["drift", "registry:weather/1", str(files / "drifted.parquet")]) == 3
    assert main(["drift", "registry:weather/1#temp_1h", str(files / "quiet.csv")]) == 0


def test_a_table_of_features_holds_categories_as_codes(
    files: Path, beijing: pl.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "model" / "temp_1h"
    model.mkdir(parents=True)
    (model / "reference.json").write_bytes((files / "reference.json").read_bytes())
    labels = ["NE", "NW", "SE", "cv"]
    write_json(model / "features.json", {"spec": {"categories": {"cbwd": labels}}})
    codes = pl.col("cbwd").replace_strict({name: float(code) for code, name in enumerate(labels)})
    month = beijing.filter(YEAR == 2013, MONTH == 4).with_columns(codes)
    month.write_parquet(tmp_path / "features.parquet")
    assert main(["drift", str(tmp_path / "model"), str(tmp_path / "features.parquet")]) == 0
    assert capsys.readouterr().out == "quiet: 0 of 8 columns\n"
    month.with_columns(pl.lit(9.0).alias("cbwd")).write_parquet(tmp_path / "features.parquet")
    assert main(["drift", str(tmp_path / "model"), str(tmp_path / "features.parquet")]) == 3
    assert "cbwd" in capsys.readouterr().out


def test_a_panel_sorted_by_entity_is_taken(files: Path, beijing: pl.DataFrame, tmp_path: Path) -> None:
    both = [beijing.with_columns(place=pl.lit(name)) for name in ("a", "b")]
    pl.concat([part.filter(YEAR <= 2012) for part in both]).write_parquet(tmp_path / "before.parquet")
    pl.concat([part.filter(YEAR == 2013, MONTH == 4) for part in both]).write_parquet(tmp_path / "newest.parquet")
    tables = [str(tmp_path / "before.parquet"), str(tmp_path / "newest.parquet")]
    assert main(["drift", *tables, "--entity", "place"]) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.parquet", "{}/quiet.csv"], "nowhere.parquet does not exist"),
        (["{}/reference.json", "nowhere.csv"], "nowhere.csv does not exist"),
        (["{}/quiet.csv", "{}/reference.json"], "neither Parquet nor CSV"),
        (["registry:weather/production", "{}/quiet.csv"], "weather"),
    ],
)
def test_errors_are_one_line_and_exit_code_1(
    files: Path,
    tmp_path: Path,
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ALMANAC_REGISTRY", str(tmp_path / "registry"))
    assert main(["drift", *(argument.format(files) for argument in arguments)]) == 1
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["drift", "{}/reference.json"], "Missing argument 'CURRENT'"),
        (["drift", "{}/reference.json", "{}/quiet.csv", "--colour"], "No such option: --colour"),
        (["drift", "{}/reference.json", "{}/quiet.csv", "--season", "week"], "'week' is not one of"),
        (["push", "runs/x", "--to", "figures", "--window", "often"], "often"),
        (["paint"], "No such command 'paint'"),
    ],
)
def test_wrong_usage_is_exit_code_2(
    files: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([argument.format(files) for argument in arguments]) == 2
    assert message in capsys.readouterr().err

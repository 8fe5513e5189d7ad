"""Error of `cpu_mean_5min` of the use case server_load at every five minutes, where the use case asks once an hour.

    ALMANAC_MIRROR=DIRECTORY python -m benchmarks.five_minutes runs/server_load/latest [--json]

The use case has a grid of hours, and its trace no clock: hours may as well begin five minutes later. Twelve such grids,
each five minutes after the one before, have every five minutes of the test week forecast by the trained model from what
was known an hour earlier. The errors are those of all machines, of

- every five minutes of the week, and
- each of the twelve steps of the hour after every sixth hour, forecast from an hour before the step itself, which is
  less than the origin knows; persistence stands at the origin's last value.
"""

import argparse
import json
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl

from almanac.core.arrays import Array
from almanac.data.ingest import ingest
from almanac.data.resample import resample
from almanac.model.batch import predict_file
from almanac.model.bundle import load_bundle
from almanac.training.losses import loss
from almanac.usecase import UseCase
from almanac.usecase import load as load_use_case
from almanac.usecase.shape_section import Resample

TARGET, COLUMN = "cpu_mean_5min", "cpu_5min"
HOURLY = Resample(every="1h", columns={"cpu_mean": "mean", COLUMN: "last", "cpu_max": "max"})
STEPS_OF_HOUR, STEPS_OF_DAY, DAYS = 12, 288, 7
USE_CASE = Path("usecases/server_load.yaml")


def five_minutes(usecase: UseCase, scratch: Path) -> pl.DataFrame:
    """Return the readings of both sources as they are, a row for each machine and five minutes."""
    sources = [
        source.model_copy(update={"read": source.read.model_copy(update={"resample": None})})
        for source in usecase.sources
    ]
    plain = usecase.model_copy(update={"sources": sources})
    ingest(plain, USE_CASE.parent, scratch / "cache", scratch / "table.parquet")
    return pl.read_parquet(scratch / "table.parquet")


def forecasts(usecase: UseCase, table: pl.DataFrame, model: Path, scratch: Path) -> Array:
    """Return the forecast of each five minutes from an hour before it, NaN where there is none, (steps, machines)."""
    time, first = usecase.time.column, table[usecase.time.column].min()
    bundle, parts = load_bundle(model), []
    for phase in range(STEPS_OF_HOUR):
        later = timedelta(minutes=5 * phase)
        shifted = table.with_columns(pl.col(time) + later)
        hours = resample(shifted, HOURLY, time, usecase.entity, "table").sort("machine", time)
        hours.write_parquet(scratch / "hours.parquet")
        predict_file(bundle, scratch / "hours.parquet", scratch / "out.parquet", TARGET)
        # The last five minutes of the hour after the row's own.
        ahead = timedelta(minutes=115) - later
        found = pl.read_parquet(scratch / "out.parquet", columns=[time, "machine", f"{TARGET}_prediction"])
        parts.append(found.with_columns(pl.col(time) + ahead))
    steps = (pl.col(time) - first).dt.total_minutes() // 5
    return _matrix(pl.concat(parts).select(steps, "machine", f"{TARGET}_prediction"), table["machine"].unique())


def _matrix(values: pl.DataFrame, machines: pl.Series) -> Array:
    place = {name: k for k, name in enumerate(sorted(machines))}
    step, machine, value = (values[name] for name in values.columns)
    kept = (step >= 0).to_numpy()
    result = np.full((int(step.max()) + 1, len(place)), np.nan)  # type: ignore[arg-type]
    columns = machine.replace_strict(place, return_dtype=pl.Int64).to_numpy()
    result[step.to_numpy()[kept], columns[kept]] = value.to_numpy()[kept]
    return result


def measured(truth: Array, forecast: Array) -> dict[str, dict[str, float]]:
    """Return sMAPE of the model and of naive forecasts in percent, on both sets of rows."""
    symmetric = loss("smape")

    def smape(truth: Array, forecast: Array) -> float:
        return 100 * symmetric(truth, forecast, False)

    week = np.arange(len(truth) - DAYS * STEPS_OF_DAY, len(truth))
    origins = week[:: STEPS_OF_DAY // 4] - 1
    steps = origins[:, None] + np.arange(1, STEPS_OF_HOUR + 1)
    return {
        "every five minutes, an hour ahead": {
            TARGET: smape(truth[week], forecast[week]),
            "value an hour ago": smape(truth[week], truth[week - STEPS_OF_HOUR]),
            "value a day ago": smape(truth[week], truth[week - STEPS_OF_DAY]),
        },
        "twelve steps after every sixth hour": {
            TARGET: smape(truth[steps], forecast[steps]),
            "last value": smape(truth[steps], np.broadcast_to(truth[origins][:, None], truth[steps].shape)),
        },
    }


def main() -> None:
    """Print the errors."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="run directory of server_load")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    usecase = load_use_case(USE_CASE)
    with TemporaryDirectory() as scratch:
        table = five_minutes(usecase, Path(scratch))
        forecast = forecasts(usecase, table, arguments.run / "model", Path(scratch))
    step = (pl.col(usecase.time.column) - table[usecase.time.column].min()).dt.total_minutes() // 5
    truth = _matrix(table.select(step, "machine", COLUMN), table["machine"].unique())
    figures = measured(truth, forecast[: len(truth)])
    if arguments.json:
        print(json.dumps(figures, indent=2))
        return
    for rows, errors in figures.items():
        print(rows)
        for name, error in errors.items():
            print(f"  {name:24} {error:6.2f}%")


if __name__ == "__main__":
    main()

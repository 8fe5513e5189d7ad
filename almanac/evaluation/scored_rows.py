"""The scored rows of a target: truth, forecast, baselines and groups."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import polars.selectors as cs

from almanac.core.arrays import Array, Integers, Mask
from almanac.core.errors import TableError
from almanac.core.grid import Grid
from almanac.evaluation.groups import Slices, bands_of, group_of
from almanac.evaluation.metrics import Metric, metrics_of
from almanac.evaluation.out_of_fold import OutOfFold
from almanac.evaluation.paired import clock_of
from almanac.features.baselines import CLIMATOLOGY, MEAN, baseline_forecasts, price_column, seasonal_naive
from almanac.features.classes import as_classes
from almanac.features.columns import column, numbers
from almanac.features.references import price_names, reference_columns
from almanac.features.split import Span, train_test
from almanac.model.model import Model
from almanac.model.target_history import TargetHistory
from almanac.usecase import UseCase
from almanac.usecase.training_section import Target
from almanac.usecase.types import to_microseconds


@dataclass(frozen=True)
class ScoredRows:
    """The rows of the test span in which a target was measured.

    Attributes:
        target: the target.
        keys: the entity, if the use case has one, and the time of each row.
        time: prediction time, µs since the epoch, shape (n,).
        grid: grid of the times.
        X: features, shape (n, f).
        y: the truth, 0 or 1 for a classification, shape (n,).
        prediction: the forecast, shape (n,).
        lower: lower end of the interval; None for a classification.
        upper: upper end.
        last: the last known value of the target's column, NaN if missing, shape (n,).
        baselines: forecast of each baseline, NaN if missing.
        bands: bands of the last known value.
        groups: declared groups.
        scale: mean absolute error of the seasonal baseline before the test span, the unit of MASE.
        scales: the same of each row's entity, NaN where it has none; None for a table of one series or of
            events; shape (n,).
        prices: prices of events that stakes and signals name, NaN where missing.
        out_of_fold: the rows of the training's folds; None where they are not at hand.
        unseen: rows of entities without a known target in the training span; None for a table of one series.
        events: whether each row is an event.
    """

    target: Target
    keys: pl.DataFrame
    time: Integers
    grid: Grid
    X: Array
    y: Array
    prediction: Array
    lower: Array | None
    upper: Array | None
    last: Array
    baselines: dict[str, Array]
    bands: Slices
    groups: dict[str, Slices]
    scale: float
    prices: dict[str, Array] = field(default_factory=dict)
    scales: Array | None = None
    out_of_fold: OutOfFold | None = None
    unseen: Mask | None = None
    events: bool = False

    @property
    def classification(self) -> bool:
        """Whether the target is a probability."""
        return self.target.task == "classification"

    @property
    def metrics(self) -> dict[str, Metric]:
        """The metrics of the target that are functions of sums."""
        return metrics_of(self.target, self.scale, self.lower is not None)

    @property
    def even_due(self) -> Integers:
        """The forecast time of each row on the even axis of the grid, in µs, shape (n,)."""
        return self.grid.to_even(self.time) + to_microseconds(self.target.horizon)

    @property
    def due(self) -> npt.NDArray[np.datetime64]:
        """The time that each row's forecast is of, shape (n,): of an event its own, not that of its outcome."""
        if self.events:
            return self.time.astype("datetime64[us]")
        return self.grid.from_even(self.even_due).astype("datetime64[us]")


def read_table(path: Path, usecase: UseCase) -> pl.DataFrame:
    """Return the feature table, in order of time.

    Raises:
        TableError: it cannot be read, or has no time column.
    """
    return _read(path, usecase, lambda table: table)


def read_parts(path: Path, usecase: UseCase) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return keys, truths and last known values of the feature table, and its whole rows from the test span on.

    The features of the training span, by far the largest part of the table, are never loaded.

    Raises:
        TableError: it cannot be read, or has no time column.
    """
    names = [f"{kind}_{target.name}" for target in usecase.targets for kind in ("y", "last")]
    names += [name for target in usecase.targets for name in reference_columns(target)]
    narrow = _read(
        path, usecase, lambda table: table.select(pl.col(*usecase.keys), cs.by_name(names, require_all=False))
    )
    _, test = train_test(usecase, narrow[usecase.time.column])
    # A literal of the column's own type, so that Parquet row groups can be skipped.
    start = pl.lit(test.start).cast(pl.Datetime("us"))
    return narrow, _read(path, usecase, lambda table: table.filter(pl.col(usecase.time.column) >= start))


def _read(path: Path, usecase: UseCase, chosen: Callable[[pl.LazyFrame], pl.LazyFrame]) -> pl.DataFrame:
    try:
        table = pl.scan_parquet(path)
        # Asked of no rows, so that a missing column is an error of its own before the table is read.
        column(table.head(0).collect(), usecase.time.column, path.name)
        timed = table.with_columns(pl.col(usecase.time.column).cast(pl.Datetime("us")))
        return chosen(timed).collect().sort(usecase.keys)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise TableError(f"{path}: not a Parquet table ({error})") from error


def score_rows(
    usecase: UseCase,
    table: pl.DataFrame,
    target: Target,
    model: Model,
    late: pl.DataFrame | None = None,
    unseen: pl.DataFrame | None = None,
) -> ScoredRows:
    """Score a model on the test span.

    Args:
        usecase: the use case.
        table: the feature table, or its keys, truths and last known values.
        target: the target.
        model: its model.
        late: the whole rows of the feature table from the test span on; taken from `table` if None.
        unseen: the out-of-fold predictions of the training, of all targets.

    Raises:
        TableError: a column is missing, or the target was nowhere measured in the test span.
    """
    time = table[usecase.time.column].to_physical().to_numpy()
    y = numbers(table, f"y_{target.name}")
    last = numbers(table, f"last_{target.name}")
    train, test = train_test(usecase, time)
    before = time < int(test.start or 0)
    rows = np.flatnonzero(~before & _within(usecase, test, target, time) & np.isfinite(y))
    if not rows.size:
        raise TableError(f"targets.{target.name}: {target.column} was nowhere measured in the test span; see split")
    scale, scales = _units(usecase, table, target, np.where(before, y, np.nan))
    y, baselines = _classes(target, y, baseline_forecasts(usecase, table, target, train.rows(time)), before)
    late = table.filter(~before) if late is None else late
    # Both tables are sorted by the same keys: the k-th row of the test span in one is the k-th row of the other.
    judged = late[(np.cumsum(~before) - 1)[rows]]
    X = np.column_stack([numbers(judged, name) for name in model.names])
    grid = usecase.time.grid
    entity = table[usecase.entity] if usecase.entity else None
    history = TargetHistory(grid.to_even(time), last, grid.step, entity)
    predicted = model.predict(history.rows(X, rows, model.predictor.history))
    return ScoredRows(
        target=target,
        keys=table.select(usecase.keys)[rows],
        time=time[rows],
        grid=grid,
        X=X,
        y=y[rows],
        prediction=predicted.prediction,
        lower=predicted.lower,
        upper=predicted.upper,
        last=last[rows],
        baselines={name: values[rows] for name, values in baselines.items()},
        bands=bands_of(usecase, last[rows]),
        groups={group.name: group_of(usecase, judged, group, model) for group in usecase.evaluation.groups},
        scale=scale,
        scales=None if scales is None else scales[rows],
        out_of_fold=None if unseen is None else _out_of_fold(usecase, table, target, unseen, baselines),
        prices={name: numbers(table, price_column(target, name))[rows] for name in price_names(target)},
        unseen=unseen_rows(usecase, table, train.rows(time) & np.isfinite(y), rows),
        events=usecase.events is not None,
    )


def _classes(target: Target, y: Array, baselines: dict[str, Array], before: Mask) -> tuple[Array, dict[str, Array]]:
    """Return the truth as classes and the baselines as probabilities, where the target is an event."""
    if target.above is None:
        return y, baselines
    # A declared baseline is a probability already.
    declared = {name: values for name, values in baselines.items() if name in target.baselines}
    rates = {name: values for name, values in baselines.items() if name not in declared}
    return as_classes(y, target.above), {**_as_rates(target.above, y, rates, before), **declared}


def unseen_rows(usecase: UseCase, table: pl.DataFrame, learned: Mask, rows: npt.NDArray[np.intp]) -> Mask | None:
    """Return which of the rows at these positions belong to an entity that no learned row belongs to."""
    if usecase.entity is None:
        return None
    entity = table[usecase.entity]
    return ~entity[rows].is_in(entity.filter(pl.Series(learned)).unique().implode()).to_numpy()


def _units(usecase: UseCase, table: pl.DataFrame, target: Target, y: Array) -> tuple[float, Array | None]:
    """Return the unit of MASE, and that of each row's entity, shape (n,); None for a table of one series or of events.

    Args:
        usecase: the use case.
        table: keys, y_<target> and last_<target> of all rows.
        target: the target.
        y: truth of the rows before the test span, which must not set its own unit; NaN in all others, shape (n,).
    """
    sizes = np.abs(y - seasonal_naive(usecase, table, target))
    panel = usecase.entity if usecase.events is None else None
    return _mean_size(sizes), None if panel is None else _by_entity(sizes, table[panel])


def _out_of_fold(
    usecase: UseCase, table: pl.DataFrame, target: Target, unseen: pl.DataFrame, baselines: dict[str, Array]
) -> OutOfFold:
    keys = usecase.keys
    # Of events that share their keys nobody can tell which was predicted.
    place = table.select(*keys, pl.int_range(pl.len()).alias("place")).unique(keys, keep="none", maintain_order=True)
    rows = unseen.filter(pl.col("target") == target.name).with_columns(
        pl.col(usecase.time.column).cast(pl.Datetime("us"))
    )
    joined = rows.join(place, on=keys, how="inner", maintain_order="left")
    time = joined[usecase.time.column].to_physical().to_numpy()
    return OutOfFold(
        clock_of(usecase, target, time),
        numbers(joined, "y"),
        numbers(joined, "prediction"),
        {name: values[joined["place"].to_numpy()] for name, values in baselines.items()},
    )


def _within(usecase: UseCase, test: Span, target: Target, time: Integers) -> Mask:
    """Return which rows have their forecast time before the end of the test span."""
    if test.stop is None:
        return np.ones(time.shape, dtype=np.bool_)
    # By the time that is forecast: at the end of the span its truth may lie beyond it.
    return usecase.time.grid.later(time, to_microseconds(target.horizon)) < test.stop


def _as_rates(above: float, y: Array, baselines: dict[str, Array], before: Mask) -> dict[str, Array]:
    """Return each baseline as a probability: the event's frequency after its class, before the test span."""
    truth, result = as_classes(y, above), {}
    for name, values in baselines.items():
        if name in (MEAN, CLIMATOLOGY):
            result[name] = values
            continue
        classes = as_classes(values, above)
        # From the training span only, as the model learns: the test span must not inform what it is compared with.
        known = before & np.isfinite(truth)
        # A class that the baseline never gave before says nothing of the event: it gets the overall rate.
        sides = [truth[known & (classes == side)] for side in (0.0, 1.0)]
        rates = [np.mean(side if side.size else truth[known]) for side in sides]
        result[name] = np.where(np.isfinite(classes), np.where(classes == 1, rates[1], rates[0]), np.nan)
    return result


def _by_entity(sizes: Array, entity: pl.Series) -> Array:
    """Return the mean of the finite sizes of each row's entity, NaN for an entity without any, shape (n,)."""
    frame = pl.DataFrame({"entity": entity, "size": pl.Series(sizes).fill_nan(None)})
    return frame.select(pl.col("size").mean().over("entity"))["size"].fill_null(float("nan")).to_numpy()


def _mean_size(sizes: Array) -> float:
    finite = sizes[np.isfinite(sizes)]
    return float(finite.mean()) if finite.size else float("nan")

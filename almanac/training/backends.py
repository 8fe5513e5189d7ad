"""Training backends: the feature table in memory, or on the disk and on the workers of a Dask cluster."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from almanac.core import dask_workers
from almanac.training.dataset import make_problem, mapped, read_features
from almanac.training.entity_fits import entity_fits
from almanac.training.problem import Problem
from almanac.usecase import UseCase


@contextmanager
def open_problems(usecase: UseCase, path: Path, names: list[str]) -> Iterator[tuple[pl.DataFrame, list[Problem]]]:
    """Yield the feature table and the learning problem of every target, which share one matrix of features.

    With the Dask engine the table has no features: their matrix is a file that is mapped into memory, and the workers
    hold its rows for LightGBM candidates. Other candidates are fitted in this process with either engine.

    Raises:
        TrainingError: the file cannot be read, or lacks a column.
        WorkerError: the workers cannot be started or reached.
    """
    if usecase.training.engine == "local":
        table = read_features(usecase, path)
        first = make_problem(usecase, table, names, usecase.targets[0])
        others = [make_problem(usecase, table, names, target, first.X) for target in usecase.targets[1:]]
        with entity_fits(usecase.training.threads) as fits:
            yield table, [replace(problem, fits=fits) for problem in (first, *others)]
        return
    from almanac.training.dask_backend import DaskGrower

    table = read_features(usecase, path, names)
    with (
        TemporaryDirectory() as scratch,
        dask_workers.start(usecase.training.dask) as workers,
        entity_fits(usecase.training.threads) as fits,
    ):
        X = mapped(path, names, Path(scratch) / "features")
        grower = DaskGrower(workers, names, X, usecase.training.seed)
        problems = [make_problem(usecase, table, names, target, X) for target in usecase.targets]
        yield table, [replace(problem, grower=grower, fits=fits) for problem in problems]

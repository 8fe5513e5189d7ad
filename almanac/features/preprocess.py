"""Preprocessing: from a validated table to the feature table and its specification."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from almanac.core import dask_workers
from almanac.core.errors import FeatureError, TableError
from almanac.core.files import sha256_file, whole_file, write_json
from almanac.features.events.batch import with_histories
from almanac.features.fit import document, fit
from almanac.features.partitions import computed, features_of
from almanac.features.spec import FeatureSpec
from almanac.features.split import Span, split_record, train_test
from almanac.features.table import times
from almanac.usecase import UseCase

#: One size of row groups, so that the file's bytes do not depend on the partitions that it was computed in.
PARQUET: dict[str, Any] = {"compression": "zstd", "compression_level": 1, "row_group_size": 1 << 16}


def preprocess(usecase: UseCase, table_path: Path, out_features: Path, out_spec: Path) -> dict[str, Any]:
    """Write the feature table and features.json; return their counts and digests.

    Args:
        usecase: the use case.
        table_path: the validated table, sorted by entity and time.
        out_features: where to write entity, time, the features, and `y_` and `last_` of each target.
        out_spec: where to write the specification with the fitted transforms.

    Returns:
        {"rows", "features", "groups": {group: count}, "history", "known": {target: rows with a known value ahead},
        "split", as `almanac.features.split.split_record` returns it, "data_digest", "features_digest"}.

    Raises:
        TableError: the table cannot be read.
        FeatureError: the features cannot be computed from it, or the split leaves a span without rows; the message
            names column, row or field.
    """
    table = _scanned(table_path)
    clock = table.select(usecase.time.column).collect()[usecase.time.column]
    training, test = train_test(usecase, clock)
    make = _by_partitions if usecase.training.engine == "dask" else _at_once
    # A run that is killed leaves no half-written table, which the cache would keep.
    with whole_file(out_features) as aside:
        spec, features = make(usecase, table, training, aside)
        time = times(features.select(spec.time).collect(), spec.time)
        _check_split(usecase, time, training, test)
        known = {t.name: _known(features, f"y_{t.name}") for t in usecase.targets}
        write_json(out_spec, document(spec, features, training.rows(time)))
    groups = list(spec.groups.values())
    return {
        "rows": len(time),
        "features": len(spec.names),
        "groups": {group: groups.count(group) for group in dict.fromkeys(groups)},
        "history": spec.history,
        "known": known,
        "split": split_record(usecase, clock),
        "data_digest": sha256_file(table_path),
        "features_digest": sha256_file(out_features),
    }


def _scanned(path: Path) -> pl.LazyFrame:
    try:
        table = pl.scan_parquet(path)
        table.collect_schema()
    except (OSError, pl.exceptions.PolarsError) as error:
        raise TableError(f"{path}: not a Parquet table ({str(error).splitlines()[0]})") from error
    return table


def _at_once(usecase: UseCase, table: pl.LazyFrame, span: Span, out: Path) -> tuple[FeatureSpec, pl.LazyFrame]:
    """Write the features of the table, which is read whole; return them, and the specification."""
    # The histories of events are computed once, for the fit and for the features.
    whole = with_histories(usecase, table.collect())
    spec = fit(usecase, whole, span)
    features = features_of(usecase, spec, whole)
    features.write_parquet(out, **PARQUET)
    return spec, features.lazy()


def _by_partitions(usecase: UseCase, table: pl.LazyFrame, span: Span, out: Path) -> tuple[FeatureSpec, pl.LazyFrame]:
    """Write the same features, partition by partition on the workers of a cluster; they are never all in memory."""
    spec = fit(usecase, table, span)
    with dask_workers.start(usecase.training.dask) as cluster:
        computed(usecase, spec, table, cluster).sink_parquet(out, **PARQUET)
    return spec, pl.scan_parquet(out)


def _check_split(usecase: UseCase, time: npt.NDArray[np.int64], training: Span, test: Span) -> None:
    ends = " to ".join(str(np.datetime64(int(end), "us").astype("datetime64[s]")) for end in (time.min(), time.max()))
    split = usecase.split
    told = f"split.test: {split.test}" if split.rolling else f"split.test_from: {split.test_from}"
    for span, purpose in ((training, "learn from"), (test, "judge by")):
        if not span.rows(time).any():
            raise FeatureError(f"{told} leaves no rows to {purpose}; the table has {ends}")


def _known(features: pl.LazyFrame, name: str) -> int:
    return int(np.isfinite(features.select(name).collect()[name].to_numpy()).sum())

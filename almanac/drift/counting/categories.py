"""Counting of categories; a server counts only numbers, and so needs no polars."""

import numpy as np
import polars as pl

from almanac.drift.counting.accumulators import GAPS, HEAD, MISSING, ROWS, Stretch
from almanac.drift.counting.runs import Runs


def count_categories(values: pl.Series, ordered: bool) -> Stretch:
    """Return the counts of a column of categories (n,); `set_out` puts the labels into a tally later."""
    tally = np.zeros(len(HEAD))
    tally[ROWS], tally[MISSING] = len(values), values.null_count()
    counted = values.drop_nulls().value_counts(name="count")
    labels = dict(zip(counted[values.name].to_list(), counted["count"].to_list(), strict=True))
    # A gap counts where it begins, so that two stretches add up to those of the whole.
    if ordered and tally[MISSING]:
        absent = values.is_null().to_numpy()
        tally[GAPS] = np.count_nonzero(absent[1:] & ~absent[:-1]) + int(absent[0])
    return Stretch(tally, runs=_label_runs(values), labels=dict(sorted(labels.items())))


def _label_runs(values: pl.Series) -> Runs:
    # Only the length of runs matters: a run's number takes the place of its label, and never meets another stretch's.
    numbers = values.rle_id().to_numpy().astype(np.float64)
    numbers[values.is_null().to_numpy()] = np.nan
    runs = Runs.of(numbers)
    runs.first = runs.last = np.nan
    return runs

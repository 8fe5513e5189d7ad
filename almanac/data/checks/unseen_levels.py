"""An open category may have levels that come up only in the test span: each is a finding, and no error."""

from collections.abc import Iterator

import polars as pl

from almanac.core.levels import OTHER, some
from almanac.data.checks import Check, Finding, Stage, Subject
from almanac.features.split import microseconds, train_test


def _find(subject: Subject) -> Iterator[Finding]:
    if not any(column.is_open for column in subject.usecase.columns.values()):
        return
    # A row without a time is another check's finding.
    table = subject.table.filter(pl.col(subject.usecase.time.column).is_not_null())
    time = table[subject.usecase.time.column]
    training, tested = train_test(subject.usecase, time)
    micros = microseconds(time)
    before, test = table.filter(training.rows(micros)), table.filter(tested.rows(micros))
    for name, column in subject.usecase.columns.items():
        if not column.is_open:
            continue
        known = before[name].drop_nulls().unique() if column.categories is None else pl.Series(column.categories)
        wrong = test.filter(pl.col(name).is_not_null() & ~pl.col(name).is_in(known.cast(pl.String).implode()))
        if not wrong.is_empty():
            levels = wrong[name].unique(maintain_order=True)
            share = wrong.height / test[name].count()
            text = (
                f"of the test span ({share:.1%}) unknown to the training, which counts them as {OTHER}: {some(levels)}"
            )
            yield subject.value_finding("warning", "unseen_levels", name, wrong, text)


KIND = Check("unseen_levels", Stage.VALUES, _find)

"""A column that nearly equals a target's future is often one that is known only later."""

from collections.abc import Iterator

import polars as pl

from almanac.data.checks import Check, Finding, Severity, Stage, Subject
from almanac.usecase.training_section import Target
from almanac.usecase.types import steps

#: Share of the future target's variance that one column must explain, and how much less of it may be left than by the
#: target's own last value.
_EXPLAINED, _LEFT = 0.95, 0.25
#: Share from which on the column is the target's future but for rounding, and no model of it may be trained.
_EQUAL = 0.99


def _find(subject: Subject) -> Iterator[Finding]:
    usecase = subject.usecase
    if usecase.events is not None:
        return
    for target in usecase.targets:
        explained = _explained(subject, target)
        own = explained.get(target.column, 0.0)
        for name, share in explained.items():
            if name != target.column and share > _EXPLAINED and 1.0 - share < _LEFT * (1.0 - own):
                text = (
                    f"explains by itself {share:.1%} of {target.column} {target.horizon} later, where the last value "
                    f"of {target.column} explains {own:.1%}; check that it is known by then: a joined source "
                    "takes available_after, features take a cutoff"
                )
                severity: Severity = "warning"
                if share > _EQUAL and usecase.validation.leaks == "error":
                    severity, text = "error", f"{text}; where it is, say validation.leaks: warning"
                yield Finding(severity, "leak", name, subject.table[name].count(), text)


def _explained(subject: Subject, target: Target) -> dict[str, float]:
    """Return the share of the variance of the target, a horizon later, that a line of each numeric column explains."""
    table, usecase = subject.table, subject.usecase
    numeric = [name for name, column in usecase.columns.items() if column.type not in ("category", "text")]
    ahead = pl.col(target.column).shift(-steps(target.horizon, usecase.time.frequency))
    future = table.select(*numeric, (ahead.over(usecase.entity) if usecase.entity else ahead).alias("__future__"))
    shares = {}
    for name in numeric:
        pairs = future.select(pl.col(name).alias("now"), "__future__").drop_nulls()
        # The correlation of a constant is not a number.
        spread = pairs.select(pl.all().std()).row(0) if pairs.height > 2 else (0.0, 0.0)
        if min(spread) > 0:
            shares[name] = float(pairs.select(pl.corr("now", "__future__")).item()) ** 2
    return shares


KIND = Check("leak", Stage.GRID, _find)
